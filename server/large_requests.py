"""Bounds of large requests, because a policy file takes memory before its tenant is known.

A request without a place is refused before it is read. The places bound the bytes of all requests together to those
that may be in work (`audit.shares`). The places of one API key are bounded too, so that other keys find some.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from linewarden.audit.errors import LogOverloaded
from linewarden.audit.shares import ALL_BYTES, TENANT_BYTES

#: Methods whose requests are as large as the server accepts.
_PATHS = frozenset(("/linewarden.v1.PolicyService/LoadPolicy", "/linewarden.v1.PolicyService/ChangePolicy"))

_NO_PLACE: AbstractContextManager[None] = nullcontext()


class LargeRequests:
    """Counts the large requests that are in work. `most_bytes` is the maximum size of one request."""

    def __init__(self, most_bytes: int) -> None:
        self._all = max(2, ALL_BYTES // most_bytes)
        self._own = max(1, TENANT_BYTES // most_bytes)
        self._held: Counter[str | None] = Counter()

    @staticmethod
    def concerns(path: str) -> bool:
        """Return whether requests to this path may be large."""
        return path in _PATHS

    def place(self, path: str, token: str | None) -> AbstractContextManager[None]:
        """Hold a place while a request is read and answered; requests that are never large need none.

        Raises:
            LogOverloaded: on entering, too many large requests are in work.
        """
        return self._place(token) if path in _PATHS else _NO_PLACE

    @contextmanager
    def _place(self, token: str | None) -> Iterator[None]:
        if self._held.total() >= self._all or self._held[token] >= self._own:
            raise LogOverloaded("too many large requests at once")
        self._held[token] += 1
        try:
            yield
        finally:
            self._held[token] -= 1
            if not self._held[token]:
                del self._held[token]
