"""Pacer: one refusal in each turn of the event loop."""

import asyncio
import itertools

from linewarden.server.pacing import Pacer
from tests.deadlines import HANG_S


async def test_one_passes_in_a_turn() -> None:
    """Of those who wait, one passes in each turn of the loop, in their order."""
    pace, order = Pacer(), list[int]()

    async def wait(number: int) -> None:
        await pace.turn()
        order.append(number)

    waiting = [asyncio.create_task(wait(number)) for number in range(20)]
    passed = [0]
    while not all(task.done() for task in waiting):
        await asyncio.sleep(0)
        passed.append(len(order))
    assert max(after - before for before, after in itertools.pairwise(passed)) == 1
    assert order == list(range(20))


async def test_those_beyond_the_bound_do_not_wait() -> None:
    """Memory is bounded: a refusal beyond the maximum passes at once."""
    pace = Pacer(max_waiting=2)
    waiting = [asyncio.create_task(pace.turn()) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.wait_for(pace.turn(), HANG_S)
    await asyncio.gather(*waiting)


async def test_a_caller_that_goes_away_takes_no_turn() -> None:
    """Those behind a caller that gave up pass all the same."""
    pace = Pacer()
    gone, stays = asyncio.create_task(pace.turn()), asyncio.create_task(pace.turn())
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait_for(stays, HANG_S)
    await asyncio.wait_for(pace.turn(), HANG_S)
