"""Captures with losses of worker, sealer, disk or server: one state, reason and entry for each."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from acme import LIMITS

from linewarden.diagnostics.captures.ports import LEASE_S
from linewarden.v1 import capture_pb2 as pb
from tests.deadlines import HANG_S
from tests.integration.captures import (
    SECRET,
    alive,
    ended,
    ends,
    evidence,
    files_of,
    gone,
    sealer_of,
    send,
    started,
    worker_of,
    written,
)
from tests.integration.conftest import Client, Site, processes, refusal_of
from tests.integration.diagnosing import RULES, Diagnosing, customer, open_again
from tests.integration.disks import holding, small_disk
from tests.rights import live

pytestmark = live


@pytest.fixture
async def acme(sqlite_site: Site) -> AsyncIterator[Diagnosing]:
    """Yield a customer that has permitted captures."""
    async with customer(sqlite_site) as (diagnosing, _server):
        await diagnosing.permit()
        yield diagnosing


async def test_a_killed_worker(acme: Diagnosing, sqlite_site: Site) -> None:
    """The service seals the packets that a killed worker had masked, and records the loss."""
    id = await started(acme)
    send(10)
    await written(acme, id, 10)
    os.kill(worker_of(id), signal.SIGKILL)
    capture = await ended(acme, id)
    assert (capture.state, capture.stop_reason) == (pb.CAPTURE_STATE_SEALED, pb.CAPTURE_STOP_REASON_WORKER_LOST)
    assert (capture.lossy, capture.counters.written >= 10) == (True, True)
    assert SECRET not in await evidence(acme, id)
    stopped, sealed = ends(sqlite_site)
    assert (stopped["stop_reason"], sealed["kind"]) == ("worker_lost", "capture.sealed")
    assert stopped["detail"] == sealed["detail"] == "the worker was lost"
    assert (sealed["lossy"], sealed["sound"]) == (True, False)
    assert holding(sqlite_site.settings.data_dir, SECRET) == []


async def test_a_killed_sealer(acme: Diagnosing, sqlite_site: Site) -> None:
    """A worker without its sealer stops at once, and no partial file stays."""
    id = await started(acme)
    worker = worker_of(id)
    send(10)
    os.kill(sealer_of(id), signal.SIGKILL)
    capture = await ended(acme, id)
    assert not alive(worker)
    assert (capture.state, capture.stop_reason) == (pb.CAPTURE_STATE_FAILED, pb.CAPTURE_STOP_REASON_WORKER_LOST)
    assert not capture.HasField("evidence")
    assert [one["detail"] for one in ends(sqlite_site)] == ["the sealer was lost"] * 2
    assert holding(sqlite_site.settings.data_dir, SECRET) == []
    assert files_of(sqlite_site, id) == []


async def test_a_full_disk(sqlite_site: Site) -> None:
    """A disk that becomes full is the recorded reason of the failure, and no data stays on it."""
    limits = pb.CaptureLimits()
    limits.CopyFrom(LIMITS)
    limits.bytes, limits.packets = 64 << 20, 1_000_000
    with small_disk(sqlite_site.settings.data_dir / "small") as folder:
        async with customer(sqlite_site, evidence_dir=folder) as (acme, _server):
            await acme.permit()
            id = await started(acme, limits=limits)
            async with asyncio.timeout(HANG_S):
                while (capture := await acme.capture(id)).state == pb.CAPTURE_STATE_RUNNING:
                    send(300)
                    assert holding(sqlite_site.settings.data_dir, SECRET) == []
            capture = await ended(acme, id)
            assert (capture.state, capture.stop_reason) == (pb.CAPTURE_STATE_FAILED, pb.CAPTURE_STOP_REASON_DISK_LOW)
            assert not capture.HasField("evidence")
        stopped, failed = ends(sqlite_site)
        assert (stopped["stop_reason"], failed["kind"]) == ("disk_low", "capture.failed")
        assert stopped["detail"] == failed["detail"] == "there was no room for the evidence"
        assert [one.name for one in folder.iterdir()] == ["folder-id"]
        assert holding(sqlite_site.settings.data_dir, SECRET) == []


async def test_why_a_worker_did_not_begin_is_told(sqlite_site: Site) -> None:
    """The log records a missing interface as the cause of a failed start, without its name."""
    places = sqlite_site.settings.data_dir / "gone.toml"
    places.write_text('[acme]\ninterfaces = ["lwnone0"]\n')
    async with customer(sqlite_site, places_file=places) as (acme, _server):
        await acme.permit()
        id = await acme.armed(interface="lwnone0")
        assert await acme.refused("StartCapture", capture_id=id) == "DIAGNOSIS_UNAVAILABLE"
        capture = await acme.capture(id)
        assert (capture.state, capture.stop_reason) == (pb.CAPTURE_STATE_FAILED, pb.CAPTURE_STOP_REASON_ERROR)
    assert [one["detail"] for one in ends(sqlite_site)] == ["the interface cannot be captured from"] * 2
    assert files_of(sqlite_site, id) == []


async def test_evidence_is_read_and_deleted_where_it_lies(acme: Diagnosing, sqlite_site: Site) -> None:
    """Only a server that shares the evidence folder hands evidence out and deletes it."""
    id = await started(acme)
    await acme.ask("StopCapture", capture_id=id)
    await ended(acme, id)
    data = sqlite_site.settings.data_dir
    async with open_again(sqlite_site, evidence_dir=data / "elsewhere") as (other, _server):
        assert await other.refused("DeleteCapture", capture_id=id) == "DIAGNOSIS_UNAVAILABLE"
    assert files_of(sqlite_site, id) == [f"{id}.pcapng.age", f"{id}.seal"]
    assert (await acme.capture(id)).state == pb.CAPTURE_STATE_SEALED
    async with open_again(sqlite_site, evidence_dir=(data / "evidence").rename(data / "moved")) as (other, _server):
        answer = await other.ask("DeleteCapture", capture_id=id)
        assert answer.capture.state == pb.CAPTURE_STATE_DELETED
    assert [one.name for one in (data / "moved").iterdir()] == ["folder-id"]


async def test_evidence_elsewhere_is_not_handed_out(acme: Diagnosing, sqlite_site: Site) -> None:
    """A server that does not have the file says so, and a server that has it hands it out."""
    id = await started(acme)
    await acme.ask("StopCapture", capture_id=id)
    await ended(acme, id)
    async with open_again(sqlite_site, evidence_dir=sqlite_site.settings.data_dir / "elsewhere") as (other, _server):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await evidence(other, id)
        assert refusal_of(caught.value).reason == "DIAGNOSIS_UNAVAILABLE"
    async with open_again(sqlite_site) as (other, _server):
        assert b"T-4711" in await evidence(other, id)


async def test_evidence_of_a_server_that_is_killed(sqlite_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a kill of the server its sealer closes the file, and the next server records it as sealed and lossy."""
    data = Path(sqlite_site.settings.data_dir)
    id = await killed(sqlite_site)
    assert files_of(sqlite_site, id) == [f"{id}.pcapng.age", f"{id}.seal"]
    async with found_again(sqlite_site, monkeypatch, id) as (acme, capture):
        assert (capture.state, capture.stop_reason) == (pb.CAPTURE_STATE_SEALED, pb.CAPTURE_STOP_REASON_LEASE_LOST)
        assert capture.lossy
        assert capture.counters.written <= 20, "the counters are those of the last renewal of the lease"
        plain = await evidence(acme, id)
        assert b"MESSAGE sip:bob@example" in plain
        assert SECRET not in plain
        stopped, sealed = ends(sqlite_site)
        assert (stopped["stop_reason"], sealed["kind"], sealed["sound"]) == ("lease_lost", "capture.sealed", False)
        assert sealed["evidence"]["sealed_sha256"] == capture.evidence.sealed_sha256
        assert holding(data, SECRET) == []
        await acme.ask("DeleteCapture", capture_id=id)
        assert files_of(sqlite_site, id) == []


@pytest.mark.parametrize("loss", ["no seal", "changed"])
async def test_evidence_that_is_not_whole_after_a_kill(
    sqlite_site: Site, monkeypatch: pytest.MonkeyPatch, loss: str
) -> None:
    """The next server fails a capture whose file lacks its seal or differs from it, and deletes the file."""
    id = await killed(sqlite_site)
    folder = Path(sqlite_site.settings.data_dir) / "evidence"
    if loss == "no seal":
        (folder / f"{id}.seal").unlink()
    else:
        with (folder / f"{id}.pcapng.age").open("ab") as file:
            file.write(b"x")
    async with found_again(sqlite_site, monkeypatch, id) as (_acme, capture):
        assert (capture.state, capture.stop_reason) == (pb.CAPTURE_STATE_FAILED, pb.CAPTURE_STOP_REASON_LEASE_LOST)
    assert [one["detail"] for one in ends(sqlite_site)] == ["the server was lost, and no whole evidence was found"] * 2
    assert files_of(sqlite_site, id) == []


async def killed(site: Site) -> str:
    """Return a capture whose server was killed in the middle of it, and whose worker has since ended."""
    data = Path(site.settings.data_dir)
    (data / "places.toml").write_text('[acme]\ninterfaces = ["lo"]\n')
    stated = {"LINEWARDEN_PLACES_FILE": "places.toml", "LINEWARDEN_CAPTURE_MIN_DISK_FREE": "0"}
    async with processes(site, 1, **stated) as (server,):
        async with Client(server.address, site.token) as client:
            acme = Diagnosing(client)
            await client.change(add=RULES)
            await acme.permit()
            id = await started(acme)
            worker, sealer = worker_of(id, server.process.pid), sealer_of(id, server.process.pid)
            send()
            await written(acme, id, 20)
        server.kill()
    await gone(worker, sealer)
    return id


@asynccontextmanager
async def found_again(
    site: Site, monkeypatch: pytest.MonkeyPatch, id: str
) -> AsyncIterator[tuple[Diagnosing, pb.Capture]]:
    """Yield the next server once it has ended the capture; a second replaces the usual lease and grace."""
    monkeypatch.setattr("linewarden.diagnostics.captures.sweeper.GRACE_S", 1.0 - LEASE_S)
    monkeypatch.setattr("linewarden.server.diagnostics.assembly.SWEEP_INTERVAL_S", 0.2)
    async with open_again(site) as (acme, _server):
        yield acme, await ended(acme, id)
