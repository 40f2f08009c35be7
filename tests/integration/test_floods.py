"""Floods: strangers and busy tenants can do little harm to other callers."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from linewarden.server.bootstrap import now_us, start
from linewarden.server.connections import connection_limit
from linewarden.v1 import access_pb2, access_pb2_grpc, core_pb2
from tests.deadlines import HANG_S
from tests.integration.conftest import OTHER_TENANT, TENANT, Client, Site, processes, refusal_of, serving
from tests.integration.floods import OK, bearer, channels, flooding, outcome_of, question, quiet_calls
from tests.integration.forked_python import forked_python

pytestmark = pytest.mark.usefixtures("each_transport")

OVERLOADED = ("UNAVAILABLE", "OVERLOADED")


async def first_of(call: Any) -> Any:
    """Return the first answer of a stream, or status and reason of its refusal."""
    try:
        return await call.read()
    except grpc.aio.AioRpcError as error:
        return error.code().name, refusal_of(error).reason


async def test_watchers_without_a_key_take_no_place(sqlite_site: Site) -> None:
    """The server bounds Watch streams of strangers separately, and answers checks and health beside them."""
    async with (
        serving(sqlite_site, max_concurrent_requests=20) as running,
        channels(running.addresses[0], 4) as strangers,
        Client(running.addresses[0], sqlite_site.token) as client,
    ):
        stubs = [health_pb2_grpc.HealthStub(one) for one in strangers]
        watches = [stubs[n % 4].Watch(health_pb2.HealthCheckRequest(), timeout=HANG_S) for n in range(100)]
        told = await asyncio.gather(*map(first_of, watches))
        assert (await client.check("bob", "play", "voicemail", "1", owner="bob")).decision.effect
        health = health_pb2_grpc.HealthStub(client.channel)
        answer = await health.Check(health_pb2.HealthCheckRequest(), timeout=HANG_S)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
        assert told.count(OVERLOADED) == 100 - 4 * 8


async def test_reflection_without_a_key_takes_no_place(sqlite_site: Site) -> None:
    """The server bounds reflection streams of strangers separately, too."""

    async def silence() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        await asyncio.sleep(HANG_S)

    async with (
        serving(sqlite_site, max_concurrent_requests=20, reflection=True) as running,
        channels(running.addresses[0], 2) as strangers,
        Client(running.addresses[0], sqlite_site.token) as client,
    ):
        stubs = [reflection_pb2_grpc.ServerReflectionStub(one) for one in strangers]
        calls = [stubs[n % 2].ServerReflectionInfo(silence(), timeout=HANG_S) for n in range(60)]
        told = await asyncio.gather(*map(first_of, calls))
        assert told.count(OVERLOADED) == 60 - 2 * 8
        assert (await client.check("bob", "play", "voicemail", "1", owner="bob")).decision.effect


async def test_a_watcher_that_does_not_read_holds_up_nothing(sqlite_site: Site) -> None:
    """Health changes and the server stops although a watcher reads nothing of its stream."""
    async with serving(sqlite_site) as running, channels(running.addresses[0], 1) as (stranger,):
        stub = health_pb2_grpc.HealthStub(stranger)
        call = stub.Watch(health_pb2.HealthCheckRequest(), timeout=HANG_S)
        assert (await call.read()).status == health_pb2.HealthCheckResponse.SERVING
        for _ in range(200):
            for status in (health_pb2.HealthCheckResponse.NOT_SERVING, health_pb2.HealthCheckResponse.SERVING):
                await asyncio.wait_for(running._health.set("", status), HANG_S)
        assert (await call.read()).status


async def test_silent_streams_hold_no_place_and_have_a_bound(sqlite_site: Site) -> None:
    """The server bounds the streams of a tenant, and silent ones leave all places to other callers."""
    _, token = sqlite_site.key(tenants=(OTHER_TENANT,))
    async with (
        serving(sqlite_site, max_concurrent_requests=20, max_streams=50) as running,
        channels(running.addresses[0], 2) as made,
        Client(running.addresses[0], sqlite_site.token) as client,
    ):
        stubs = [access_pb2_grpc.AccessServiceStub(one) for one in made]
        calls: list[Any] = [stubs[n % 2].CheckStream(metadata=bearer(token), timeout=HANG_S) for n in range(80)]
        for call in calls:
            try:
                await call.write(access_pb2.CheckStreamRequest(check=question(OTHER_TENANT)))
            except (asyncio.InvalidStateError, grpc.aio.AioRpcError):  # it was refused before it could ask
                continue
        told = await asyncio.gather(*map(first_of, calls))
        assert (await client.check("bob", "play", "voicemail", "1", owner="bob")).decision.effect
        assert sum(isinstance(one, access_pb2.CheckStreamResponse) for one in told) == 50
        # A client that writes while its refusal arrives sees an error of its own in place of the refusal.
        assert {one for one in told if isinstance(one, tuple)} <= {OVERLOADED, ("INTERNAL", "")}
        assert told.count(OVERLOADED) >= 20


async def test_a_silent_stream_ends(sqlite_site: Site) -> None:
    """The server ends a stream that is silent for the configured time with a status that says so."""
    async with (
        serving(sqlite_site, max_stream_idle_seconds=2) as running,
        Client(running.addresses[0], sqlite_site.token) as client,
    ):
        call: Any = client.access.CheckStream(metadata=client.metadata, timeout=HANG_S)
        for _ in range(4):
            await call.write(access_pb2.CheckStreamRequest(check=question(TENANT)))
            assert (await call.read()).check.decision.effect
            await asyncio.sleep(0.5)
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await call.read()
        refusal = refusal_of(ended.value)
        assert (refusal.reason, refusal.metadata) == ("STREAM_LIMIT_EXCEEDED", {"limit": "idle"})


@pytest.mark.slow
async def test_beside_a_flood_a_quiet_tenant_is_refused_nothing(site: Site) -> None:
    """The server refuses calls of one tenant beyond its share with OVERLOADED, and answers each of another's."""
    _, token = site.key(tenants=(OTHER_TENANT,))
    limits: dict[str, Any] = {"LINEWARDEN_MAX_CONCURRENT_REQUESTS": "40", "LINEWARDEN_APPEND_TIMEOUT_MS": "60000"}
    async with processes(site, python=forked_python(), **limits) as (server,):
        async with (
            channels(server.address, 4) as many,
            channels(server.address, 1) as (own,),
            flooding(many, 100, site.token, TENANT) as flood,
        ):
            await flood.heard(100)
            assert await quiet_calls(own, token, 10) == [OK] * 10
        assert set(flood.outcomes) == {OK, OVERLOADED}


@pytest.mark.slow
async def test_beside_wrong_keys_a_caller_is_refused_nothing(sqlite_site: Site) -> None:
    """The server refuses a flood of unknown keys, and answers every call with a valid key."""
    async with processes(sqlite_site, python=forked_python()) as (server,):
        async with (
            channels(server.address, 4) as many,
            channels(server.address, 1) as (own,),
            flooding(many, 200, "lw_00000000_wrong", TENANT) as flood,
        ):
            await flood.heard(200)
            assert await quiet_calls(own, sqlite_site.token, 10, TENANT) == [OK] * 10
        assert set(flood.outcomes) == {("UNAUTHENTICATED", "CREDENTIALS_INVALID")}


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["1", "2"])
async def test_a_stop_ends_no_call_as_cancelled(site: Site, workers: str) -> None:
    """On SIGTERM each process answers each call or ends it with UNAVAILABLE."""
    async with processes(site, python=forked_python(), LINEWARDEN_WORKERS=workers) as (server,):
        async with channels(server.address, 8) as made, flooding(made, 24, site.token, TENANT) as flood:
            await flood.heard(48)
            server.terminate()
            assert await server.ended() == 0
        assert {status for status, _ in flood.outcomes} == {"OK", "UNAVAILABLE"}
        assert ("UNAVAILABLE", "STOPPING") in flood.outcomes


async def test_a_stop_ends_open_streams_with_its_reason(sqlite_site: Site) -> None:
    """A stopping server ends an open stream with the reason that it stops."""
    running = await start(sqlite_site.settings)
    async with Client(running.addresses[0], sqlite_site.token) as client:
        call: Any = client.access.CheckStream(metadata=client.metadata, timeout=HANG_S)
        await call.write(access_pb2.CheckStreamRequest(check=question(TENANT)))
        assert (await call.read()).check.decision.effect
        await running.drain(5)
        assert await first_of(call) == ("UNAVAILABLE", "STOPPING")


async def test_silent_connections_leave_room(sqlite_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """The server bounds connections below the limit of files and ends silent ones, so that others can connect."""
    monkeypatch.setattr("linewarden.server.connections.HANDSHAKE_S", 1)
    async with serving(sqlite_site, max_connections=30) as running:
        host, port = running.addresses[0].rsplit(":", 1)
        with ExitStack() as stack:
            silent = [stack.enter_context(socket.create_connection((host, int(port)))) for _ in range(60)]
            async with Client(running.addresses[0], sqlite_site.token) as client:
                call = client.access.Check(
                    question(TENANT), metadata=client.metadata, timeout=HANG_S, wait_for_ready=True
                )
                assert await outcome_of(call) == OK
            for one in silent:
                one.settimeout(HANG_S)
                assert await asyncio.to_thread(_ends, one)


def _ends(one: socket.socket) -> bool:
    """Read to the end of the server's output."""
    try:
        while one.recv(4096):
            pass
    except ConnectionResetError:
        pass
    return True


def test_the_bound_of_connections_leaves_files_for_the_databases() -> None:
    """At any limit of files at least one connection fits, and the files reserved for databases stay free."""
    assert [connection_limit(4_000, files) for files in (64, 1_024, 4_256, 1_048_576)] == [1, 768, 4_000, 4_000]


async def test_an_answer_does_not_outlive_its_key(sqlite_site: Site) -> None:
    """In each kind of answer `expires_at` is never later than the end of the caller's key."""
    end_us = now_us() + 20_000_000
    _, token = sqlite_site.key(expires_us=end_us)
    async with serving(sqlite_site) as running, Client(running.addresses[0], token) as client:
        single = await client.check("bob", "play", "voicemail", "1", owner="bob")
        one = question(TENANT)
        items = [access_pb2.CheckItem(verb=one.verb, resource=one.resource)]
        request = access_pb2.CheckBatchRequest(
            header=core_pb2.RequestHeader(tenant=TENANT, subject=one.header.subject), items=items
        )
        batch = await client.call(client.access.CheckBatch, request)
        call: Any = client.access.CheckStream(metadata=client.metadata, timeout=HANG_S)
        await call.write(access_pb2.CheckStreamRequest(check=one))
        for answer in (single, batch, (await call.read()).check):
            assert answer.expires_at.ToMicroseconds() == end_us
        await call.done_writing()
