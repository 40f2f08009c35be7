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
        """The tenant's log, if this process has met it."""
        return self._logs.get(tenant)

    async def find(self, tenant: str) -> int:
        """The tenant's log.

        Raises:
            TenantUnknown: there is no such tenant.
            LogUnavailable: the database failed.
        """
        log = self._logs.get(tenant)
        if log is None:
            if not tenant:
                raise TenantUnknown("the empty name is no tenant")
            log = self._logs[tenant] = (await in_thread(READ_TIMEOUT_S, self._store.head_of, tenant)).log
        return log
