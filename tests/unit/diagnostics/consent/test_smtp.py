"""Sending mails through a real SMTP conversation with a small server of our own, and what a slow one holds up."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from email import message_from_bytes, policy

import pytest

from linewarden.diagnostics.consent.smtp import THREADS, WAITING, MailQueue, SmtpMailer
from linewarden.diagnostics.consent_model import DeliveryOutcome, MailResult, ReceiptFact
from linewarden.diagnostics.errors import DiagnosisUnavailable
from tests.deadlines import HANG_S

TAKEN = MailResult(DeliveryOutcome.TAKEN, 250)
REFUSED = MailResult(DeliveryOutcome.REFUSED, 550)
UNANSWERED = MailResult(DeliveryOutcome.UNANSWERED)
NOT_TRIED = MailResult(DeliveryOutcome.NOT_TRIED)


@dataclass
class Postbox:
    """An SMTP server that takes mail for some, drops the connection when it is told to, and may be slow to greet.

    `held` is where it waits before it says that a mail is taken; `dribbles` is to answer byte by byte, for ever;
    `closed` sends no greeting.
    """

    port: int = 0
    taken: list[tuple[str, bytes]] = field(default_factory=list)
    hang_up_after: int = 1_000
    held: asyncio.Event | None = None
    dribbles: bool = False
    closed: bool = False
    greeted: int = 0

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One conversation of RFC 5321."""
        try:
            await self._talk(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def holds(self, mails: int) -> None:
        """Wait until so many mails have come."""
        while len(self.taken) < mails:  # noqa: ASYNC110 - what comes in is no event
            await asyncio.sleep(0.01)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.closed:
            return
        self.greeted += 1
        while self.dribbles:
            writer.write(b"2")
            await writer.drain()
            await asyncio.sleep(0.05)
        writer.write(b"220 postbox\r\n")
        recipient = ""
        while line := (await reader.readline()).decode().strip():
            verb = line[:4].upper()
            if verb == "DATA":
                writer.write(b"354 go on\r\n")
                body = (await reader.readuntil(b"\r\n.\r\n")).removesuffix(b".\r\n")
                self.taken.append((recipient, body))
                if self.held is not None:
                    await self.held.wait()
                if len(self.taken) > self.hang_up_after:
                    break
                writer.write(b"250 taken\r\n")
            elif verb == "RCPT":
                recipient = line.partition("<")[2].partition(">")[0]
                answer = {"nobody": b"550 nobody\r\n", "moved": b"251 elsewhere\r\n"}
                writer.write(answer.get(recipient.partition("@")[0], b"250 known\r\n"))
            elif verb == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 postbox\r\n")


@pytest.fixture
async def postbox() -> AsyncIterator[Postbox]:
    """The server, on loopback."""
    box = Postbox()
    server = await asyncio.start_server(box.talk, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    yield box
    server.close()


def mailer(box: Postbox, *, starttls: bool = False) -> SmtpMailer:
    """Return a mailer for it."""
    return SmtpMailer("127.0.0.1", box.port, "notices@acme.example", starttls=starttls, step_s=5)


async def send(box: Postbox, *addresses: str, text: str = "x", **mail_queue: object) -> list[MailResult]:
    """Send a text through a post of its own."""
    return await MailQueue(mailer(box), **mail_queue).send("Notice faults, version 2", text, addresses)  # type: ignore[arg-type]


async def test_each_person_gets_a_mail_of_their_own_and_each_result_is_told(postbox: Postbox) -> None:
    """No recipient sees another; an unknown recipient is a failure with its code."""
    to = ("bob@acme.example", "nobody@acme.example", "moved@acme.example")
    told = await send(postbox, *to, text="Gespräche werden aufgezeichnet.\n.\n" + "ü" * 2_000)
    assert told == [TAKEN, REFUSED, TAKEN]
    assert [one.fact for one in told] == [ReceiptFact.INFORMED, ReceiptFact.FAILED, ReceiptFact.INFORMED]
    assert [recipient for recipient, _body in postbox.taken] == ["bob@acme.example", "moved@acme.example"]
    body = postbox.taken[0][1]
    message = message_from_bytes(body, policy=policy.default)
    assert message["To"] == "bob@acme.example"
    assert message["Subject"] == "Notice faults, version 2"
    assert message["Auto-Submitted"] == "auto-generated"
    assert "Gespräche" in message.get_content()
    assert body.isascii()
    assert b"\n" not in body.replace(b"\r\n", b"")


async def test_a_connection_that_breaks_half_way_fails_only_those_behind_it(postbox: Postbox) -> None:
    """Accepted mails stay accepted; the mail under way is unanswered, and the others were not tried."""
    postbox.hang_up_after = 1
    told = await send(postbox, "bob@acme.example", "carol@acme.example", "dave@acme.example")
    assert told == [TAKEN, UNANSWERED, NOT_TRIED]


async def test_a_server_without_encryption_gets_nothing_where_it_is_wanted(postbox: Postbox) -> None:
    """With STARTTLS asked for, a server that has none is one that cannot be used."""
    with pytest.raises(DiagnosisUnavailable):
        await MailQueue(mailer(postbox, starttls=True)).send("s", "x", ["bob@acme.example"])
    assert postbox.taken == []


async def test_without_a_mail_server_nothing_can_be_sent() -> None:
    """Without one there is nothing to send through."""
    with pytest.raises(DiagnosisUnavailable):
        await MailQueue(None).send("s", "x", ["bob@acme.example"])


async def test_notices_go_to_permitted_domains_alone(postbox: Postbox) -> None:
    """A mail to another domain, or to an ambiguous one, is not tried."""
    to = ("bob@ACME.example", "eve@elsewhere.example", "eve@elsewhere.example@acme.example", "eve@sub.acme.example")
    told = await send(postbox, *to, "carol@acme.example", domains=("acme.example",))
    forbidden = MailResult(DeliveryOutcome.DOMAIN_NOT_PERMITTED)
    assert told == [TAKEN, forbidden, forbidden, forbidden, TAKEN]
    assert [recipient for recipient, _body in postbox.taken] == ["bob@ACME.example", "carol@acme.example"]


@pytest.mark.parametrize("dribbles", [True, False], ids=["byte by byte", "silent"])
async def test_a_list_of_mails_has_an_end(postbox: Postbox, dribbles: bool) -> None:
    """A server that sends single bytes, or nothing after a mail, delays no caller beyond the time limit."""
    postbox.dribbles = dribbles
    postbox.held = asyncio.Event()
    try:
        told = await send(postbox, "bob@acme.example", "carol@acme.example", within_s=0.5)
    except DiagnosisUnavailable:
        told = []
    assert told == ([] if dribbles else [UNANSWERED, NOT_TRIED])


async def test_slow_mail_takes_no_thread_from_others_and_has_a_bound(postbox: Postbox) -> None:
    """While a silent server holds more lists than may wait, other work has its threads; the surplus is refused."""
    postbox.held = asyncio.Event()
    mail_queue = MailQueue(mailer(postbox))
    lists = [asyncio.create_task(mail_queue.send("s", "x", ["bob@acme.example"])) for _ in range(THREADS + WAITING + 3)]
    async with asyncio.timeout(HANG_S):
        await postbox.holds(THREADS)
        assert await asyncio.gather(*(asyncio.to_thread(lambda: 1) for _ in range(50))) == [1] * 50
    assert postbox.greeted == THREADS
    with pytest.raises(DiagnosisUnavailable):
        mail_queue.check_room()
    postbox.held.set()
    done = await asyncio.gather(*lists, return_exceptions=True)
    assert [one for one in done if one == [TAKEN]] == [[TAKEN]] * (THREADS + WAITING)
    assert sum(isinstance(one, DiagnosisUnavailable) for one in done) == 3
    mail_queue.check_room()


async def test_closing_breaks_off_what_leaves_and_takes_no_more(postbox: Postbox) -> None:
    """When the service stops, a list says how far it came, those that wait say that nothing left."""
    postbox.held = asyncio.Event()
    mail_queue = MailQueue(mailer(postbox))
    to = ("bob@acme.example", "carol@acme.example")
    lists = [asyncio.create_task(mail_queue.send("s", "x", to)) for _ in range(THREADS + 1)]
    async with asyncio.timeout(HANG_S):
        await postbox.holds(THREADS)
        mail_queue.close()
        done: Sequence[object] = await asyncio.gather(*lists, return_exceptions=True)
    assert done[:THREADS] == [[UNANSWERED, NOT_TRIED]] * THREADS
    assert isinstance(done[-1], DiagnosisUnavailable)
    with pytest.raises(DiagnosisUnavailable):
        await mail_queue.send("s", "x", to)
