"""From a tenant's name to its log. Only tenants that exist are remembered, so that made-up names take no memory."""

from linewarden.audit.blocking import READ_TIMEOUT_S, in_thread
from linewarden.audit.errors import TenantUnknown
from linewarden.audit.store.log import LogStore


class Tenants:
    """The numbers of tenants' logs. A tenant's log never changes its number, so what is known stays true."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._logs: dict[str, int] = {}

    def known(self, tenant: str) -> int | None:
        """Return the tenant's log, if this process has met it."""
        return self._logs.get(tenant)

    async def find(self, tenant: str) -> int:
        """Return the tenant's log.

        Raises:
            TenantUnknown: there is no such tenant.
            LogUnavailable: the database failed.
        """
        log_id = self._logs.get(tenant)
        if log_id is None:
            if not tenant:
                raise TenantUnknown("the empty name is no tenant")
            log_id = self._logs[tenant] = (await in_thread(READ_TIMEOUT_S, self._store.head_of, tenant)).log
        return log_id
