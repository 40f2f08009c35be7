"""Captures that run on loopback: each reason to stop, the sealed evidence, and the notices meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from acme import LIMITS

from linewarden.server.bootstrap import Running
from linewarden.v1 import attestation_pb2, capture_pb2, notice_pb2
from tests.deadlines import FACTOR
from tests.integration.captures import SECRET, ended, evidence, send, started, watch, written
from tests.integration.conftest import Site
from tests.integration.diagnosing import RULES, Diagnosing, asked, customer, open_again
from tests.integration.disks import holding
from tests.rights import live

pytestmark = live


@pytest.fixture
async def running(sqlite_site: Site) -> AsyncIterator[tuple[Diagnosing, Running]]:
    """Yield a customer that has permitted captures, and its server."""
    async with customer(sqlite_site) as (diagnosing, server):
        await diagnosing.permit()
        yield diagnosing, server


@pytest.fixture
def acme(running: tuple[Diagnosing, Running]) -> Diagnosing:
    """Return a customer that has permitted captures."""
    return running[0]


async def test_a_capture_from_start_to_deletion(acme: Diagnosing, sqlite_site: Site) -> None:
    """A capture has live counters, a listed notice, masked sealed evidence with the log's figures, and a deletion."""
    id = await started(acme)
    watching = asyncio.create_task(watch(acme, id))
    send(20)
    listed = (await acme.ask("ListActiveNotices", "bob", language="DE")).notices
    assert [(one.capture_id, one.coverage) for one in listed] == [(id, notice_pb2.COVERAGE_POSSIBLE)]
    assert [text.language for text in listed[0].texts] == ["de"]
    await written(acme, id, 20)
    await acme.ask("StopCapture", capture_id=id)
    capture = await ended(acme, id)
    assert capture.state == capture_pb2.CAPTURE_STATE_SEALED
    assert capture.stop_reason == capture_pb2.CAPTURE_STOP_REASON_REQUESTED
    counters = capture.counters
    assert (counters.written, counters.dropped, counters.received) == (20, 0, counters.delivered)
    assert not capture.lossy
    looks = await watching
    assert looks[0].state == capture_pb2.CAPTURE_STATE_RUNNING
    assert any(look.counters.written == 20 for look in looks)
    assert looks[-1].stop_reason == capture_pb2.CAPTURE_STOP_REASON_REQUESTED
    assert not (await acme.ask("ListActiveNotices", "bob")).notices
    plain = await evidence(acme, id)
    assert len(plain) == capture.evidence.plain_bytes
    assert b"MESSAGE sip:bob@example" in plain
    assert SECRET not in plain
    entries = sqlite_site.entries()
    sealed = next(entry for entry in entries if entry["kind"] == "capture.sealed")
    assert sealed["evidence"]["sealed_sha256"] == capture.evidence.sealed_sha256
    assert any(entry["kind"] == "capture.opened" for entry in entries)
    file = Path(sqlite_site.settings.data_dir) / "evidence" / f"{id}.pcapng.age"
    assert file.stat().st_mode & 0o777 == 0o600
    await acme.ask("DeleteCapture", capture_id=id)
    assert not file.exists()
    assert await acme.refused("StartCapture", capture_id=id) == "STATE_CONFLICT"


async def test_a_paused_capture_takes_nothing(acme: Diagnosing, sqlite_site: Site) -> None:
    """A paused capture stores no packets, and users still see it listed."""
    id = await started(acme)
    send(3)
    assert (await acme.ask("PauseCapture", capture_id=id)).capture.state == capture_pb2.CAPTURE_STATE_PAUSED
    assert await acme.refused("PauseCapture", capture_id=id) == "STATE_CONFLICT"
    await asyncio.sleep(0.7 * FACTOR)
    send(50)
    assert [one.capture_id for one in (await acme.ask("ListActiveNotices", "bob")).notices] == [id]
    await asyncio.sleep(1.2 * FACTOR)
    assert await acme.refused("ResumeCapture", "berta", capture_id=id) == "SUBJECT_NOT_PERMITTED"
    assert (await acme.ask("ResumeCapture", capture_id=id)).capture.state == capture_pb2.CAPTURE_STATE_RUNNING
    await asyncio.sleep(0.3 * FACTOR)
    send(4)
    await written(acme, id, 7)
    await acme.ask("StopCapture", capture_id=id)
    capture = await ended(acme, id)
    assert (capture.state, capture.counters.written) == (capture_pb2.CAPTURE_STATE_SEALED, 7)
    assert capture.counters.received == capture.counters.delivered
    plain = await evidence(acme, id)
    assert plain.count(b"MESSAGE sip:bob@example") == 7
    assert plain.index(b"paused") < plain.index(b"resumed")
    kinds = [entry["kind"] for entry in sqlite_site.entries() if entry["kind"].startswith("capture.")]
    assert kinds[-5:] == [f"capture.{word}" for word in ("paused", "resumed", "stopped", "sealed", "opened")]


async def test_a_paused_capture_can_be_stopped(acme: Diagnosing) -> None:
    """A paused capture can be stopped without resuming it."""
    id = await started(acme)
    await acme.ask("PauseCapture", capture_id=id)
    await acme.ask("StopCapture", capture_id=id)
    assert (await ended(acme, id)).stop_reason == capture_pb2.CAPTURE_STOP_REASON_REQUESTED


async def test_no_unmasked_byte_touches_the_disk(acme: Diagnosing, sqlite_site: Site) -> None:
    """The folder of the service holds no unmasked secret while a capture runs and after it."""
    id = await started(acme)
    send()
    await written(acme, id, 1)
    await acme.ask("StopCapture", capture_id=id)
    await ended(acme, id)
    assert holding(sqlite_site.settings.data_dir.parent, SECRET) == []


async def test_a_limit_of_packets_ends_the_capture(acme: Diagnosing) -> None:
    """The first limit that a capture reaches is its stop reason."""
    limits = capture_pb2.CaptureLimits()
    limits.CopyFrom(LIMITS)
    limits.packets = 5
    id = await started(acme, limits=limits)
    send(30)
    capture = await ended(acme, id)
    assert (capture.stop_reason, capture.counters.written) == (capture_pb2.CAPTURE_STOP_REASON_PACKETS, 5)


async def test_a_limit_of_time_ends_the_capture(acme: Diagnosing) -> None:
    """A capture with a limit of one second ends after one second."""
    limits = capture_pb2.CaptureLimits()
    limits.CopyFrom(LIMITS)
    limits.seconds = 1
    capture = await ended(acme, await started(acme, limits=limits))
    assert (capture.state, capture.stop_reason) == (
        capture_pb2.CAPTURE_STATE_SEALED,
        capture_pb2.CAPTURE_STOP_REASON_TIME,
    )


async def test_withdrawal_stops_a_running_capture(acme: Diagnosing) -> None:
    """The server stops a capture with that reason when its attestation is withdrawn."""
    id = await started(acme)
    attestation = (await acme.capture(id)).attestation_id
    assert (await acme.ask("WithdrawAttestation", attestation_id=attestation)).captures_ended == 1
    capture = await ended(acme, id)
    assert (capture.state, capture.stop_reason) == (
        capture_pb2.CAPTURE_STATE_SEALED,
        capture_pb2.CAPTURE_STOP_REASON_ATTESTATION_WITHDRAWN,
    )


async def test_expiry_stops_a_running_capture(sqlite_site: Site) -> None:
    """The server stops a capture when its attestation expires."""
    async with customer(sqlite_site) as (acme, _server):
        await acme.enable()
        await acme.publish()
        until = attestation_pb2.AttestationStatement()
        until.valid_until.FromDatetime(datetime.now(UTC) + timedelta(seconds=3))
        await acme.attest(valid_until=until.valid_until)
        capture = await ended(acme, await started(acme))
        assert capture.stop_reason == capture_pb2.CAPTURE_STOP_REASON_ATTESTATION_EXPIRED


async def test_disabling_stops_a_running_capture(acme: Diagnosing) -> None:
    """The server stops all captures when the customer disables diagnostics."""
    id = await started(acme)
    assert (await acme.ask("DisableDiagnostics")).captures_ended == 1
    capture = await ended(acme, id)
    assert capture.stop_reason == capture_pb2.CAPTURE_STOP_REASON_POLICY_CHANGED


async def test_a_starter_without_right_and_an_approver_without_right(acme: Diagnosing) -> None:
    """The server stops a capture when its starter or its approver loses the right, with a reason for each."""
    id = await started(acme)
    await acme.client.change(remove=[RULES[2]])
    assert (await ended(acme, id)).stop_reason == capture_pb2.CAPTURE_STOP_REASON_APPROVER_LEFT
    await acme.client.change(add=[RULES[2]])
    id = await started(acme)
    await acme.client.change(
        remove=[RULES[1]], add=["allow admin capture_request,capture_read,view_metadata capture any"]
    )
    assert (await ended(acme, id)).stop_reason == capture_pb2.CAPTURE_STOP_REASON_POLICY_CHANGED


async def test_a_server_that_stops_lets_go_of_its_captures(sqlite_site: Site) -> None:
    """A drained server ends its captures in order, and the next server finds them sealed."""
    async with customer(sqlite_site) as (acme, _server):
        await acme.permit()
        id = await started(acme)
        send()
    async with open_again(sqlite_site) as (acme, _server):
        capture = await acme.capture(id)
        assert (capture.state, capture.stop_reason) == (
            capture_pb2.CAPTURE_STATE_SEALED,
            capture_pb2.CAPTURE_STOP_REASON_LEASE_LOST,
        )


async def test_a_filter_that_does_not_compile(acme: Diagnosing, sqlite_site: Site) -> None:
    """The server refuses and records a request whose filter does not compile, before any approval."""
    await acme.client.change(add=["allow admin capture_raw_filter capture any"])
    wrong = asked(selector=capture_pb2.CaptureSelector(raw_filter="udp) or (tcp and"))
    assert await acme.refused("RequestCapture", **wrong) == "FILTER_INVALID"
    refused = [entry for entry in sqlite_site.entries() if entry["kind"] == "diagnostics.refused"]
    assert refused[-1]["reason"] == "filter_invalid"
    assert not (await acme.ask("ListCaptures")).captures
    right = asked(selector=capture_pb2.CaptureSelector(raw_filter="udp port 5060"))
    assert (await acme.ask("RequestCapture", **right)).capture.state == capture_pb2.CAPTURE_STATE_PENDING_APPROVAL


async def test_an_extension_passes_the_same_gates(acme: Diagnosing) -> None:
    """The extension of a capture is a new capture, which waits for a separate approval."""
    id = await started(acme)
    capture = (await acme.ask("RequestCapture", **asked(extends_capture=id))).capture
    assert (capture.state, capture.extends_capture) == (capture_pb2.CAPTURE_STATE_PENDING_APPROVAL, id)
    await acme.ask("StopCapture", capture_id=id)
    await ended(acme, id)
