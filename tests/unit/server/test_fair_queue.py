"""Fair queues: places, turns, and who is refused when there is no room."""

import asyncio
import random
from collections import Counter

import pytest

from linewarden.audit.errors import LogOverloaded
from linewarden.server.fair_queue import ACTIVE_S, FairQueue
from tests.deadlines import HANG_S


class Clock:
    """A monotonic clock that stands still until it is told to go on."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        """The time, seconds."""
        return self.now


class Crowd:
    """Requests of several tenants, in the order in which they came in, until `free` lets them out."""

    def __init__(self, admission: FairQueue) -> None:
        self.admission = admission
        self.order: list[str] = []
        self.refused: list[str] = []
        self._doors: dict[str, asyncio.Event] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def come(self, *names: str, weight: int = 1) -> None:
        """Let requests come, one after the other; `tenant/caller:number` names one."""
        for name in names:
            self._doors[name] = asyncio.Event()
            self._tasks.append(asyncio.create_task(self._ask(name, weight)))
            await turns()

    async def free(self, *names: str) -> None:
        """Let requests out that are done."""
        for name in names:
            self._doors[name].set()
            await turns()

    async def leave(self, name: str) -> None:
        """Let a caller go away while its request waits."""
        self._tasks[list(self._doors).index(name)].cancel()
        await turns()

    async def _ask(self, name: str, weight: int) -> None:
        tenant, _, caller = name.partition(":")[0].partition("/")
        try:
            held = await self.admission.enter(tenant, caller, weight)
        except LogOverloaded:
            self.refused.append(name)
            return
        self.order.append(name)
        try:
            await self._doors[name].wait()
        finally:
            self.admission.leave(tenant, held)

    async def end(self) -> None:
        """Let all out, and look that no place is lost."""
        while self.admission.inside:
            await self.free(*[name for name in self._doors if not self._doors[name].is_set()])
        await asyncio.gather(*self._tasks, return_exceptions=True)
        assert self.admission.inside == 0
        assert self.admission._free == self.admission._places


async def turns(count: int = 5) -> None:
    """Some turns of the event loop."""
    for _ in range(count):
        await asyncio.sleep(0)


def named(tenant: str, count: int, caller: str = "") -> list[str]:
    """Names of so many requests."""
    return [f"{tenant}/{caller}:{number}" for number in range(count)]


async def test_a_tenant_alone_has_all_places() -> None:
    """While one tenant asks, it holds all places, and no more than these."""
    crowd = Crowd(FairQueue(4, 2, 10, 60, Clock()))
    await crowd.come(*named("busy", 6))
    assert crowd.order == named("busy", 4)
    await crowd.end()
    assert crowd.order == named("busy", 6)


async def test_beside_another_a_tenant_holds_its_share() -> None:
    """Once another tenant has asked, a flood holds its share, and the other finds a free place at once."""
    crowd = Crowd(FairQueue(4, 2, 10, 60, Clock()))
    await crowd.come("quiet/:0")
    await crowd.free("quiet/:0")
    await crowd.come(*named("busy", 6), "quiet/:1")
    assert crowd.order == ["quiet/:0", "busy/:0", "busy/:1", "quiet/:1"]
    await crowd.end()


async def test_a_tenant_is_alone_again_when_others_have_been_silent() -> None:
    """A share is for a while after another tenant asked; then one tenant may hold all places again."""
    clock = Clock()
    crowd = Crowd(FairQueue(4, 2, 10, 60, clock))
    await crowd.come("quiet/:0", "busy/:0")
    await crowd.free("quiet/:0", "busy/:0")
    clock.now += ACTIVE_S
    await crowd.come(*[f"busy/:{number}" for number in range(1, 6)])
    assert crowd.order == ["quiet/:0", *named("busy", 5)]
    await crowd.end()


async def test_tenants_that_wait_take_turns() -> None:
    """However long one queue is, a free place goes to each tenant that waits in turn, each in its own order."""
    crowd = Crowd(FairQueue(1, 1, 20, 60, Clock()))
    await crowd.come(*named("a", 4), *named("b", 2), *named("c", 1))
    await crowd.end()
    assert crowd.order == ["a/:0", "a/:1", "b/:0", "c/:0", "a/:2", "b/:1", "a/:3"]


async def test_callers_of_a_tenant_take_turns() -> None:
    """A backend that floods does not keep another backend of the same tenant waiting."""
    crowd = Crowd(FairQueue(1, 1, 20, 60, Clock()))
    await crowd.come(*named("a", 4, "x"), *named("a", 1, "y"))
    await crowd.end()
    assert crowd.order == ["a/x:0", "a/x:1", "a/y:0", "a/x:2", "a/x:3"]


async def test_without_room_the_newest_of_the_longest_queue_is_refused() -> None:
    """A full room costs the tenant that fills it: its newest request goes, and that of another finds room."""
    crowd = Crowd(FairQueue(1, 1, 4, 60, Clock()))
    await crowd.come(*named("busy", 5))
    await crowd.come("busy/:5")
    assert crowd.refused == ["busy/:5"]
    await crowd.come("quiet/:0", "quiet/:1")
    assert crowd.refused == ["busy/:5", "busy/:4", "busy/:3"]
    await crowd.end()
    assert crowd.order == ["busy/:0", "busy/:1", "quiet/:0", "busy/:2", "quiet/:1"]


async def test_a_batch_takes_several_places_and_is_not_overtaken_for_ever() -> None:
    """A heavy request waits until as many places are free, and lighter ones that come later do not take them."""
    crowd = Crowd(FairQueue(4, 4, 20, 60, Clock()))
    await crowd.come("a/:0", "a/:1")
    await crowd.come("b/:0", weight=3)
    await crowd.come("c/:0")
    await crowd.free("a/:0")
    assert crowd.order == ["a/:0", "a/:1", "b/:0"]
    await crowd.free("a/:1")
    assert crowd.order == ["a/:0", "a/:1", "b/:0", "c/:0"]
    await crowd.end()


async def test_a_request_heavier_than_a_share_takes_the_share() -> None:
    """The largest batch gets in, one at a time beside other tenants."""
    crowd = Crowd(FairQueue(8, 2, 20, 60, Clock()))
    await crowd.come("a/:0", weight=100)
    await crowd.come("b/:0", "b/:1", weight=100)
    assert crowd.order == ["a/:0", "b/:0"]
    await crowd.end()


async def test_a_caller_that_goes_away_leaves_its_place() -> None:
    """A request whose caller gives up waits no longer, and its turn passes on."""
    crowd = Crowd(FairQueue(1, 1, 20, 60, Clock()))
    await crowd.come(*named("a", 3))
    await crowd.leave("a/:1")
    await crowd.free("a/:0")
    assert crowd.order == ["a/:0", "a/:2"]
    await crowd.end()


async def test_a_caller_that_goes_away_as_its_turn_comes_loses_no_place() -> None:
    """A place given to a request whose caller gives up in the same turn is free for the next."""
    admission = FairQueue(1, 1, 20, 60, Clock())
    held = await admission.enter("a", "")
    waiting = asyncio.create_task(admission.enter("b", ""))
    await turns()
    admission.leave("a", held)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert admission.inside == 0
    await asyncio.wait_for(admission.enter("c", ""), HANG_S)


async def test_no_request_waits_for_ever() -> None:
    """A request that gets no place within its patience is refused."""
    admission = FairQueue(1, 1, 20, 0.01, Clock())
    held = await admission.enter("a", "")
    with pytest.raises(LogOverloaded):
        await admission.enter("a", "")
    admission.leave("a", held)
    assert admission.inside == 0


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_comes_and_goes_no_place_is_lost(seed: int) -> None:
    """Requests that come, leave, are refused and are cancelled in any order never hold more places than there are."""
    dice = random.Random(seed)
    clock = Clock()
    admission = FairQueue(6, 3, 8, 60, clock)
    crowd = Crowd(admission)
    for number in range(150):
        names = list(crowd._doors)
        act = dice.random()
        if act < 0.5 or not names:
            tenant = dice.choice("abcd")
            await crowd.come(f"{tenant}/{dice.choice('xy')}:{number}", weight=dice.choice([1, 1, 1, 2, 9]))
        elif act < 0.8:
            await crowd.free(dice.choice(names))
        else:
            await crowd.leave(dice.choice(names))
        clock.now += dice.choice([0.0, 0.0, 0.0, 50.0])
        assert sum(admission._held.values()) == admission._places - admission._free >= 0
        assert admission._free >= 0
        assert admission._waiting == sum(queue.count for queue in admission._queues.values()) <= 8
    await crowd.end()


async def test_a_quiet_tenant_loses_no_request_to_any_number_of_floods() -> None:
    """With all places taken and the room full, each request of a tenant with few is served within one round."""
    crowd = Crowd(FairQueue(2, 2, 12, 60, Clock()))
    for tenant in "abc":
        await crowd.come(*named(tenant, 10))
    for number in range(8):
        await crowd.come(f"quiet/:{number}", f"a/:late{number}")
        rounds = 0
        while f"quiet/:{number}" not in crowd.order:
            inside = [name for name in crowd.order if not crowd._doors[name].is_set()]
            await crowd.free(inside[0])
            rounds += 1
        assert rounds <= 4
    assert not [name for name in crowd.refused if name.startswith("quiet")]
    assert Counter(name[0] for name in crowd.refused).keys() == set("abc")
    await crowd.end()
