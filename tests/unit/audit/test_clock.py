"""The clock of the logs: it never goes back, and reports steps."""

from hypothesis import given
from hypothesis import strategies as st

from linewarden.audit.clock import STEP_US, Clock, ClockStep

_SECOND = 1_000_000


class Hands:
    """A wall clock, a monotonic clock and the latest time of all logs, each set by a test."""

    def __init__(self) -> None:
        self.wall = 1_000 * _SECOND
        self.monotonic = 5 * _SECOND
        self.latest = 0

    def clock(self) -> Clock:
        """Return a clock with these hands."""
        return Clock(lambda: self.wall, lambda: self.monotonic, lambda: self.latest)

    def pass_us(self, us: int) -> None:
        """Let time pass."""
        self.wall += us
        self.monotonic += us


def test_time_goes_on_when_the_wall_clock_is_set_back() -> None:
    """Time goes on at the pace of the monotonic clock after an hour set back, and the step is reported once."""
    hands = Hands()
    clock = hands.clock()
    before = clock()
    hands.pass_us(_SECOND)
    hands.wall -= 3_600 * _SECOND
    assert clock() == before + _SECOND
    assert clock.take_step() == ClockStep(before + _SECOND, before + _SECOND - 3_600 * _SECOND)
    hands.pass_us(_SECOND)
    assert clock() == before + 2 * _SECOND
    assert clock.take_step() is None


def test_a_step_ahead_is_told() -> None:
    """The clock follows a wall clock that is set ahead, and reports the step."""
    hands = Hands()
    clock = hands.clock()
    before = clock()
    hands.wall += 400 * 86_400 * _SECOND
    assert clock() == hands.wall
    assert clock.take_step() == ClockStep(before, hands.wall)
    hands.pass_us(_SECOND)
    clock()
    assert clock.take_step() is None


def test_a_clock_behind_the_logs_begins_at_their_latest_time() -> None:
    """After a restart with the wall clock set back, time continues from the latest time of all logs."""
    hands = Hands()
    hands.latest = hands.wall + 30 * 86_400 * _SECOND
    clock = hands.clock()
    assert clock() == hands.latest
    assert clock.take_step() == ClockStep(hands.latest, hands.wall)


@given(st.lists(st.tuples(st.integers(-(10**12), 10**12), st.integers(0, 10**10), st.integers(0, 10**16))))
def test_time_never_falls(moves: list[tuple[int, int, int]]) -> None:
    """No time is earlier than a previous one or than the latest of the logs, however wall clock and logs move."""
    hands = Hands()
    clock = hands.clock()
    told = clock()
    for step, passed, latest in moves:
        hands.pass_us(passed)
        hands.wall = max(0, hands.wall + step)
        hands.latest = max(hands.latest, latest)
        now = clock()
        assert now >= told + passed or now >= hands.wall
        assert now >= max(told, hands.latest)
        told = now


def test_small_corrections_are_no_steps() -> None:
    """The clock does not report ordinary corrections as steps."""
    hands = Hands()
    clock = hands.clock()
    clock()
    hands.wall -= STEP_US // 2
    clock()
    assert clock.take_step() is None
