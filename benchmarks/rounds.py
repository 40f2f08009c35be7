"""Comparison on a noisy machine: the sides take turns, round by round, and the medians count."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Series:
    """One figure of each round."""

    values: tuple[float, ...]

    @property
    def median(self) -> float:
        """The figure to quote."""
        return median(self.values)

    @property
    def spread(self) -> str:
        """The lowest and the highest, rounded as the median is."""
        return f"{figure(min(self.values))} to {figure(max(self.values))}"


def alternate(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Series]:
    """Measure each side once a round; reverse the order every other round, so that no side always comes second."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        names = list(sides)
        for name in names if number % 2 == 0 else reversed(names):
            found[name].append(sides[name]())
    return {name: Series(tuple(values)) for name, values in found.items()}


def ratio(one: Series, other: Series) -> Series:
    """Return the median of the ratios of each round, because a slow round slows both sides."""
    return Series(tuple(a / b for a, b in zip(one.values, other.values, strict=True)))


def figure(value: float) -> str:
    """Return a number with the three significant digits that a measurement supports."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
