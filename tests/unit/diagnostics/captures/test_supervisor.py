"""Supervisor: every precondition is checked again, clocks that are set change nothing, and no capture is forgotten."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from linewarden.audit.store.engine import open_engine
from linewarden.diagnostics.capture_model import CaptureState, PacketSelector, Reader
from linewarden.diagnostics.captures.endings import EndingService
from linewarden.diagnostics.captures.requests import CaptureRequest
from linewarden.diagnostics.captures.supervisor import OVERDUE_S
from linewarden.diagnostics.captures.sweeper import GRACE_S
from linewarden.diagnostics.consent_model import Responsibility
from linewarden.diagnostics.errors import (
    ApprovalMissing,
    AttestationMissing,
    DiagnosisUnavailable,
    SelectorNotPermitted,
    StateConflict,
)
from linewarden.diagnostics.packets.model import Profile, StopReason
from linewarden.diagnostics.store.records import Lease
from tests.deadlines import HANG_S
from tests.unit.diagnostics.parts import LIMITS, LOG, SECOND, Office


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """Everything around captures, on SQLite."""
    engine = open_engine(f"sqlite:///{tmp_path}/test.db")
    made = Office(engine)
    yield made
    await made.close()
    engine.dispose()


async def until(holds: Callable[[], Any]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(HANG_S):
        while not holds():  # noqa: ASYNC110 - it happens in other tasks
            await asyncio.sleep(0.01)


async def test_a_worker_is_heard_of_as_long_as_all_is_well(office: Office) -> None:
    """Heartbeats go out and the lease is renewed; nothing stops the worker."""
    await office.permit()
    capture, worker = await office.running()
    await until(lambda: worker.heartbeats > 3)
    assert worker.orders == []
    lease = office.repository.store.lease(LOG, capture.id)
    assert lease is not None
    assert lease.until_us == office.clock.us + LIMITS.lease_seconds * SECOND


@pytest.mark.parametrize("step_s", [-86_400 * 365, -30])
async def test_a_wall_clock_set_back_changes_nothing(office: Office, step_s: int) -> None:
    """The end of the attestation comes when its time has passed, and not before, whatever the wall clock says."""
    await office.permit(valid_s=100)
    office.clock.pass_time(50)
    capture, worker = await office.running()
    office.clock.us += step_s * SECOND
    office.clock.seconds += 49
    heard = worker.heartbeats
    await until(lambda: worker.heartbeats > heard + 2)
    assert worker.orders == []
    office.clock.seconds += 2
    await until(lambda: worker.orders)
    assert (await office.ended(capture.id)).stop_reason is StopReason.ATTESTATION_EXPIRED


async def test_a_wall_clock_set_forward_ends_the_attestation_early(office: Office) -> None:
    """A clock that jumps ahead stops the capture rather than to let it go on."""
    await office.permit(valid_s=100)
    capture, _worker = await office.running()
    office.clock.us += 101 * SECOND
    assert (await office.ended(capture.id)).stop_reason is StopReason.ATTESTATION_EXPIRED


@pytest.mark.parametrize(
    ("right", "reason"), [("capture", StopReason.POLICY_CHANGED), ("approve", StopReason.APPROVER_LEFT)]
)
async def test_rights_that_are_lost_stop_the_capture(office: Office, right: str, reason: StopReason) -> None:
    """Starter and approver are asked after each second."""
    await office.permit()
    capture, _worker = await office.running()
    setattr(office.rights, right, False)
    assert (await office.ended(capture.id)).stop_reason is reason


async def test_the_first_recorded_reason_is_the_one_that_stays(office: Office) -> None:
    """A worker that ends for a reason of its own after it was told to stop does not change why."""
    attestation = await office.permit()
    capture, worker = await office.running()
    await office.take(office.attestations.withdraw(await office.ctx("admin"), attestation))
    worker.orders.append(StopReason.TIME)
    worker.over.set()
    after = await office.ended(capture.id)
    assert (after.state, after.stop_reason) == (CaptureState.SEALED, StopReason.ATTESTATION_WITHDRAWN)


async def test_a_worker_that_does_not_start_is_a_failed_session(office: Office) -> None:
    """The start is recorded, and so is that it came to nothing."""
    await office.permit()
    armed = await office.armed()
    capture, order = await office.take(office.captures.start(await office.ctx("admin"), armed.id))
    office.workers.broken = True
    with pytest.raises(DiagnosisUnavailable):
        await office.supervisor.run(LOG, capture, order)
    after = office.capture(capture.id)
    assert (after.state, after.stop_reason) == (CaptureState.FAILED, StopReason.ERROR)


async def test_evidence_that_two_processes_disagree_on_is_a_failed_session(office: Office) -> None:
    """A capture without evidence that can be relied on is never called sealed."""
    await office.permit()
    capture, worker = await office.running()
    worker.evidence = None
    worker.stop(StopReason.REQUESTED)
    assert (await office.ended(capture.id)).state is CaptureState.FAILED


async def test_an_unwatched_capture_is_found_and_ended(office: Office) -> None:
    """Another process leaves a capture alone while its lease is renewed, and ends it when that has stopped for long."""
    await office.permit()
    armed = await office.armed()
    await office.take(office.captures.start(await office.ctx("admin"), armed.id))
    other = office.new_sweeper(office.new_supervisor("second"))
    silence_s = LIMITS.lease_seconds + GRACE_S + 1
    for until_us in (1, 2, 3):
        office.repository.store.renew(LOG, armed.id, Lease("first", until_us, b"{}"))
        await other.sweep()
        office.clock.pass_time(silence_s)
    await other.sweep()
    after = office.capture(armed.id)
    assert (after.state, after.stop_reason) == (CaptureState.FAILED, StopReason.LEASE_LOST)


@pytest.mark.parametrize("step_s", [-86_400, 86_400 * 365])
async def test_a_clock_that_jumps_takes_no_session_away(office: Office, step_s: int) -> None:
    """A process whose wall clock was set does not take the leases of others for ended."""
    await office.permit()
    armed = await office.armed()
    await office.take(office.captures.start(await office.ctx("admin"), armed.id))
    office.repository.store.renew(LOG, armed.id, Lease("first", office.clock.us + SECOND, b"{}"))
    other = office.new_sweeper(office.new_supervisor("second"))
    office.clock.us += step_s * SECOND
    for _ in range(3):
        await other.sweep()
        office.clock.seconds += 20
    assert office.capture(armed.id).state is CaptureState.RUNNING


async def test_a_watched_session_survives_the_sweeps_of_its_own_process(office: Office) -> None:
    """A sweep never takes a capture from the process that watches it."""
    await office.permit()
    capture, _worker = await office.running()
    await office.sweep()
    assert office.capture(capture.id).state is CaptureState.RUNNING


async def test_a_session_taken_away_stops_its_worker(office: Office) -> None:
    """When others have given a capture up, the process that still has its worker stops it and says no more."""
    await office.permit()
    capture, worker = await office.running()
    given_up = EndingService(office.repository).lose(await office.ctx("admin"), capture.id)
    assert given_up is not None
    await office.take(given_up)
    await until(lambda: worker.orders)
    await office.supervisor.close()
    after = office.capture(capture.id)
    assert (after.state, after.stop_reason, after.evidence) == (CaptureState.FAILED, StopReason.LEASE_LOST, None)


async def test_an_approval_lapses(office: Office) -> None:
    """A capture that was approved a day ago can no longer be started, and is rejected by the next sweep."""
    await office.permit(valid_s=86_400 * 30)
    armed = await office.armed()
    office.clock.pass_time(86_401)
    with pytest.raises(ApprovalMissing):
        office.captures.start(await office.ctx("admin"), armed.id)
    await office.sweep()
    assert office.capture(armed.id).state is CaptureState.REJECTED


async def test_an_expired_attestation_starts_nothing(office: Office) -> None:
    """An armed capture whose attestation has expired is refused at the start."""
    await office.permit(valid_s=60)
    armed = await office.armed()
    office.clock.pass_time(61)
    with pytest.raises(AttestationMissing):
        office.captures.start(await office.ctx("admin"), armed.id)


async def test_evidence_is_deleted_on_time_and_not_called_deleted_before_it_is(office: Office) -> None:
    """After the time to keep it the file goes first, then the record says so."""
    await office.permit()
    capture, worker = await office.running()
    worker.stop(StopReason.REQUESTED)
    await office.ended(capture.id)
    office.clock.pass_time(7 * 86_400)
    office.workers.broken = True
    await office.sweep()
    assert office.capture(capture.id).state is CaptureState.SEALED
    office.workers.broken = False
    await office.sweep()
    assert office.capture(capture.id).state is CaptureState.DELETED
    assert office.workers.deleted == [capture.id]


async def test_a_closing_process_lets_go_of_its_workers_and_says_so(office: Office) -> None:
    """Nothing runs on when its watcher ends in order."""
    await office.permit()
    capture, worker = await office.running()
    await office.supervisor.close()
    assert worker.orders == [StopReason.LEASE_LOST]
    assert office.capture(capture.id).stop_reason is StopReason.LEASE_LOST


async def test_a_paused_worker_hears_so_until_it_is_resumed(office: Office) -> None:
    """A recorded pause reaches the worker with each heartbeat, whichever process recorded it."""
    await office.permit()
    capture, worker = await office.running()
    await office.take(office.captures.pause(await office.ctx("admin"), capture.id))
    await until(lambda: worker.paused)
    assert office.capture(capture.id).state is CaptureState.PAUSED
    await office.take(office.captures.resume(await office.ctx("admin"), capture.id))
    await until(lambda: not worker.paused)
    assert worker.orders == []


async def test_a_look_that_began_before_a_pause_does_not_end_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result of an old check does not reach the worker after it was paused, not for one tick."""
    await office.permit()
    capture, worker = await office.running()
    read, go_on = asyncio.Event(), asyncio.Event()
    may = office.rights.may

    async def slowly(*asked: Any) -> bool:
        read.set()
        await go_on.wait()
        return await may(*asked)

    monkeypatch.setattr(office.rights, "may", slowly)
    await asyncio.wait_for(read.wait(), HANG_S)
    await office.take(office.captures.pause(await office.ctx("admin"), capture.id))
    before = len(worker.heard)
    office.supervisor.pause(LOG, capture.id, paused=True)
    go_on.set()
    await until(lambda: len(worker.heard) > before + 2)
    assert all(worker.heard[before:])


async def test_every_gate_holds_for_a_pause_and_for_its_end(office: Office) -> None:
    """A paused capture stops when its grounds are lost, and without them is not resumed."""
    attestation = await office.permit()
    capture, worker = await office.running()
    await office.take(office.captures.pause(await office.ctx("admin"), capture.id))
    office.clock.us += 31 * 86_400 * SECOND
    with pytest.raises(AttestationMissing):
        office.captures.resume(await office.ctx("admin"), capture.id)
    office.clock.us -= 31 * 86_400 * SECOND
    await office.take(office.attestations.withdraw(await office.ctx("admin"), attestation))
    await until(lambda: worker.orders)
    ended = await office.ended(capture.id)
    assert (ended.state, ended.stop_reason) == (CaptureState.SEALED, StopReason.ATTESTATION_WITHDRAWN)
    with pytest.raises(StateConflict):
        office.captures.resume(await office.ctx("admin"), capture.id)


async def test_a_worker_that_is_away_starts_nothing(office: Office) -> None:
    """A capture for another host stays armed while the worker there is away, and can be started when it is back."""
    await office.permit()
    asked = CaptureRequest(
        Profile.SIGNALLING, PacketSelector(), LIMITS, "eth0", (Reader("erik", "age1x"),), worker="branch"
    )
    capture = await office.take(office.captures.request(await office.ctx("admin"), "s-remote", asked))
    await office.take(office.captures.approve(await office.ctx("berta"), capture.id))
    office.workers.away.add("branch")
    with pytest.raises(DiagnosisUnavailable):
        office.captures.start(await office.ctx("admin"), capture.id)
    assert office.capture(capture.id).state is CaptureState.ARMED
    office.workers.away.clear()
    _running, order = await office.take(office.captures.start(await office.ctx("admin"), capture.id))
    assert (order.ticket.worker, order.ticket.interface) == ("branch", "eth0")


@pytest.mark.parametrize(
    ("worker", "interface", "field"),
    [
        ("other", "eth0", "worker"),
        ("branch", "eth1", "interface"),
        ("branch", "lo", "interface"),
        ("", "eth0", "interface"),
        ("branch", "", "file"),
    ],
)
async def test_workers_and_their_interfaces_are_the_tenants_or_refused(
    office: Office, worker: str, interface: str, field: str
) -> None:
    """Only the interfaces stated of a worker can be asked for there, and files come in at the server alone."""
    await office.permit()
    asked = CaptureRequest(
        Profile.SIGNALLING, PacketSelector(), LIMITS, interface, (Reader("erik", "age1x"),), worker=worker
    )
    with pytest.raises(SelectorNotPermitted) as caught:
        office.captures.request(await office.ctx("admin"), "s-1", asked)
    assert caught.value.detail == field


async def test_a_worker_that_does_not_stop_in_time_is_stopped(office: Office) -> None:
    """A worker that hangs, or lies, past its limit of time is told to stop for that reason."""
    await office.permit()
    capture, worker = await office.running()
    office.clock.pass_time(LIMITS.seconds + OVERDUE_S - 1)
    heard = worker.heartbeats
    await until(lambda: worker.heartbeats > heard + 2)
    assert worker.orders == []
    office.clock.pass_time(2)
    await until(lambda: worker.orders)
    assert (await office.ended(capture.id)).stop_reason is StopReason.TIME


async def test_a_long_end_is_not_taken_for_a_server_that_is_gone(office: Office) -> None:
    """While a worker that was told to stop brings its evidence, its lease is renewed, and no sweep takes it away."""
    await office.permit()
    capture, worker = await office.running()
    worker.patient = True
    await office.take(office.captures.stop(await office.ctx("admin"), capture.id))
    await until(lambda: worker.orders)
    other = office.new_sweeper(office.new_supervisor("second"))
    for _ in range(4):
        await other.sweep()
        office.clock.pass_time(LIMITS.lease_seconds + GRACE_S - 5)
        await until(partial(_leased_beyond, office, capture.id, office.clock.us))
    assert office.capture(capture.id).state is CaptureState.STOPPING
    worker.over.set()
    assert (await office.ended(capture.id)).state is CaptureState.SEALED


async def test_a_waiver_that_is_taken_back_stops_unapproved_captures(office: Office) -> None:
    """A capture that runs without a second person needs the waiver all the while."""
    await office.permit()
    ctx = await office.ctx("admin")
    await office.take(office.terms.enable(ctx, Responsibility, approval_waived=True, retention_days=7))
    asked = CaptureRequest(Profile.SIGNALLING, PacketSelector(), LIMITS, "lo", (Reader("erik", "age1x"),))
    capture = await office.take(office.captures.request(ctx, "s-waived", asked))
    started, order = await office.take(office.captures.start(ctx, capture.id))
    await office.supervisor.run(LOG, started, order)
    await office.take(office.terms.enable(ctx, Responsibility, approval_waived=False, retention_days=7))
    assert (await office.ended(capture.id)).stop_reason is StopReason.POLICY_CHANGED


def _leased_beyond(office: Office, id: str, us: int) -> bool:
    lease = office.repository.store.lease(LOG, id)
    return lease is not None and lease.until_us > us
