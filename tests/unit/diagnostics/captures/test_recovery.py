"""Recovery of a capture whose process is gone: its evidence is found again, or it has failed."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from linewarden.audit.store.engine import open_engine
from linewarden.diagnostics.capture_model import Capture, CaptureState, PacketSelector, Reader, Tally
from linewarden.diagnostics.captures.failures import CaptureFailure
from linewarden.diagnostics.captures.requests import CaptureRequest
from linewarden.diagnostics.captures.sweeper import ELSEWHERE_S, GRACE_S, HOLD_S, Sweeper
from linewarden.diagnostics.codec import canonical
from linewarden.diagnostics.errors import DiagnosisUnavailable, FilterInvalid
from linewarden.diagnostics.packets.model import Profile, StopReason
from linewarden.diagnostics.store.records import Lease
from tests.unit.diagnostics.parts import EVIDENCE, LIMITS, LOG, Office


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """A tenant that permits captures."""
    engine = open_engine(f"sqlite:///{tmp_path}/test.db")
    made = Office(engine)
    await made.permit()
    yield made
    await made.close()
    engine.dispose()


async def abandoned(office: Office, counters: Tally | None = None) -> Capture:
    """A capture that was started by a process that is gone."""
    armed = await office.armed()
    capture, _order = await office.take(office.captures.start(await office.ctx("admin"), armed.id))
    if counters is not None:
        office.repository.store.renew(LOG, capture.id, Lease("gone", office.clock.us, canonical(counters)))
    return capture


async def lost(office: Office, sweeper: Sweeper, seconds: float = LIMITS.lease_seconds + GRACE_S + 1) -> None:
    """Two rounds of another process, with so much time between them."""
    await sweeper.sweep()
    office.clock.pass_time(seconds)
    await sweeper.sweep()


def entries(office: Office) -> list[dict[str, Any]]:
    """Return the log entries about captures."""
    read = [orjson.loads(entry) for entry in office.log.entries(LOG, 0, office.log.head(LOG).size)]
    return [entry for entry in read if entry["kind"].startswith("capture.")]


async def test_whole_evidence_is_adopted(office: Office):
    """Evidence that is found whole is recorded as such, with what was known of the packets, and called incomplete."""
    capture = await abandoned(office, Tally(received=20, delivered=20, written=20))
    office.workers.left[capture.id] = EVIDENCE
    await lost(office, office.sweeper)
    after = office.capture(capture.id)
    assert (after.state, after.stop_reason, after.evidence) == (CaptureState.SEALED, StopReason.LEASE_LOST, EVIDENCE)
    assert (after.tally.written, after.tally.sound, after.lossy, after.detail) == (20, False, True, "")
    stopped, sealed = entries(office)[-2:]
    assert (stopped["kind"], stopped["stop_reason"]) == ("capture.stopped", "lease_lost")
    assert (sealed["kind"], sealed["stop_reason"]) == ("capture.sealed", "lease_lost")
    assert (sealed["lossy"], sealed["sound"], sealed["counters"]["written"]) == (True, False, 20)
    assert sealed["evidence"]["sealed_sha256"] == EVIDENCE.sealed_sha256
    assert after.delete_us is not None


async def test_without_evidence_it_has_failed(office: Office):
    """Where nothing whole is found the capture has failed, and why is said."""
    capture = await abandoned(office)
    await lost(office, office.sweeper)
    after = office.capture(capture.id)
    assert (after.state, after.stop_reason, after.evidence) == (CaptureState.FAILED, StopReason.LEASE_LOST, None)
    assert (after.lossy, after.detail) == (True, CaptureFailure.NOTHING_LEFT)
    assert [(one["kind"], one["detail"]) for one in entries(office)[-2:]] == [
        ("capture.stopped", CaptureFailure.NOTHING_LEFT),
        ("capture.failed", CaptureFailure.NOTHING_LEFT),
    ]


async def test_evidence_in_another_folder_waits_for_its_server(office: Office):
    """A server with another folder says that the capture has stopped, and leaves its end to the one that has it."""
    capture = await abandoned(office)
    office.workers.left[capture.id] = EVIDENCE
    office.workers.here = "folder-2"
    for _ in range(2):
        await lost(office, office.sweeper)
    after = office.capture(capture.id)
    assert (after.state, after.stop_reason, after.folder) == (
        CaptureState.STOPPING,
        StopReason.LEASE_LOST,
        "folder-1",
    )
    office.workers.here = "folder-1"
    await lost(office, office.new_sweeper(office.new_supervisor("second")))
    assert office.capture(capture.id).state is CaptureState.SEALED
    assert [one["kind"] for one in entries(office)].count("capture.stopped") == 1


async def test_a_server_that_never_comes_back(office: Office):
    """After a day the wait for the folder ends."""
    capture = await abandoned(office)
    office.workers.here = "folder-2"
    await lost(office, office.sweeper, LIMITS.lease_seconds + GRACE_S + ELSEWHERE_S + 1)
    after = office.capture(capture.id)
    assert (after.state, after.detail) == (CaptureState.FAILED, CaptureFailure.NOTHING_LEFT)


async def test_a_reason_that_was_recorded_stays(office: Office):
    """Who asked for the stop before the process was lost is the reason."""
    capture = await abandoned(office)
    await office.take(office.captures.stop(await office.ctx("admin"), capture.id))
    office.workers.left[capture.id] = EVIDENCE
    await lost(office, office.sweeper)
    after = office.capture(capture.id)
    assert (after.state, after.stop_reason) == (CaptureState.SEALED, StopReason.REQUESTED)
    assert after.lossy


async def test_nothing_is_called_deleted_that_lies_elsewhere(office: Office):
    """When its time is over, evidence is deleted by a server that has it, and until then no record says it was."""
    capture, worker = await office.running()
    worker.stop(StopReason.REQUESTED)
    await office.ended(capture.id)
    office.clock.pass_time(7 * 86_400)
    office.workers.here = "folder-2"
    await lost(office, office.sweeper, HOLD_S + 1)
    assert office.capture(capture.id).state is CaptureState.SEALED
    assert office.workers.deleted == []
    office.workers.here = "folder-1"
    await office.sweeper.sweep()
    assert office.capture(capture.id).state is CaptureState.DELETED
    assert office.workers.deleted == [capture.id]


async def test_a_folder_that_cannot_be_used_starts_nothing(office: Office, monkeypatch: pytest.MonkeyPatch):
    """Where evidence could not be put the capture stays armed."""
    armed = await office.armed()

    def none() -> str:
        raise DiagnosisUnavailable

    monkeypatch.setattr(office.workers, "folder", none)
    with pytest.raises(DiagnosisUnavailable):
        office.captures.start(await office.ctx("admin"), armed.id)
    assert office.capture(armed.id).state is CaptureState.ARMED


async def test_why_a_worker_did_not_begin_is_recorded(office: Office):
    """The cause stands in the record and in both entries."""
    armed = await office.armed()
    capture, order = await office.take(office.captures.start(await office.ctx("admin"), armed.id))
    office.workers.broken = True
    with pytest.raises(DiagnosisUnavailable):
        await office.supervisor.run(LOG, capture, order)
    after = office.capture(capture.id)
    assert (after.state, after.stop_reason, after.detail) == (
        CaptureState.FAILED,
        StopReason.ERROR,
        CaptureFailure.INTERFACE,
    )
    assert [one.get("detail") for one in entries(office)[-3:]] == [
        None,
        CaptureFailure.INTERFACE,
        CaptureFailure.INTERFACE,
    ]


async def test_why_a_capture_ended_is_recorded(office: Office):
    """The failure of a worker that ran is recorded too; without a failure no cause is recorded."""
    capture, worker = await office.running()
    worker.evidence, worker.detail = None, CaptureFailure.NO_ROOM
    worker.stop(StopReason.DISK_LOW)
    after = await office.ended(capture.id)
    assert (after.state, after.stop_reason, after.detail) == (
        CaptureState.FAILED,
        StopReason.DISK_LOW,
        CaptureFailure.NO_ROOM,
    )
    assert [one["detail"] for one in entries(office)[-2:]] == [CaptureFailure.NO_ROOM, CaptureFailure.NO_ROOM]
    sound, worker = await office.running()
    worker.stop(StopReason.REQUESTED)
    assert (await office.ended(sound.id)).detail == ""
    assert not any("detail" in one for one in entries(office)[-2:])


async def test_a_filter_is_checked_before_anybody_approves_it(office: Office):
    """An expression that does not compile is refused when it is asked for."""
    asked = CaptureRequest(
        Profile.SIGNALLING, PacketSelector(raw_filter="nonsense"), LIMITS, "lo", (Reader("erik", "age1x"),)
    )
    with pytest.raises(FilterInvalid):
        office.captures.request(await office.ctx("admin"), "s-1", asked)
    sound = replace(asked, selector=PacketSelector(raw_filter="udp"))
    await office.take(office.captures.request(await office.ctx("admin"), "s-1", sound))


def test_counters_that_are_not_complete_are_not_sound():
    """Counters that add up prove nothing unless the worker said them at its end."""
    tally = Tally(received=3, delivered=3, written=3)
    assert tally.sound
    assert not replace(tally, complete=False).sound
