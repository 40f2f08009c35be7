"""The protocol of packet sources."""

from collections.abc import Sequence
from typing import Protocol

from linewarden.diagnostics.packets.model import Frame, Interface, SourceCounters


class Source(Protocol):
    """An opened source. `read` returns all packets that pass its filter, in order; the rest is counted as dropped."""

    @property
    def interfaces(self) -> Sequence[Interface]:
        """The interfaces so far. A capture file may name further ones later."""
        ...

    def read(self, timeout: float) -> list[Frame] | None:
        """Return the next packets; empty after `timeout` seconds, None at the end of the source.

        Raise SourceUnusable if the next packet cannot be read.
        """
        ...

    def pause(self) -> None:
        """Accept no packets until `resume`. Packets of an interface that were accepted before can still be read."""
        ...

    def resume(self) -> None:
        """Accept packets again. Packets in between are not counted."""
        ...

    def stop(self) -> None:
        """Accept no more packets. Accepted packets can still be read."""
        ...

    def counters(self) -> Sequence[SourceCounters]:
        """Return one for each interface."""
        ...

    def close(self) -> None:
        """Release all resources."""
        ...
