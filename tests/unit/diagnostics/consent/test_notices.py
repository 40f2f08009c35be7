"""Notices: kept in every version, attested as they were, and confirmed by the person alone."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa

from linewarden.audit.note import Verifier, open_note
from linewarden.audit.store.engine import open_engine
from linewarden.diagnostics.change import changed
from linewarden.diagnostics.codec import read
from linewarden.diagnostics.consent.attestations import AttestationChanged
from linewarden.diagnostics.consent.notices import notice_hash
from linewarden.diagnostics.consent_model import (
    Attestation,
    Notice,
    NoticeChannel,
    NoticeText,
    PromisedLimits,
    Receipt,
    ReceiptCounts,
    ReceiptFact,
    Statement,
)
from linewarden.diagnostics.errors import (
    AttestationInvalid,
    ReceiptInvalid,
    RecordNotFound,
)
from linewarden.diagnostics.packets.model import Profile
from linewarden.diagnostics.store import schema
from tests.unit.diagnostics.parts import LOG, Office

MAIL = [NoticeChannel.EMAIL]


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """Everything around diagnostics, on SQLite."""
    engine = open_engine(f"sqlite:///{tmp_path}/test.db")
    made = Office(engine)
    yield made
    await made.close()
    engine.dispose()


async def publish(office: Office, text: str, audience: str = "all") -> Notice:
    """Publish a version of the notice."""
    ctx = await office.ctx("admin")
    return await office.take(office.notices.publish(ctx, "n", [NoticeText("en", text)], MAIL, audience))


async def attest(office: Office, statement: Statement) -> AttestationChanged:
    """Attest."""
    return await office.take(office.attestations.make(await office.ctx("admin"), statement))


async def receive(office: Office, fact: ReceiptFact, at_us: int, name: str = "bob") -> int:
    """Record one receipt; the result is whether it was new."""
    ctx = await office.ctx("admin")
    receipt = Receipt((await office.ctx(name)).sid, fact, at_us, NoticeChannel.PAPER)
    _notice, new = await office.take(office.notices.receive(ctx, "n", 1, [receipt]))
    return new


def written(office: Office) -> bytes:
    """All entries."""
    return b"".join(office.log.entries(LOG, 0, office.log.head(LOG).size))


async def test_every_version_can_be_read_for_ever(office: Office) -> None:
    """The content under the hash of an attestation is still there when the text has been replaced twice."""
    await office.permit()
    (attested,) = office.repository.attestations_in_force(LOG, office.clock.us)
    await publish(office, "something else", "others")
    await publish(office, "a third text")
    ctx = await office.ctx("bob")
    shown = [(await office.take(office.notices.look_up(ctx, "n", version)))[0] for version in (1, 2, 3)]
    assert [(one.texts[0].text, one.audience) for one in shown] == [
        ("told", "all"), ("something else", "others"), ("a third text", "all"),
    ]  # fmt: skip
    assert shown[0].hash == attested.attestation.notice_hash == notice_hash(shown[0].texts, MAIL, "all")
    current, number = await office.take(office.notices.look_up(ctx, "n", 0))
    assert (current, number) == (shown[2], 3)
    with pytest.raises(RecordNotFound):
        office.notices.look_up(ctx, "n", 4)


async def test_a_notice_that_was_stored_in_clear_is_kept_when_it_is_replaced(office: Office) -> None:
    """The version that an older service published is read, listed and kept like any other."""
    await office.permit()
    stored, notice = office.repository.notice(LOG, "n")
    plain = replace(notice, private=None, texts=(NoticeText("en", "told"),), audience="all")
    ctx = await office.ctx("admin")
    change = office.notices.look_up(ctx, "n", 1)
    await office.take(replace(change, changes=(changed(stored, "published", plain),)))
    await publish(office, "new")
    assert (await office.take(office.notices.look_up(ctx, "n", 1)))[0] == plain


async def test_an_attestation_of_an_older_service_is_read(office: Office) -> None:
    """Its audience and assessment stood in clear and are passed over; it holds, but for captures with media."""
    id = await office.permit()
    stored, attestation = office.repository.attestation(LOG, id)
    old = orjson.loads(stored.body)
    old["statement"] |= {"audience": "all", "dpia_reference": "zarah-7"}
    del old["statement"]["has_dpia"]
    assert read(Attestation, orjson.dumps(old)) == attestation


async def test_texts_and_audiences_lie_sealed(office: Office) -> None:
    """Neither records nor entries hold what a notice says, to whom, or what an attestor wrote."""
    await office.permit()
    await publish(office, "call hildegard", "the room of wilhelmine")
    words = replace(office.statement().texts, role="knef", audience="the room of wilhelmine", dpia_reference="zarah-7")
    made = await attest(office, replace(office.statement(), notice_version=2, texts=words, has_dpia=True))
    with office.log.reading() as connection:
        bodies = b"".join(connection.scalars(sa.select(schema.record.c.body)))
    entries = written(office)
    assert b"notice_hash" in bodies
    for secret in (b"hildegard", b"wilhelmine", b"knef", b"zarah", b"told"):
        assert secret not in bodies
        assert secret not in entries
    assert office.attestations.opened(LOG, made.attestation).texts == words


async def test_an_attestation_of_a_text_is_not_revived_by_publishing_it_again(office: Office) -> None:
    """After A, B and A again users must be told, and that attested, anew."""
    attested = await office.permit()
    first = await publish(office, "B")
    again = await publish(office, "told")
    _stored, attestation = office.repository.attestation(LOG, attested)
    assert again.hash == attestation.notice_hash != first.hash
    assert office.repository.attestations_in_force(LOG, office.clock.us) == []


@pytest.mark.parametrize(
    ("field", "change"),
    [
        ("informed_count", {"informed_count": 0, "confirmed_count": 0}),
        ("confirmed_count", {"confirmed_count": 3}),
        ("dpia_reference", {"promised": PromisedLimits(Profile.MEDIA, 600, 30)}),
        ("audience", {}),
    ],
)
async def test_a_statement_that_contradicts_itself_is_refused(
    office: Office, field: str, change: dict[str, Any]
) -> None:
    """A statement that no user, or another audience, was informed is refused; the field is named."""
    await office.permit()
    statement = replace(office.statement(), **change)
    if field == "audience":
        statement = replace(statement, texts=replace(statement.texts, audience="All"))
    with pytest.raises(AttestationInvalid) as refused:
        await attest(office, statement)
    assert refused.value.detail == field


async def test_the_note_says_that_there_is_an_assessment_but_not_which(office: Office) -> None:
    """The note alone reveals nothing that could be guessed."""
    await office.permit()
    words = replace(office.statement().texts, dpia_reference="zarah-7")
    made = await attest(office, replace(office.statement(), texts=words, has_dpia=True))
    text = open_note(made.attestation.note, Verifier.parse(office.attestations.verifier_key(LOG)))
    assert '"has_dpia":true' in text
    assert "zarah" not in text
    assert '"all"' not in text


async def test_users_see_the_version_that_was_attested(office: Office) -> None:
    """While a capture ends whose notice was replaced, it is told with the text it was announced by."""
    await office.permit()
    armed = await office.armed()
    await office.take(office.captures.start(await office.ctx("admin"), armed.id))
    await publish(office, "something else")
    (active,) = await office.take(office.notices.active(await office.ctx("bob")))
    assert (active.notice.version, active.notice.texts[0].text) == (1, "told")


async def test_receipts_are_dated_between_publication_and_now(office: Office) -> None:
    """A receipt from before the notice, or from tomorrow, is refused."""
    await office.permit()
    published = office.clock.us
    office.clock.pass_time(60)
    for at_us in (published - 1, office.clock.us + 1):
        with pytest.raises(ReceiptInvalid) as refused:
            await receive(office, ReceiptFact.INFORMED, at_us)
        assert refused.value.detail == "receipts[0].at"
    assert [await receive(office, ReceiptFact.INFORMED, at) for at in (published, office.clock.us)] == [1, 0]


async def test_what_others_report_is_not_what_a_person_confirmed(office: Office) -> None:
    """A person can still confirm after a report by another; both are counted separately and recorded in entries."""
    await office.permit()
    assert await receive(office, ReceiptFact.REPORTED, office.clock.us) == 1
    assert office.repository.store.counts(LOG, "n", 1) == ReceiptCounts(reported=1)
    bob = await office.ctx("bob")
    await office.take(office.notices.confirm(bob, "n", 1, ""))
    assert office.repository.store.counts(LOG, "n", 1) == ReceiptCounts(confirmed=1, reported=1)
    with office.log.reading() as connection:
        rows = connection.execute(sa.select(schema.receipt.c.fact, schema.receipt.c.channel)).all()
    assert {(fact, channel) for fact, channel in rows} == {("reported", "paper"), ("confirmed", "")}
    entries = written(office)
    assert b'"reported","paper"' in entries
    assert b"notice.confirmed" in entries
