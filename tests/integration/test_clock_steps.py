"""Wall clocks that are set: expired things stay expired, log times do not fall, and each step is an entry."""

import asyncio
import itertools

import grpc
from click.testing import CliRunner

from linewarden.audit.clock import Clock
from linewarden.audit.housekeeping import Housekeeper
from linewarden.cli import main
from linewarden.server.bootstrap import now_us
from linewarden.v1 import access_pb2
from tests.integration.conftest import TENANT, Client, Site, check_request, serving

ALLOW, DENY = access_pb2.EFFECT_ALLOW, access_pb2.EFFECT_DENY
HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US


class Wall:
    """A wall clock that a test can set."""

    def __init__(self) -> None:
        self.ahead_us = 0

    def __call__(self) -> int:
        """Return the time that it shows."""
        return now_us() + self.ahead_us


async def test_an_expired_key_stays_expired(site: Site) -> None:
    """The server refuses an expired key after the clock was set back, while it runs and after a restart."""
    wall = Wall()
    _, token = site.key(expires_us=now_us() + HOUR_US)
    question = check_request("bob", "play", "voicemail", "1", owner="bob")
    async with serving(site, clock=wall) as running, Client(running.addresses[0], token) as client:
        await client.call(client.access.Check, question)
        wall.ahead_us = 2 * HOUR_US
        assert (await client.refused(client.access.Check, question)).code is grpc.StatusCode.UNAUTHENTICATED
        async with Client(running.addresses[0], site.token) as other:
            await other.call(other.access.Check, question)
        wall.ahead_us = -HOUR_US
        assert (await client.refused(client.access.Check, question)).code is grpc.StatusCode.UNAUTHENTICATED
    async with serving(site, clock=wall) as running, Client(running.addresses[0], token) as client:
        assert (await client.refused(client.access.Check, question)).code is grpc.StatusCode.UNAUTHENTICATED


async def test_an_expired_rule_stays_expired(site: Site) -> None:
    """An expired rule allows nothing after the clock was set back by thirty days."""
    wall = Wall()
    async with serving(site, clock=wall) as running, Client(running.addresses[0], site.token) as client:
        await client.change(add=["allow dora play voicemail any if until=2100-01-01T00:00:00Z"])
        assert (await client.check("dora", "play", "voicemail", "1", owner="bob")).decision.effect == ALLOW
        wall.ahead_us = 100 * 365 * DAY_US
        assert (await client.check("dora", "play", "voicemail", "1", owner="bob")).decision.effect == DENY
        wall.ahead_us = -30 * DAY_US
        assert (await client.check("dora", "play", "voicemail", "1", owner="bob")).decision.effect == DENY
    async with serving(site, clock=wall) as running, Client(running.addresses[0], site.token) as client:
        assert (await client.check("dora", "play", "voicemail", "1", owner="bob")).decision.effect == DENY
    times = [entry["time"] for entry in site.entries()]
    assert all(later >= earlier - 5_000_000 for earlier, later in itertools.pairwise(times))


async def test_a_process_whose_clock_is_behind_decides_by_the_time_of_the_log(site: Site) -> None:
    """A server whose clock is an hour behind another's continues from the log's latest time, without a refusal."""
    ahead, behind = Wall(), Wall()
    ahead.ahead_us = HOUR_US
    async with (
        serving(site, clock=behind) as late,
        serving(site, clock=ahead) as early,
        Client(late.addresses[0], site.token) as one,
        Client(early.addresses[0], site.token) as other,
    ):
        for number in range(6):
            for client in (other, one):
                await client.check("bob", "play", "voicemail", f"{number}", owner="bob")
    times = [entry["time"] for entry in site.entries() if entry["kind"] == "decision"][-11:]
    assert max(times) - min(times) < HOUR_US / 2


async def test_a_step_of_the_clock_is_an_entry_of_every_log(site: Site) -> None:
    """The housekeeper records the step of a clock, with the expected time and the shown one."""
    wall = Wall()
    storage = site.storage
    clock = Clock(wall, now_us, lambda: storage.log.marks.latest_us)
    indexer = storage.indexer(storage.directory(_Silent()))
    key_holder = Housekeeper(
        storage.log,
        indexer,
        storage.checkpoints(),
        checkpoint_s=1,
        heartbeat_s=600,
        clock=clock,
        on_fault=lambda _log, fault: (_ for _ in ()).throw(fault),
    )
    key_holder.round()
    wall.ahead_us = -HOUR_US
    key_holder.round()
    for tenant in ("", TENANT):
        (step,) = [entry for entry in site.entries(tenant) if entry["kind"] == "clock.stepped"]
        assert HOUR_US * 0.99 < step["expected"] - step["found"] < HOUR_US * 1.01


async def test_the_operator_takes_a_clock_back_that_was_ahead(site: Site) -> None:
    """`recover --clock` sets the time of the logs back by an entry, after a clock was years ahead by accident."""
    wall = Wall()
    wall.ahead_us = 400 * DAY_US
    async with serving(site, clock=wall) as running, Client(running.addresses[0], site.token) as client:
        await client.check("bob", "play", "voicemail", "1", owner="bob")
    config = str(site.settings.data_dir / "linewarden.toml")
    done = CliRunner().invoke(main, ["recover", "--config", config, "--clock", "--reason", "a wrong time server"])
    assert done.exit_code == 0, done.output
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        await client.check("bob", "play", "voicemail", "2", owner="bob")
    kinds = {entry["kind"]: entry for entry in site.entries()}
    assert kinds["clock.corrected"]["reason"] == "a wrong time server"
    assert site.entries()[-1]["time"] < now_us() + HOUR_US


class _Silent:
    def append(self, unit: object) -> "asyncio.Future[int]":
        """Fail, because housekeeping introduces no person."""
        raise AssertionError(unit)
