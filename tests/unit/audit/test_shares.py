"""Shares of long work: turns between tenants, bounds in bytes, and abandoned work."""

import asyncio
import threading

import pytest

from linewarden.audit.errors import LogOverloaded, LogUnavailable
from linewarden.audit.pace import paced
from linewarden.audit.shares import ALL_BYTES, LARGE_BYTES, LEAST_BYTES, TENANT_BYTES, TENANT_THREADS, THREADS, Shares
from tests.deadlines import HANG_S


async def test_one_tenant_leaves_threads_for_others() -> None:
    """Work of a tenant begins at once beside any amount of another's."""
    shares, end = Shares(), threading.Event()
    with shares.admitted(1) as busy, shares.admitted(2) as quiet:
        long = [asyncio.create_task(busy.run(HANG_S, end.wait)) for _ in range(3 * THREADS)]
        await asyncio.sleep(0)
        assert await quiet.run(HANG_S, lambda: "done") == "done"
        end.set()
        assert await asyncio.gather(*long) == [True] * len(long)


async def test_large_work_is_done_one_at_a_time() -> None:
    """Long work runs one at a time, and small work passes it."""
    shares, end = Shares(), threading.Event()
    together = [0, 0]

    def work() -> None:
        together[0] += 1
        together[1] = max(together)
        end.wait()
        together[0] -= 1

    with shares.admitted(1, LARGE_BYTES) as one, shares.admitted(2, LARGE_BYTES) as two, shares.admitted(3) as small:
        running = [asyncio.create_task(share.run(HANG_S, work)) for share in (one, two, one, two)]
        await asyncio.sleep(0)
        assert await small.run(HANG_S, lambda: "done") == "done"
        end.set()
        await asyncio.gather(*running)
    assert together == [0, 1]


async def test_tenants_take_turns() -> None:
    """A tenant that comes later does not wait for all the work of an earlier one."""
    shares, gate = Shares(), threading.Event()
    order: list[int] = []
    with shares.admitted(0) as zero, shares.admitted(1) as one, shares.admitted(2) as two, shares.admitted(3) as three:
        filled = [asyncio.create_task(share.run(HANG_S, gate.wait)) for share in (zero, zero, three, three)]
        await asyncio.sleep(0)
        many = [asyncio.create_task(one.run(HANG_S, order.append, 1)) for _ in range(20)]
        await asyncio.sleep(0)
        late = asyncio.create_task(two.run(HANG_S, order.append, 2))
        await asyncio.sleep(0)
        gate.set()
        await asyncio.gather(*filled, *many, late)
    assert order.index(2) <= TENANT_THREADS + THREADS


def test_bytes_in_work_are_bounded() -> None:
    """Each tenant and all tenants together have a bound in bytes, and finished work makes room again."""
    shares = Shares()
    with shares.admitted(1, TENANT_BYTES):
        with pytest.raises(LogOverloaded), shares.admitted(1):
            pass
        held = [shares.admitted(tenant, TENANT_BYTES) for tenant in range(2, 1 + ALL_BYTES // TENANT_BYTES)]
        for one in held:
            one.__enter__()
        with pytest.raises(LogOverloaded), shares.admitted(9):
            pass
        held[0].__exit__(None, None, None)
        with shares.admitted(9, TENANT_BYTES - LEAST_BYTES), shares.admitted(9):
            pass


def test_one_text_beyond_the_bound_is_admitted() -> None:
    """The largest policy file is accepted: alone for its tenant, and one such file at a time."""
    shares = Shares()
    with shares.admitted(1, 4 * TENANT_BYTES):
        with pytest.raises(LogOverloaded), shares.admitted(2, 4 * TENANT_BYTES):
            pass
        with shares.admitted(2, TENANT_BYTES):
            pass
    with shares.admitted(1), pytest.raises(LogOverloaded), shares.admitted(1, 4 * TENANT_BYTES):
        pass


def test_empty_requests_count_too() -> None:
    """Requests without text are bounded in number, because each counts for some bytes."""
    shares = Shares()
    held = [shares.admitted(1) for _ in range(TENANT_BYTES // LEAST_BYTES)]
    for one in held:
        one.__enter__()
    with pytest.raises(LogOverloaded), shares.admitted(1):
        pass


async def test_work_that_waits_in_vain_is_dropped() -> None:
    """Work of a request that has given up does not begin, or ends at its next pause."""
    shares, end, begun = Shares(), threading.Event(), threading.Event()
    ended = threading.Event()

    def endless() -> None:
        begun.set()
        try:
            for _ in paced(iter(int, 1)):
                pass
        finally:
            ended.set()

    with shares.admitted(1) as share:
        blocked = asyncio.create_task(share.run(HANG_S, end.wait))
        running = asyncio.create_task(share.run(HANG_S, endless))
        await asyncio.to_thread(begun.wait)
        never: list[int] = []
        with pytest.raises(LogUnavailable):
            await share.run(0.01, never.append, 1)
        running.cancel()
        assert await asyncio.to_thread(ended.wait, HANG_S)
        end.set()
        await blocked
        assert await share.run(HANG_S, lambda: "done") == "done"
        assert never == []


async def test_faults_come_to_the_request() -> None:
    """An exception in the work is raised where the request waits for it."""

    def wrong() -> None:
        raise KeyError("wrong")

    with Shares().admitted(1) as share, pytest.raises(KeyError):
        await share.run(HANG_S, wrong)
