"""Notices over real gRPC: rights to read each version, and mail that never blocks other requests or leaves twice."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from acme import NOTICE_TEXT, statement

from linewarden.diagnostics.consent.smtp import THREADS, WAITING
from linewarden.v1 import notice_pb2 as pb
from tests.deadlines import FACTOR, HANG_S
from tests.integration.conftest import Site
from tests.integration.diagnosing import Diagnosing, customer, open_again
from tests.unit.diagnostics.consent.test_smtp import Postbox

PARTNER = "//partner/ines"
ABOUT: dict[str, Any] = {"notice_id": "faults", "notice_version": 1}


@pytest.fixture
async def acme(sqlite_site: Site) -> AsyncIterator[Diagnosing]:
    """Yield a customer that has published a notice."""
    async with customer(sqlite_site) as (diagnosing, _running):
        await diagnosing.enable()
        await diagnosing.publish()
        yield diagnosing


@asynccontextmanager
async def posting(site: Site, **more: Any) -> AsyncIterator[tuple[Diagnosing, Postbox]]:
    """Yield a customer with a mail server that has published a notice."""
    async with postbox() as (box, mail), customer(site, **mail, **more) as (diagnosing, _running):
        await diagnosing.enable()
        await diagnosing.publish()
        yield diagnosing, box


@asynccontextmanager
async def postbox() -> AsyncIterator[tuple[Postbox, dict[str, Any]]]:
    """Yield a mail server, and the settings to use it."""
    box = Postbox()
    server = await asyncio.start_server(box.talk, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    server_at = f"127.0.0.1:{box.port}"
    try:
        yield box, {"smtp_server": server_at, "smtp_sender": "notices@acme.example", "smtp_starttls": False}
    finally:
        server.close()


def to(*people: str, **more: Any) -> dict[str, Any]:
    """Return the fields of a request to send the notice."""
    recipients = [pb.Recipient(person=one, address=f"{one}@post.example") for one in people]
    return {**ABOUT, "recipients": recipients, **more}


def outcomes(answer: pb.SendNoticeResponse) -> list[tuple[str, str, int]]:
    """Return the outcome of each mail."""
    name = pb.DeliveryOutcome.Name
    return [(one.person, name(one.outcome).removeprefix("DELIVERY_OUTCOME_"), one.reply_code) for one in answer.results]


def receipts(site: Site) -> list[list[Any]]:
    """Return all receipts in the entries."""
    return [one for entry in site.entries() if entry["kind"] == "notice.received" for one in entry["receipts"]]


async def test_users_read_every_version_and_partners_need_a_right(acme: Diagnosing, sqlite_site: Site) -> None:
    """Any user of the tenant lists notices and reads replaced versions; a stranger needs a rule of the policy."""
    first = await acme.publish("Another text.")
    assert first.version == 2
    (listed,) = (await acme.ask("ListNotices", "bob")).notices
    assert (listed.id, listed.version, listed.audience, list(listed.texts)) == ("faults", 2, "all staff", [])
    answer = await acme.ask("GetNotice", "bob", **ABOUT, language="en")
    assert [one.text for one in answer.notice.texts] == [NOTICE_TEXT]
    assert (answer.notice.version, answer.current_version) == (1, 2)
    assert answer.notice.hash != first.hash
    assert (await acme.ask("GetNotice", "bob", notice_id="faults")).notice.version == 2
    assert await acme.refused("GetNotice", "bob", notice_id="none") == "DIAGNOSTICS_RECORD_NOT_FOUND"
    assert await acme.refused("GetNotice", PARTNER, **ABOUT) == "SUBJECT_NOT_PERMITTED"
    assert await acme.refused("ListNotices", PARTNER) == "SUBJECT_NOT_PERMITTED"
    await acme.client.change(add=[f"allow {PARTNER} view_metadata diagnostics any"])
    assert (await acme.ask("GetNotice", PARTNER, **ABOUT)).notice.version == 1
    reads = [entry["notices"] for entry in sqlite_site.entries() if entry["kind"] == "notice.read"]
    assert reads == [[["faults", 2]], [["faults", 1]], [["faults", 2]], [["faults", 1]]]


async def test_notices_come_page_by_page(acme: Diagnosing) -> None:
    """The service lists each notice once, the newest first, and refuses a forged token."""
    text = [pb.NoticeText(language="en", text="x")]
    for id in ("b", "a", "c"):
        await acme.ask("PublishNotice", notice_id=id, texts=text, channels=[1], audience="x")
    seen, token = [], ""
    while True:
        page = await acme.ask("ListNotices", "bob", page_size=3, page_token=token)
        seen += [one.id for one in page.notices]
        token = page.next_page_token
        if not token:
            break
    assert seen == ["c", "a", "b", "faults"]
    assert await acme.refused("ListNotices", "bob", page_token="bm9uc2Vuc2U=") == "PAGE_TOKEN_INVALID"


async def test_receipts_out_of_time_and_confirmations_of_others_are_refused(acme: Diagnosing) -> None:
    """The service names the field of a wrong receipt, and accepts confirmations by ConfirmNotice only."""
    now = datetime.now(UTC)
    for fact, at, field in (
        (pb.RECEIPT_FACT_INFORMED, now - timedelta(hours=1), "receipts[0].at"),
        (pb.RECEIPT_FACT_INFORMED, now + timedelta(hours=1), "receipts[0].at"),
        (pb.RECEIPT_FACT_CONFIRMED, now, "receipts[0].fact"),
    ):
        one = pb.Receipt(person="bob", fact=fact)
        one.at.FromDatetime(at)
        request = acme.request("RecordReceipts", "admin", **ABOUT, channel=pb.NOTICE_CHANNEL_PAPER, receipts=[one])
        refused = await acme.client.refused(acme.stub.RecordReceipts, request)
        assert (refused.reason, refused.fields, refused.metadata) == ("INVALID_REQUEST", (field,), {})
    reported = pb.Receipt(person="bob", fact=pb.RECEIPT_FACT_REPORTED)
    reported.at.FromDatetime(datetime.now(UTC))
    await acme.ask("ConfirmNotice", "bob", **ABOUT)
    answer = await acme.ask("RecordReceipts", **ABOUT, channel=pb.NOTICE_CHANNEL_PAPER, receipts=[reported])
    assert (answer.recorded, answer.notice.confirmed, answer.notice.reported) == (1, 1, 1)


@pytest.mark.parametrize("change", [{"audience": "all"}, {"notice_version": 2}])
async def test_an_attestation_is_of_one_version_and_its_audience(acme: Diagnosing, change: dict[str, Any]) -> None:
    """The service refuses an attestation for another audience than the notice's, or for a missing version."""
    reason = "ATTESTATION_INVALID" if "audience" in change else "NOTICE_NOT_CURRENT"
    assert await acme.refused("MakeAttestation", statement=statement(**change)) == reason
    uninformed = statement()
    uninformed.informed_count = uninformed.confirmed_count = 0
    assert await acme.refused("MakeAttestation", statement=uninformed) == "ATTESTATION_INVALID"
    made = await acme.attest()
    assert made.statement.audience == "all staff"
    assert "all staff" not in made.signed_note


async def test_a_notice_is_sent_by_mail_and_each_result_is_recorded(sqlite_site: Site) -> None:
    """The service counts a person as informed if the mail server took the mail, and stores no address."""
    async with posting(sqlite_site, smtp_domains=("post.example",)) as (acme, box):
        missing = to("bob", capture_id="none")
        assert await acme.refused("SendNotice", **missing) == "DIAGNOSTICS_RECORD_NOT_FOUND"
        assert box.taken == []
        recipients = [*to("bob", "nobody")["recipients"], pb.Recipient(person="eve", address="eve@other.example")]
        for address in ("eve", "@post.example", "eve@", "eve@a@post.example"):
            wrong = to() | {"recipients": [pb.Recipient(person="eve", address=address)]}
            assert await acme.refused("SendNotice", **wrong) == "INVALID_REQUEST", address
        answer = await acme.ask("SendNotice", **to(language="en") | {"recipients": recipients})
        wanted = [("bob", "TAKEN", 250), ("nobody", "REFUSED", 550), ("eve", "DOMAIN_NOT_PERMITTED", 0)]
        assert outcomes(answer) == wanted
        informed, failed = pb.RECEIPT_FACT_INFORMED, pb.RECEIPT_FACT_FAILED
        assert [one.fact for one in answer.results] == [informed, failed, failed]
        assert (answer.notice.informed, answer.notice.failed) == (1, 2)
    assert len(box.taken) == 1
    assert NOTICE_TEXT.encode() in box.taken[0][1]
    assert ".example" not in str(sqlite_site.entries())


async def test_a_refused_list_introduces_no_person(acme: Diagnosing, sqlite_site: Site) -> None:
    """The service introduces no person of a refused receipt list, and records the refusal as one decision."""
    one = pb.Receipt(person="stranger-1", fact=pb.RECEIPT_FACT_INFORMED)
    one.at.FromDatetime(datetime.now(UTC))
    await acme.refused("ListCaptures", "bob")  # bob himself is known from here on
    before = len(sqlite_site.entries())
    assert await acme.refused("SendNotice", "bob", **to("stranger-2")) == "SUBJECT_NOT_PERMITTED"
    listed: dict[str, Any] = {**ABOUT, "channel": pb.NOTICE_CHANNEL_PAPER, "receipts": [one]}
    assert await acme.refused("RecordReceipts", "bob", **listed) == "SUBJECT_NOT_PERMITTED"
    assert [entry["kind"] for entry in sqlite_site.entries()[before:]] == ["decision", "decision"]


async def test_without_a_mail_server_nothing_is_sent(acme: Diagnosing, sqlite_site: Site) -> None:
    """Without a mail server the service refuses to send, and records no mail as sent."""
    assert await acme.refused("SendNotice", **to("bob")) == "DIAGNOSIS_UNAVAILABLE"
    assert "notice.dispatched" not in [entry["kind"] for entry in sqlite_site.entries()]


async def test_a_mail_server_that_cannot_be_reached_can_be_tried_again(sqlite_site: Site) -> None:
    """A request that no mail server took can be repeated once the server is reachable."""
    async with posting(sqlite_site) as (acme, box):
        box.closed = True
        assert await acme.refused("SendNotice", **to("bob", request_id="r-1")) == "DIAGNOSIS_UNAVAILABLE"
        box.closed = False
        assert outcomes(await acme.ask("SendNotice", **to("bob", request_id="r-1"))) == [("bob", "TAKEN", 250)]
    assert [one[1] for one in receipts(sqlite_site)] == ["informed"]


async def test_mail_that_hangs_holds_up_nothing_else(sqlite_site: Site) -> None:
    """The service answers other requests at once while more mail lists than may wait hang at a silent mail server."""
    async with posting(sqlite_site) as (acme, box):
        box.held = asyncio.Event()
        most = THREADS + WAITING
        sends = [asyncio.create_task(acme.ask("SendNotice", **to(f"p{n}"))) for n in range(most)]
        async with asyncio.timeout(HANG_S):
            await box.holds(THREADS)
            surplus = await acme.refused("SendNotice", **to("late"))
        assert surplus == "DIAGNOSIS_UNAVAILABLE"
        async with asyncio.timeout(HANG_S):
            await asyncio.gather(*(acme.ask("GetDiagnostics") for _ in range(20)))
        box.held.set()
        answers = await asyncio.gather(*sends)
        assert [outcomes(one)[0][1:] for one in answers] == [("TAKEN", 250)] * most


async def test_a_caller_that_goes_away_leaves_no_mail_unrecorded(sqlite_site: Site) -> None:
    """A mail leaves and is recorded after its caller went away, and the repeated request returns the same result."""
    async with posting(sqlite_site) as (acme, box):
        box.held = asyncio.Event()
        request = acme.request("SendNotice", "admin", **to("bob", request_id="r-1"))
        with pytest.raises(grpc.aio.AioRpcError) as gone:
            await acme.client.call(acme.stub.SendNotice, request, 1.0)
        assert gone.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        waiting = asyncio.create_task(acme.client.call(acme.stub.SendNotice, request))
        await asyncio.sleep(0.3 * FACTOR)
        box.held.set()
        for answer in (await waiting, await acme.client.call(acme.stub.SendNotice, request)):
            assert outcomes(answer) == [("bob", "TAKEN", 250)]
            assert answer.notice.informed == 1
        assert len(box.taken) == 1
        assert [one[1] for one in receipts(sqlite_site)] == ["informed"]
        assert await acme.refused("SendNotice", **to("carol", request_id="r-1")) == "STATE_CONFLICT"


async def test_a_service_that_stops_says_how_far_its_mails_came(sqlite_site: Site) -> None:
    """A stopping service records mails on their way as unanswered, and the next service does not send them again."""
    async with postbox() as (box, mail):
        box.held = asyncio.Event()
        async with customer(sqlite_site, **mail) as (acme, _running):
            await acme.enable()
            await acme.publish()
            request = acme.request("SendNotice", "admin", **to("bob", "carol", request_id="r-1"))
            with pytest.raises(grpc.aio.AioRpcError):
                await acme.client.call(acme.stub.SendNotice, request, 1.0)
        assert [one[1] for one in receipts(sqlite_site)] == ["failed", "failed"]
        async with open_again(sqlite_site, **mail) as (acme, _running):
            answer = await acme.ask("SendNotice", **to("bob", "carol", request_id="r-1"))
        assert outcomes(answer) == [("bob", "UNANSWERED", 0), ("carol", "NOT_TRIED", 0)]
        assert len(box.taken) == 1
