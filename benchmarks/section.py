"""The result of a measurement: tables, the goals for it, and notes that a reader needs."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Goal:
    """A target of the service and the measured value. Higher is better unless `at_most`."""

    work: str
    wanted: float
    measured: float
    unit: str
    at_most: bool = False

    @property
    def met(self) -> bool:
        """True if the goal was reached."""
        return self.measured <= self.wanted if self.at_most else self.measured >= self.wanted

    @property
    def missed_by(self) -> float:
        """The missing part of the goal: 0.1 is ten percent. 0 where it was met."""
        return 0.0 if self.met else abs(self.measured - self.wanted) / self.wanted


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the results; `rows` begin with the heads of the columns."""

    title: str
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    goals: Sequence[Goal] = ()
