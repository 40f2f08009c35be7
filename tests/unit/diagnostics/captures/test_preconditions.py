"""Preconditions of a capture, before it runs and while it runs: promises, attestations, approvals and maxima."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from linewarden.audit.errors import EffectRefused
from linewarden.audit.store.engine import open_engine
from linewarden.diagnostics.capture_model import (
    Capture,
    CaptureRight,
    CaptureState,
    PacketSelector,
    Reader,
    rights_needed,
)
from linewarden.diagnostics.captures.preconditions import lacking
from linewarden.diagnostics.captures.requests import CaptureRequest, Maxima, RequestService
from linewarden.diagnostics.captures.sweeper import HOLD_S
from linewarden.diagnostics.consent_model import NoticeChannel, NoticeText, Responsibility
from linewarden.diagnostics.errors import (
    ApprovalMissing,
    AttestationMissing,
    LimitTooHigh,
    StateConflict,
    TooManyCaptures,
)
from linewarden.diagnostics.packets.model import CaptureLimits, Profile, StopReason
from tests.unit.diagnostics.parts import LIMITS, LOG, MAXIMA, SECOND, Everywhere, Office

DAY_S = 86_400
READER = (Reader("erik", "age1x"),)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """Everything around captures, on SQLite."""
    engine = open_engine(f"sqlite:///{tmp_path}/test.db")
    made = Office(engine)
    yield made
    await made.close()
    engine.dispose()


async def asked(office: Office, id: str = "s-1", name: str = "admin", **more: Any) -> Capture:
    """A capture that was asked for."""
    usual: dict[str, Any] = {
        "profile": Profile.SIGNALLING,
        "selector": PacketSelector(),
        "limits": LIMITS,
        "interface": "lo",
        "readers": READER,
    }
    ctx = await office.ctx(name)
    return await office.take(office.captures.request(ctx, id, CaptureRequest(**usual | more)))


async def publish(office: Office, text: str = "told anew") -> None:
    """Publish another version of the notice."""
    change = office.notices.publish(
        await office.ctx("admin"), "n", [NoticeText("en", text)], [NoticeChannel.EMAIL], "all"
    )
    await office.take(change)


async def keep_for(office: Office, days: int) -> None:
    """Change for how long evidence is kept."""
    ctx = await office.ctx("admin")
    await office.take(office.terms.enable(ctx, Responsibility, approval_waived=False, retention_days=days))


@pytest.mark.parametrize(
    ("capture", "terms", "lacks"),
    [
        ({}, {}, ()),
        ({"purpose": "billing"}, {}, ("purpose",)),
        ({"profile": Profile.MEDIA}, {}, ("profile", "dpia_reference")),
        ({"limits": replace(LIMITS, seconds=601)}, {}, ("seconds",)),
        ({"limits": replace(LIMITS, seconds=600)}, {"retention_days": 30}, ()),
        ({}, {"retention_days": 31}, ("retention_days",)),
    ],
)
async def test_what_users_were_not_told_is_named(
    office: Office, capture: dict[str, Any], terms: dict[str, Any], lacks: tuple[str, ...]
) -> None:
    """Purpose, profile, time and retention of a capture must each be within what users were told."""
    await office.permit()
    asked_for = await asked(office)
    (in_force,) = office.repository.attestations_in_force(LOG, office.clock.us)
    _stored, current = office.repository.terms(LOG)
    assert lacking(in_force.attestation, replace(asked_for, **capture), replace(current, **terms)) == lacks


async def test_a_session_says_what_it_waits_for(office: Office) -> None:
    """While no attestation covers it, a capture waits, and says what the nearest one lacks."""
    await office.permit()
    ctx = await office.ctx("admin")
    maxima = Maxima(replace(LIMITS, seconds=9_999), running=9, waiting=9, stored=1 << 40)
    service = RequestService(
        office.repository, office.private_values, Everywhere(), office.workers, maxima, lambda: "x"
    )
    long = CaptureRequest(Profile.SIGNALLING, PacketSelector(), replace(LIMITS, seconds=601), "lo", READER)
    capture = await office.take(service.request(ctx, "s-1", long))
    assert capture.state is CaptureState.PENDING_ATTESTATION
    assert office.captures.lacking(LOG, capture, office.clock.us) == ("seconds",)
    office.clock.pass_time(DAY_S + 1)
    assert office.captures.lacking(LOG, capture, office.clock.us) == ("attestation",)
    assert office.captures.lacking(LOG, await asked(office, "s-2"), office.clock.us) == ("attestation",)


async def test_retention_is_what_was_promised_when_it_started(office: Office) -> None:
    """Terms that become laxer while a capture runs do not keep its evidence longer; stricter ones do so shorter."""
    await office.permit()
    first, worker = await office.running()
    await keep_for(office, 3_650)
    worker.stop(StopReason.REQUESTED)
    ended = await office.ended(first.id)
    assert ended.delete_us == office.clock.us + 7 * DAY_S * SECOND
    await keep_for(office, 7)
    second, worker = await office.running()
    await keep_for(office, 2)
    worker.stop(StopReason.REQUESTED)
    assert (await office.ended(second.id)).delete_us == office.clock.us + 2 * DAY_S * SECOND


async def test_another_version_of_the_notice_stops_what_rests_on_the_one_before(office: Office) -> None:
    """Users were told of a text; when there is another, a capture does not go on under it."""
    await office.permit()
    capture, _worker = await office.running()
    await publish(office)
    ended = await office.ended(capture.id)
    assert (ended.state, ended.stop_reason) == (CaptureState.SEALED, StopReason.NOTICE_REPLACED)


@pytest.mark.parametrize("lost", ["expired", "superseded"])
async def test_waiting_sessions_whose_grounds_are_gone_wait_again(office: Office, lost: str) -> None:
    """Nothing is approved or started on grounds that are gone, and what waits goes on with new ones, approved anew."""
    await office.permit(valid_s=100)
    pending, armed = await asked(office, "s-1"), await office.armed()
    if lost == "expired":
        office.clock.pass_time(101)
    else:
        await publish(office)
    with pytest.raises(AttestationMissing):
        office.captures.approve(await office.ctx("berta"), pending.id)
    with pytest.raises(AttestationMissing):
        office.captures.start(await office.ctx("admin"), armed.id)
    await office.sweep()
    for one in (pending, armed):
        after = office.capture(one.id)
        assert (after.state, after.attestation, after.approved_by) == (CaptureState.PENDING_ATTESTATION, "", "")
    version = 1 if lost == "expired" else 2
    statement = replace(office.statement(), notice_version=version)
    await office.take(office.attestations.make(await office.ctx("admin"), statement))
    assert office.capture(armed.id).state is CaptureState.PENDING_APPROVAL
    await office.take(office.captures.approve(await office.ctx("berta"), armed.id))
    await office.take(office.captures.start(await office.ctx("admin"), armed.id))


async def test_other_grounds_that_are_there_are_taken_at_once_but_approved_anew(office: Office) -> None:
    """An armed capture whose attestation expires rests on another that covers it, and waits for approval again."""
    await office.permit(valid_s=100)
    armed = await office.armed()
    other = await office.take(office.attestations.make(await office.ctx("admin"), office.statement(1_000)))
    office.clock.pass_time(101)
    await office.sweep()
    after = office.capture(armed.id)
    assert (after.state, after.attestation) == (CaptureState.PENDING_APPROVAL, other.attestation.id)


@pytest.mark.parametrize("change", ["withdraw", "publish", "disable"])
async def test_what_changes_meanwhile_refuses_the_step(office: Office, change: str) -> None:
    """A request, an approval and a start that were made from grounds that are gone by then are not appended."""
    attestation = await office.permit()
    pending, armed = await asked(office, "s-1"), await office.armed()
    admin, berta = await office.ctx("admin"), await office.ctx("berta")
    usual = CaptureRequest(Profile.SIGNALLING, PacketSelector(), LIMITS, "lo", READER)
    made: list[Any] = [
        office.captures.request(admin, "s-2", usual),
        office.captures.approve(berta, pending.id),
        office.captures.start(admin, armed.id),
    ]
    if change == "withdraw":
        await office.take(office.attestations.withdraw(admin, attestation))
    elif change == "publish":
        await publish(office)
    else:
        await office.take(office.terms.disable(admin))
    for one in made:
        with pytest.raises(EffectRefused):
            await office.take(one)


async def test_an_approver_who_may_no_more_is_none(office: Office) -> None:
    """Start and resumption look at the approver's right, not only at the approval."""
    await office.permit()
    armed = await office.armed()
    with pytest.raises(ApprovalMissing):
        office.captures.start(await office.ctx("admin"), armed.id, approver_stands=False)
    capture, _worker = await office.running()
    await office.take(office.captures.pause(await office.ctx("admin"), capture.id))
    with pytest.raises(ApprovalMissing):
        office.captures.resume(await office.ctx("admin"), capture.id, approver_stands=False)


@pytest.mark.parametrize("field", [name for name in CaptureLimits.__slots__ if name != "disk_free_min"])
async def test_limits_are_looked_at_again_at_the_start(office: Office, field: str) -> None:
    """A capture that was requested under laxer maxima does not start under stricter ones."""
    await office.permit()
    armed = await office.armed()
    office.captures._maxima = replace(MAXIMA, limits=replace(LIMITS, **{field: getattr(LIMITS, field) - 1}))
    with pytest.raises(LimitTooHigh) as caught:
        office.captures.start(await office.ctx("admin"), armed.id)
    assert caught.value.detail == field


async def test_so_many_captures_run_at_once(office: Office) -> None:
    """One more than the tenant may have is refused, also where two come at the same moment."""
    await office.permit()
    armed = [await office.armed() for _ in range(MAXIMA.running + 1)]
    ctx = await office.ctx("admin")
    for one in armed[: MAXIMA.running - 1]:
        await office.take(office.captures.start(ctx, one.id))
    racing = [office.captures.start(ctx, one.id) for one in armed[-2:]]
    await office.take(racing[0])
    with pytest.raises(EffectRefused):
        await office.take(racing[1])
    with pytest.raises(TooManyCaptures) as caught:
        office.captures.start(ctx, armed[-1].id)
    assert caught.value.detail == "running"


async def test_so_many_captures_wait(office: Office) -> None:
    """Requests cannot pile up without end, and unanswered ones lapse."""
    await office.permit(valid_s=30 * DAY_S)
    for number in range(MAXIMA.waiting):
        await asked(office, f"s-{number}")
    with pytest.raises(TooManyCaptures) as caught:
        await asked(office, "s-more")
    assert caught.value.detail == "waiting"
    office.clock.pass_time(7 * DAY_S + 1)
    await office.sweep()
    assert office.capture("s-0").state is CaptureState.REJECTED
    await asked(office, "s-more")


async def test_so_much_evidence_is_kept(office: Office) -> None:
    """A capture that could make more than may be kept for a tenant does not start."""
    await office.permit()
    office.captures._maxima = replace(MAXIMA, stored=2 * LIMITS.bytes)
    _running = [await office.running() for _ in range(2)]
    armed = await office.armed()
    with pytest.raises(TooManyCaptures) as caught:
        office.captures.start(await office.ctx("admin"), armed.id)
    assert caught.value.detail == "stored"


async def test_an_extension_is_of_the_same_capture(office: Office) -> None:
    """Only what is asked for the same case, purpose, profile and place goes on from a capture that ran."""
    await office.permit()
    capture, _worker = await office.running()
    assert (await asked(office, "s-1", extends=capture.id)).extends == capture.id
    with pytest.raises(StateConflict):
        await asked(office, "s-2", extends=capture.id, profile=Profile.HEADERS)
    with pytest.raises(StateConflict):
        await asked(office, "s-3", extends=capture.id, interface="eth0", worker="branch")
    with pytest.raises(StateConflict):
        await asked(office, "s-4", extends="s-1")
    other_case = replace(await office.ctx("admin"), case="T-2")
    usual = CaptureRequest(Profile.SIGNALLING, PacketSelector(), LIMITS, "lo", READER, extends=capture.id)
    with pytest.raises(StateConflict):
        office.captures.request(other_case, "s-5", usual)


async def test_a_clock_that_jumps_ahead_deletes_nothing_at_once(office: Office) -> None:
    """Evidence that seems due is deleted only when it still does after a while; a clock set right by then saves it."""
    await office.permit()
    capture, worker = await office.running()
    worker.stop(StopReason.REQUESTED)
    await office.ended(capture.id)
    office.clock.us += 3_650 * DAY_S * SECOND
    for _ in range(3):
        await office.sweeper.sweep()
        office.clock.seconds += HOLD_S / 4
    assert office.workers.deleted == []
    office.clock.us -= 3_650 * DAY_S * SECOND
    await office.sweep()
    assert office.workers.deleted == []
    office.clock.us += 8 * DAY_S * SECOND
    await office.sweep()
    assert office.workers.deleted == [capture.id]


def test_more_rights_for_more() -> None:
    """Media and expressions need separate rights, of each person who starts or resumes the capture."""
    start = {CaptureRight.START}
    assert rights_needed(CaptureRight.START, Profile.SIGNALLING, raw_filter=False) == start
    assert rights_needed(CaptureRight.START, Profile.MEDIA, raw_filter=False) == start | {CaptureRight.MEDIA}
    assert rights_needed(CaptureRight.START, Profile.HEADERS, raw_filter=True) == start | {CaptureRight.RAW_FILTER}


@pytest.mark.parametrize("step_s", [25 * DAY_S, -365 * DAY_S])
async def test_a_clock_that_is_wrong_at_the_end_keeps_nothing_longer_or_shorter(office: Office, step_s: int) -> None:
    """The time to keep is counted from a capture's end, and that lies within its time, whatever the clock says then."""
    await office.permit()
    capture, worker = await office.running()
    started_us = office.clock.us
    office.clock.us += step_s * SECOND
    worker.stop(StopReason.REQUESTED)
    ended = await office.ended(capture.id)
    assert ended.ended_us is not None
    assert ended.delete_us is not None
    assert 0 <= ended.ended_us - started_us <= (LIMITS.seconds + 120) * SECOND
    assert ended.delete_us == ended.ended_us + 7 * DAY_S * SECOND


async def test_two_starts_at_once_do_not_pass_what_may_be_kept(office: Office) -> None:
    """Each start is made from the one before: of two that both saw room, one is looked at again."""
    await office.permit()
    office.captures._maxima = replace(MAXIMA, stored=LIMITS.bytes)
    first, second = [await office.armed() for _ in range(2)]
    ctx = await office.ctx("admin")
    racing = [office.captures.start(ctx, one.id) for one in (first, second)]
    await office.take(racing[0])
    with pytest.raises(EffectRefused):
        await office.take(racing[1])
    with pytest.raises(TooManyCaptures):
        office.captures.start(ctx, second.id)


async def test_every_change_of_state_has_its_entry(office: Office) -> None:
    """A capture that gets its attestation and its approval in one change has two entries."""
    await office.permit(valid_s=100)
    pending = await asked(office)
    office.clock.pass_time(101)
    await office.sweep()
    assert office.capture(pending.id).state is CaptureState.PENDING_ATTESTATION
    ctx = await office.ctx("admin")
    longer = replace(office.statement(), promised=replace(office.statement().promised, seconds=900))
    await office.take(office.terms.disable(ctx))
    await keep_for(office, 7)
    waiting = await asked(office, "s-2")
    assert waiting.state is CaptureState.PENDING_ATTESTATION
    change = office.attestations.make(ctx, longer)
    made = await office.take(replace(change, entries=change.entries[:1], changes=change.changes[:1]))
    assert made.attestation.id
    approved = office.captures.approve(await office.ctx("berta"), waiting.id)
    kinds = [json.loads(entry)["kind"] for entry in approved.entries]
    assert kinds == ["capture.attested", "capture.approved"]
