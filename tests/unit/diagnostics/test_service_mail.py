"""Sending notices through a real SMTP conversation with a small server of our own."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy

import pytest

from linewarden.diagnostics.errors import DiagnosisUnavailable
from linewarden.diagnostics.mail import SmtpMailer, send_notice
from linewarden.diagnostics.model import Notice, NoticeText, ReceiptFact

NOTICE = Notice("faults", 2, (NoticeText("en", "x"),), (), "all", "00", 0, "")


@dataclass
class Postbox:
    """An SMTP server that takes mail for some, and drops the connection when it is told to."""

    port: int = 0
    taken: list[tuple[str, bytes]] = field(default_factory=list)
    hang_up_after: int = 1_000

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One conversation of RFC 5321."""
        writer.write(b"220 postbox\r\n")
        recipient = ""
        while line := (await reader.readline()).decode().strip():
            verb = line[:4].upper()
            if verb == "DATA":
                writer.write(b"354 go on\r\n")
                body = (await reader.readuntil(b"\r\n.\r\n")).removesuffix(b".\r\n")
                self.taken.append((recipient, body))
                writer.write(b"250 taken\r\n")
                if len(self.taken) >= self.hang_up_after:
                    break
            elif verb == "RCPT":
                recipient = line.partition("<")[2].partition(">")[0]
                writer.write(b"550 nobody\r\n" if recipient.startswith("nobody") else b"250 known\r\n")
            elif verb == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 postbox\r\n")
        writer.close()
        await writer.wait_closed()


@pytest.fixture
async def postbox() -> AsyncIterator[Postbox]:
    """The server, on loopback."""
    box = Postbox()
    server = await asyncio.start_server(box.talk, "127.0.0.1", 0)
    box.port = server.sockets[0].getsockname()[1]
    async with server:
        yield box


def mailer(box: Postbox, *, starttls: bool = False) -> SmtpMailer:
    """What sends to it."""
    return SmtpMailer("127.0.0.1", box.port, "notices@acme.example", starttls=starttls, timeout_s=5)


async def test_each_person_gets_a_mail_of_their_own_and_each_result_is_told(postbox: Postbox) -> None:
    """Nobody sees who else was told; whom the server does not know is a failure with its code."""
    letters = [("bob", "bob@acme.example"), ("eve", "nobody@acme.example"), ("carol", "carol@acme.example")]
    told = await send_notice(mailer(postbox), NOTICE, "Gespräche werden aufgezeichnet.", letters)
    assert [(one.person, one.fact, one.reply_code) for one in told] == [
        ("bob", ReceiptFact.INFORMED, 250),
        ("eve", ReceiptFact.FAILED, 550),
        ("carol", ReceiptFact.INFORMED, 250),
    ]
    assert [recipient for recipient, _body in postbox.taken] == ["bob@acme.example", "carol@acme.example"]
    message = message_from_bytes(postbox.taken[0][1], policy=policy.default)
    assert message["To"] == "bob@acme.example"
    assert message["Auto-Submitted"] == "auto-generated"
    assert "Gespräche" in message.get_content()


async def test_a_connection_that_breaks_half_way_fails_only_those_behind_it(postbox: Postbox) -> None:
    """Mails that were taken stay taken; the others have no reply code."""
    postbox.hang_up_after = 1
    letters = [("bob", "bob@acme.example"), ("carol", "carol@acme.example")]
    told = await send_notice(mailer(postbox), NOTICE, "x", letters)
    assert [(one.fact, one.reply_code) for one in told] == [(ReceiptFact.INFORMED, 250), (ReceiptFact.FAILED, 0)]


async def test_a_server_without_encryption_gets_nothing_where_it_is_wanted(postbox: Postbox) -> None:
    """With STARTTLS asked for, a server that has none is one that cannot be used."""
    with pytest.raises(DiagnosisUnavailable):
        await send_notice(mailer(postbox, starttls=True), NOTICE, "x", [("bob", "bob@acme.example")])
    assert postbox.taken == []


async def test_no_mail_server_is_said_before_anything_is_recorded() -> None:
    """Without one there is nothing to send through."""
    with pytest.raises(DiagnosisUnavailable):
        await send_notice(None, NOTICE, "x", [("bob", "bob@acme.example")])
