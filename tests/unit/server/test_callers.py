"""Callers: keys that are read again, and those who wait for it."""

import asyncio
import threading
import time

import pytest

from linewarden.server.callers import Callers
from linewarden.server.credentials import KeySet, new_key
from linewarden.server.errors import CredentialsInvalid
from tests.deadlines import HANG_S

_NOW_US = 1_000_000


class Store:
    """Stored keys, and how often they were read. Reading waits while `held`."""

    def __init__(self) -> None:
        self.keys = KeySet(0, ())
        self.reads = 0
        self.held = threading.Event()
        self.held.set()

    def load(self) -> KeySet:
        """Read them."""
        self.reads += 1
        assert self.held.wait(HANG_S)
        return self.keys


async def test_unknown_keys_share_a_read() -> None:
    """However many unknown keys wait, they cost few reads."""
    store = Store()
    callers = Callers(store.load, lambda: _NOW_US)
    await callers.refresh()
    unknown = [callers.admit(f"lw_0000000{n % 10}_x{n}") for n in range(200)]
    results = await asyncio.gather(*unknown, return_exceptions=True)
    assert all(isinstance(one, CredentialsInvalid) for one in results)
    assert store.reads <= 4


async def test_unknown_keys_hold_up_no_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A renewal of the keys is not behind the unknown keys that wait for their turn to read them."""
    monkeypatch.setattr("linewarden.server.callers.RELOAD_INTERVAL_S", HANG_S)
    store = Store()
    callers = Callers(store.load, lambda: _NOW_US)
    await callers.refresh()
    unknown = [asyncio.create_task(callers.admit(f"lw_00000000_{n}")) for n in range(200)]
    await asyncio.sleep(0)
    await callers.refresh()
    assert not any(one.done() for one in unknown)
    for one in unknown:
        one.cancel()
    await asyncio.gather(*unknown, return_exceptions=True)


async def test_a_new_key_opens_while_unknown_ones_wait() -> None:
    """A key made a moment ago is found by the read that it waits for, among any number of wrong ones."""
    store = Store()
    callers = Callers(store.load, lambda: _NOW_US)
    await callers.refresh()
    wrong = [asyncio.create_task(callers.admit(f"lw_00000000_{n}")) for n in range(500)]
    key, token = new_key("backend", ("acme",), ("*",), _NOW_US)
    store.keys = KeySet(1, (key,))
    assert (await callers.admit(token))[0] == key
    await asyncio.gather(*wrong, return_exceptions=True)


async def test_a_read_that_began_before_the_question_does_not_answer_it() -> None:
    """Keys read from before a renewal was asked for are read once more."""
    store = Store()
    callers = Callers(store.load, lambda: _NOW_US)
    store.held.clear()
    first = asyncio.create_task(callers.refresh())
    while not store.reads:  # noqa: ASYNC110 - it happens in a thread
        await asyncio.sleep(0.001)
    key, token = new_key("backend", ("acme",), ("*",), _NOW_US)
    before = time.monotonic()
    second = asyncio.create_task(callers.refresh())
    await asyncio.sleep(0)
    store.keys = KeySet(1, (key,))
    store.held.set()
    await asyncio.gather(first, second)
    assert before <= callers._loaded_at
    assert callers.authenticate(token)[0] == key


async def test_a_renewal_that_is_given_up_leaves_the_read_to_others() -> None:
    """A caller that goes away while keys are read does not cancel the read for others."""
    store = Store()
    callers = Callers(store.load, lambda: _NOW_US)
    store.held.clear()
    gone, stays = (asyncio.create_task(callers.refresh()) for _ in range(2))
    while not store.reads:  # noqa: ASYNC110 - it happens in a thread
        await asyncio.sleep(0.001)
    gone.cancel()
    store.held.set()
    await stays
    with pytest.raises(asyncio.CancelledError):
        await gone
