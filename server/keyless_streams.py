"""The bounds of streams without an API key.

Such a stream holds no place of requests. Streams are bounded for each connection, for each address and in number, so
that no client takes the streams of another. An address is held in memory while its connection lives and is written
nowhere.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from linewarden.audit.errors import LogOverloaded

#: Streams of one kind without a key: of one connection, of one address, of all. A client watches a few services.
OF_CONNECTION = 8
OF_ADDRESS = 100
OF_ALL = 1_000


class KeylessStreams:
    """Counts streams without a key, by connection and by address."""

    def __init__(self, of_connection: int = OF_CONNECTION, of_address: int = OF_ADDRESS, of_all: int = OF_ALL) -> None:
        self._limits = (of_connection, of_address, of_all)
        self._open: Counter[str] = Counter()
        self.refused = 0

    @contextmanager
    def opened(self, peer: str) -> Iterator[None]:
        """Count a stream while it is open. `peer` is the connection as gRPC names it.

        Raises:
            LogOverloaded: its connection, its address or all clients together have reached their bound.
        """
        owners = (peer, peer.rpartition(":")[0], "")
        if any(self._open[owner] >= limit for owner, limit in zip(owners, self._limits, strict=True)):
            self.refused += 1
            raise LogOverloaded("too many streams without a key")
        self._open.update(owners)
        try:
            yield
        finally:
            self._open.subtract(owners)
            for owner in owners:
                if not self._open[owner]:
                    del self._open[owner]
