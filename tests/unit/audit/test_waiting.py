"""The queue before the log: order, places, and logs that are set aside."""

import asyncio

import pytest

from linewarden.audit.errors import LogOverloaded
from linewarden.audit.model import Unit
from linewarden.audit.waiting import AGAIN_S, Queue, Waiting


def waiting(log: int, entries: int = 1) -> Waiting:
    """Return a unit of a log."""
    return Waiting(Unit(log, (b"x",) * entries), asyncio.get_running_loop().create_future(), 1e9)


async def test_units_go_in_the_order_they_came_in() -> None:
    """The queue forms batches in order of arrival, as large as there is room for; a large unit goes alone."""
    queue = Queue(100)
    ones = [waiting(1), waiting(2, 3), waiting(1, 9), waiting(3)]
    for one in ones:
        queue.add(one)
    assert queue.take(4, 0) == (ones[:2], False)
    assert queue.take(4, 0) == (ones[2:3], False)
    assert queue.take(4, 0) == (ones[3:], False)
    assert queue.entries == 0


async def test_a_log_that_is_set_aside_lets_the_others_go_first() -> None:
    """Units of a log that is set aside wait apart, in order, and get every second turn at most."""
    queue = Queue(100)
    first, other, second, third = waiting(1), waiting(2), waiting(1), waiting(1)
    for one in (first, other, second):
        queue.add(one)
    batch, _ = queue.take(1, 0)
    queue.set_aside(batch, 0)
    queue.add(third)
    assert queue.ready == 1
    assert queue.again_in(0) == AGAIN_S
    assert queue.take(10, AGAIN_S) == ([first, second, third], True)
    queue.set_aside([first, second, third], AGAIN_S)
    assert queue.take(10, 10) == ([other], False)
    assert queue.take(10, 10) == ([first, second, third], True)
    assert queue.again_in(10) is None
    assert queue.entries == 0


async def test_logs_that_are_set_aside_share_a_turn() -> None:
    """A log with many units does not take the turn of another that is set aside."""
    queue = Queue(100)
    many, one = [waiting(1) for _ in range(20)], waiting(2)
    queue.set_aside([*many, one], 0)
    batch, _ = queue.take(4, 1)
    assert batch == [*many[:2], one]


async def test_a_log_that_is_set_aside_takes_a_quarter_of_the_queue() -> None:
    """The queue refuses units of a log that is set aside beyond a quarter of its places, and accepts others."""
    queue = Queue(8)
    queue.set_aside([waiting(1), waiting(1)], 0)
    with pytest.raises(LogOverloaded):
        queue.add(waiting(1))
    for _ in range(6):
        queue.add(waiting(2))
    with pytest.raises(LogOverloaded):
        queue.add(waiting(2))


async def test_units_that_were_answered_meanwhile_are_left_out() -> None:
    """The queue leaves out units whose callers have already been answered."""
    queue = Queue(8)
    late, timely = waiting(1), waiting(1)
    late.future.cancel()
    queue.put_back([late, timely])
    assert queue.take(8, 0) == ([timely], False)
    assert queue.entries == 0
