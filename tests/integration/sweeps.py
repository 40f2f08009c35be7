"""What a server finds out of captures that nobody watches any more, without the minute that it lets pass before."""

from dataclasses import dataclass

from linewarden.diagnostics.captures.ports import LEASE_S
from linewarden.diagnostics.captures.sweeper import GRACE_S, HOLD_S, Sweeper
from linewarden.server.bootstrap import Running


@dataclass
class Clock:
    """A monotonic clock that moves when it is told to."""

    seconds: float = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.seconds


async def sweep_until_lost(running: Running) -> None:
    """Two rounds of a server's sweeper, between which a lease that nobody renews is lost."""
    await _sweep(running, LEASE_S + GRACE_S)


async def sweep_until_believed(running: Running) -> None:
    """Two rounds of a server's sweeper, between which it comes to believe that something is due."""
    await _sweep(running, HOLD_S)


async def _sweep(running: Running, seconds: float) -> None:
    """Two rounds on a clock of our own."""
    own, clock = running._diagnostics.sweeper, Clock()
    sweeper = Sweeper(own._repository, own._workers, own._recorder, own._watched, own._now_us, clock)
    await sweeper.sweep()
    clock.seconds = seconds
    await sweeper.sweep()
