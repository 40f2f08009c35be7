"""Authentication before a message is read, so that a caller without a valid key takes no memory and no place.

A caller is authenticated once. Entries of a call are guarded by the revision of its keys, so that a key that is revoked
meanwhile is found at the append. Each message of a stream is authenticated again.
"""

from linewarden.audit.errors import LogOverloaded
from linewarden.server.callers import Callers, Identity
from linewarden.server.capacity import Capacity
from linewarden.server.credentials import ANY, ApiKey


class Authentication:
    """Rejects calls without a valid key, or with too many waiting requests of their tenant.

    Health and reflection need no key. They and all refusals are paced, see `pacing`.
    """

    def __init__(self, callers: Callers, capacity: Capacity) -> None:
        self._callers = callers
        self._capacity = capacity

    async def keyless(self) -> None:
        """Let a call without a key wait for its turn."""
        await self._capacity.keyless.turn()

    async def identify(self, token: str | None, path: str) -> Identity:
        """Return the caller of a request to `path`, by its API key.

        Raises:
            CredentialsInvalid: the key is missing, wrong, revoked or expired.
            LogOverloaded: the tenant has too many requests waiting.
            KeysNotOurs, LogUnavailable: the keys cannot be read.
        """
        try:
            identity = await self._callers.admit(token)
            self._check_room(identity.key, path)
        except Exception:
            await self._capacity.refusals.turn()
            raise
        return identity

    def _check_room(self, key: ApiKey, path: str) -> None:
        """Refuse a request early that admission would refuse. This needs a key for exactly one tenant.

        Raises:
            LogOverloaded: the tenant has too many requests waiting.
        """
        queue = self._capacity.of(path[1:].partition("/")[0].rpartition(".")[2])
        if not queue.full or len(key.tenants) != 1 or ANY in key.tenants:
            return
        if queue.would_refuse(next(iter(key.tenants))):
            queue.refused += 1
            raise LogOverloaded("too many requests wait")
