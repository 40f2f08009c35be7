"""Floods for longer and with more callers than `make test` has time for."""

import asyncio
import time
from statistics import quantiles

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from linewarden.v1 import access_pb2, access_pb2_grpc
from tests.deadlines import HANG_S
from tests.integration.conftest import OTHER_TENANT, TENANT, Client, Site, processes
from tests.integration.floods import OK, bearer, channels, flooding, outcome_of, question, quiet_calls

pytestmark = pytest.mark.soak

OVERLOADED = ("UNAVAILABLE", "OVERLOADED")


async def times_of(channel: grpc.aio.Channel, token: str, seconds: float) -> list[float]:
    """Return the times of the quiet tenant's sequential calls, all answered, in milliseconds: at least ten."""
    times = list[float]()
    end = time.monotonic() + seconds
    while len(times) < 10 or time.monotonic() < end:
        began = time.perf_counter()
        assert await quiet_calls(channel, token, 1) == [OK]
        times.append((time.perf_counter() - began) * 1e3)
    return times


@pytest.mark.parametrize("callers", [1_600, 6_400])
async def test_beside_any_flood_a_quiet_tenant_is_refused_nothing(
    site: Site, callers: int, seconds: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server answers all calls of a tenant beside thousands of another's; the test prints the ratios."""
    _, token = site.key(tenants=(OTHER_TENANT,))
    async with (
        processes(site) as (server,),
        channels(server.address, -(-callers // 100)) as many,
        channels(server.address, 1) as (own,),
    ):
        alone = quantiles(await times_of(own, token, seconds / 2), n=10)
        async with flooding(many, callers, site.token, TENANT) as flood:
            await flood.heard(callers)
            beside = quantiles(await times_of(own, token, seconds / 2), n=10)
        with capsys.disabled():
            ratios = f"p50 x {beside[4] / alone[4]:.1f}, p90 x {beside[8] / alone[8]:.1f}"
            print(f"\n{callers} calls at a time beside a quiet tenant: {ratios}")  # noqa: T201 - a soak test tells
        assert set(flood.outcomes) <= {OK, OVERLOADED}


async def test_thousands_of_wrong_keys_cost_callers_no_call(sqlite_site: Site) -> None:
    """The server refuses 5,400 wrong keys at a time and answers each call with a key."""
    async with (
        processes(sqlite_site) as (server,),
        channels(server.address, 54) as many,
        channels(server.address, 1) as (own,),
        flooding(many, 5_400, "lw_00000000_wrong", TENANT) as flood,
    ):
        await flood.heard(5_400)
        assert await quiet_calls(own, sqlite_site.token, 20, TENANT) == [OK] * 20
        assert set(flood.outcomes) == {("UNAUTHENTICATED", "CREDENTIALS_INVALID")}


async def test_thousands_of_watchers_without_a_key_cost_callers_no_call(sqlite_site: Site) -> None:
    """The server answers health and checks beside 4,000 Watch streams of strangers over five connections."""
    async with (
        processes(sqlite_site) as (server,),
        channels(server.address, 5) as strangers,
        Client(server.address, sqlite_site.token) as client,
    ):
        stubs = [health_pb2_grpc.HealthStub(one) for one in strangers]
        watches = [stubs[n % 5].Watch(health_pb2.HealthCheckRequest()) for n in range(4_000)]
        assert await quiet_calls(client.channel, sqlite_site.token, 20, TENANT) == [OK] * 20
        health = health_pb2_grpc.HealthStub(client.channel).Check(health_pb2.HealthCheckRequest(), timeout=HANG_S)
        assert await outcome_of(health) == OK
        for watch in watches:
            watch.cancel()


async def test_thousands_of_silent_streams_cost_others_no_call(sqlite_site: Site) -> None:
    """The server answers another tenant beside 4,200 silent CheckStreams of one tenant."""
    _, token = sqlite_site.key(tenants=(OTHER_TENANT,))
    async with processes(sqlite_site) as (server,), channels(server.address, 42) as made:
        stubs = [access_pb2_grpc.AccessServiceStub(one) for one in made]
        streams = [stubs[n % 42].CheckStream(metadata=bearer(token)) for n in range(4_200)]
        for stream in streams:
            try:
                await stream.write(access_pb2.CheckStreamRequest(check=question(OTHER_TENANT)))
            except (asyncio.InvalidStateError, grpc.aio.AioRpcError):  # beyond the bound
                continue
        async with channels(server.address, 1) as (own,):
            assert await quiet_calls(own, sqlite_site.token, 20, TENANT) == [OK] * 20
        for stream in streams:
            stream.cancel()


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", range(5))
async def test_no_stop_ends_a_call_as_cancelled(site: Site, workers: str, number: int) -> None:
    """The server answers each call of 24 callers or ends it with UNAVAILABLE, stop after stop."""
    async with processes(site, LINEWARDEN_WORKERS=workers) as (server,):
        async with channels(server.address, 24) as made, flooding(made, 24, site.token, TENANT) as flood:
            await flood.heard(200 + 50 * number)
            server.terminate()
            assert await server.ended() == 0
        assert {status for status, _ in flood.outcomes} == {"OK", "UNAVAILABLE"}
