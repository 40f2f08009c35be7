"""Mails of a notice: recorded before they leave, and none leaves twice."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from linewarden.audit.store.engine import open_engine
from linewarden.diagnostics.codec import canonical, read
from linewarden.diagnostics.consent.mailings import LOST_AFTER_US, Begun, MailingService
from linewarden.diagnostics.consent_model import (
    DeliveryOutcome,
    Mailing,
    MailResult,
    Notice,
    NoticeChannel,
    NoticeText,
    ReceiptCounts,
)
from linewarden.diagnostics.errors import (
    DiagnosisUnavailable,
    NotTheCustomer,
    StateConflict,
)
from tests.unit.diagnostics.parts import LOG, SECOND, Office

MAIL = [NoticeChannel.EMAIL]
TAKEN, REFUSED = MailResult(DeliveryOutcome.TAKEN, 250), MailResult(DeliveryOutcome.REFUSED, 550)


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


def written(office: Office) -> bytes:
    """All entries."""
    return b"".join(office.log.entries(LOG, 0, office.log.head(LOG).size))


class Sender:
    """The mailing service, and a person who uses it."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.service = MailingService(office.repository, office.notices, lambda: "random")
        self.room = True

    def check_room(self) -> None:
        """Make sure that mails can be sent now."""
        if not self.room:
            raise DiagnosisUnavailable

    async def begin(self, request_id: str = "r", name: str = "admin", **more: Any) -> Begun:
        """Begin a sending to bob and carol."""
        persons = tuple([(await self.office.ctx(one)).sid for one in ("bob", "carol")])
        wanted = replace(Mailing("n", 1, "", "", "", persons, 0), **more)
        id = self.service.new_id(LOG, "test", request_id)
        return await self.office.take(self.service.begin(await self.office.ctx(name), id, wanted, self.check_room))

    async def end(self, *results: MailResult) -> Mailing:
        """Record what became of it."""
        id = self.service.new_id(LOG, "test", "r")
        return await self.office.take(self.service.done(await self.office.ctx("admin"), id, results))


async def test_a_sending_is_done_once(office: Office) -> None:
    """That mails leave is an entry with whom they go to; asked again, the results of the first time are the answer."""
    await office.permit()
    sender = Sender(office)
    begun = await sender.begin()
    assert (begun.new, begun.notice.texts[0].text) == (True, "told")
    assert b"notice.dispatched" in written(office)
    done = await sender.end(TAKEN, REFUSED)
    assert done.results == (TAKEN, REFUSED)
    await publish(office, "new")
    again = await sender.begin()
    assert (again.new, again.mailing, again.notice.version) == (False, done, 1)
    assert office.repository.store.counts(LOG, "n", 1) == ReceiptCounts(informed=1, failed=1)
    assert (await sender.end(REFUSED, REFUSED)).results == (TAKEN, REFUSED)
    id = sender.service.new_id(LOG, "test", "r")
    assert (await office.take(sender.service.lost(await office.ctx("admin"), id))).results == (TAKEN, REFUSED)
    assert office.repository.store.counts(LOG, "n", 1) == ReceiptCounts(informed=1, failed=1)


@pytest.mark.parametrize("change", [{"capture": "s"}, {"language": "de"}, {"version": 2}, {"persons": ("x",)}])
async def test_a_request_id_stands_for_one_sending(office: Office, change: dict[str, Any]) -> None:
    """The same request_id for another mailing, or by another person, is a conflict and sends nothing."""
    await office.permit()
    sender = Sender(office)
    await sender.begin()
    with pytest.raises(StateConflict):
        await sender.begin(**change)
    with pytest.raises(StateConflict):
        await sender.begin(name="berta")
    with pytest.raises(NotTheCustomer):
        await sender.begin("other", "//partner/ines")


async def test_what_did_not_leave_may_be_sent_by_the_same_request(office: Office) -> None:
    """Where nothing left, or there is no room, the request can be repeated until it is done."""
    await office.permit()
    sender = Sender(office)
    sender.room = False
    with pytest.raises(DiagnosisUnavailable):
        await sender.begin()
    sender.room = True
    assert (await sender.begin()).new
    id = sender.service.new_id(LOG, "test", "r")
    await office.take(sender.service.unsent(await office.ctx("admin"), id))
    with pytest.raises(DiagnosisUnavailable):
        sender.service.lost(await office.ctx("admin"), id)
    assert (await sender.begin()).new


async def test_mails_of_a_process_that_died_are_not_sent_again(office: Office) -> None:
    """While mails may still leave, the results are unknown; after that each is unanswered, for good."""
    await office.permit()
    sender = Sender(office)
    await sender.begin()
    id = sender.service.new_id(LOG, "test", "r")
    assert not (await sender.begin()).new
    with pytest.raises(DiagnosisUnavailable):
        sender.service.lost(await office.ctx("admin"), id)
    office.clock.pass_time(LOST_AFTER_US / SECOND)
    lost = await office.take(sender.service.lost(await office.ctx("admin"), id))
    assert [one.outcome for one in lost.results] == [DeliveryOutcome.UNANSWERED] * 2
    assert (await sender.begin()).mailing == lost
    assert sender.service.new_id(LOG, "test", "") == "random"


def test_a_sending_is_read_as_it_was_written() -> None:
    """Results come back with their outcomes and codes."""
    mailing = Mailing("n", 1, "s", "de", "sid", ("a", "b"), 5, (TAKEN, REFUSED))
    assert read(Mailing, canonical(mailing)) == mailing
