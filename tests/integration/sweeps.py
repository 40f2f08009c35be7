"""The sweeper of a server on an adjustable clock, so that tests need not wait a minute for it."""

from dataclasses import dataclass

from linewarden.diagnostics.captures.ports import LEASE_S
from linewarden.diagnostics.captures.sweeper import GRACE_S, HOLD_S, Sweeper
from linewarden.server.bootstrap import Running


@dataclass
class Clock:
    """A monotonic clock that moves only on request."""

    seconds: float = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


async def sweep_until_lost(running: Running) -> None:
    """Run two rounds of a server's sweeper, between which a lease without renewal is lost."""
    await _sweep(running, LEASE_S + GRACE_S)


async def sweep_until_believed(running: Running) -> None:
    """Run two rounds of a server's sweeper, after which it considers an event as due."""
    await _sweep(running, HOLD_S)


async def _sweep(running: Running, seconds: float) -> None:
    """Run two rounds on the adjustable clock."""
    own, clock = running._diagnostics.sweeper, Clock()
    sweeper = Sweeper(own._repository, own._workers, own._recorder, own._watched, own._now_us, clock)
    await sweeper.sweep()
    clock.seconds = seconds
    await sweeper.sweep()
