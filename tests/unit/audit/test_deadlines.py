"""Deadlines of many logs."""

from hypothesis import given
from hypothesis import strategies as st

from linewarden.audit.deadlines import Deadlines


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 5), st.integers(0, 3))))
def test_a_log_is_returned_once_after_its_latest_deadline(moves: list[tuple[int, int, int]]) -> None:
    """`reached` returns exactly the logs whose latest deadline has passed, each once for each time it was set."""
    deadlines, expected, now = Deadlines(), dict[int, float](), 0
    for log_id, later, passing in moves:
        expected[log_id] = max(now + later, expected.get(log_id, 0))
        deadlines.set(log_id, expected[log_id])
        now += passing
        reached = deadlines.reached(now)
        assert sorted(reached) == sorted(one for one, at in expected.items() if at <= now)
        for one in reached:
            del expected[one]
