"""Look-up of tenants' logs. Only existing tenants are cached, so that invented names take no memory."""

from linewarden.audit.blocking import READ_TIMEOUT_S, in_thread
from linewarden.audit.errors import TenantUnknown
from linewarden.audit.store.log import LogStore


class Tenants:
    """The numbers of tenants' logs. They never change, so cached numbers stay valid."""

    def __init__(self, store: LogStore) -> None:
        self._store = store
        self._logs: dict[str, int] = {}

    def known(self, tenant: str) -> int | None:
        """Return the tenant's log, if it is cached."""
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
