"""What every source of packets can do."""

from collections.abc import Sequence
from typing import Protocol

from linewarden.diagnostics.packets.model import Frame, Interface, SourceCounters


class Source(Protocol):
    """An opened source. All packets that pass its filter come out of `read`, in order, or are counted as dropped."""

    @property
    def interfaces(self) -> Sequence[Interface]:
        """The interfaces seen so far; a capture file may name more as it goes on."""
        ...

    def read(self, timeout: float) -> list[Frame] | None:
        """Return the next packets, none when `timeout` seconds passed first, None when there will be no more.

        Raises SourceUnusable when what comes next cannot be read.
        """
        ...

    def pause(self) -> None:
        """Let no more packets in until `resume`. Of an interface, what is in already can still be read."""
        ...

    def resume(self) -> None:
        """Let packets in again; those that passed meanwhile are not counted."""
        ...

    def stop(self) -> None:
        """Let no more packets in. What is in already can still be read."""
        ...

    def counters(self) -> Sequence[SourceCounters]:
        """Return one for each interface."""
        ...

    def close(self) -> None:
        """Give everything back."""
        ...
