"""Sending a notice by mail, one message a person, and what the mail server said to each.

A code of 250 means that the server took the message (RFC 5321), which is what can be known here: it is recorded as
having been informed. Addresses are used while the connection lives and kept nowhere.
"""

import asyncio
import smtplib
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Protocol

from linewarden.diagnostics.errors import DiagnosisUnavailable
from linewarden.diagnostics.model import Notice, ReceiptFact

_TAKEN = 250


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of one mail. `reply_code` is the mail server's, 0 if there was none."""

    person: str
    fact: ReceiptFact
    reply_code: int


class Mailer(Protocol):
    """What takes messages to a mail server."""

    def send(self, subject: str, text: str, addresses: Sequence[str]) -> list[int]:
        """Send one message to each; the reply codes in their order. Blocks.

        Raises:
            DiagnosisUnavailable: the mail server cannot be reached, or not safely.
        """
        ...


class SmtpMailer:
    """Sends through one mail server, with STARTTLS unless it is told to do without."""

    def __init__(self, host: str, port: int, sender: str, *, starttls: bool, timeout_s: float = 10.0) -> None:
        self._host = host
        self._port = port
        self._sender = sender
        self._starttls = starttls
        self._timeout_s = timeout_s

    def send(self, subject: str, text: str, addresses: Sequence[str]) -> list[int]:
        """Send one message to each; the reply codes in their order. Blocks.

        Raises:
            DiagnosisUnavailable: the mail server cannot be reached, or not safely.
        """
        codes: list[int] = []
        try:
            with smtplib.SMTP(self._host, self._port, timeout=self._timeout_s) as server:
                if self._starttls:
                    server.starttls(context=ssl.create_default_context())
                server.ehlo_or_helo_if_needed()
                codes.extend(self._one(server, subject, text, address) for address in addresses)
        except (OSError, smtplib.SMTPException):
            if not codes:
                raise DiagnosisUnavailable from None
        # A connection that broke half way leaves those behind it without an answer.
        return codes + [0] * (len(addresses) - len(codes))

    def _one(self, server: smtplib.SMTP, subject: str, text: str, address: str) -> int:
        server.rset()
        code, _said = server.mail(self._sender)
        if code == _TAKEN:
            code, _said = server.rcpt(address)
        if code != _TAKEN:
            return code
        try:
            code, _said = server.data(self._message(subject, text, address).as_bytes())
        except smtplib.SMTPDataError as refused:
            return refused.smtp_code
        return code

    def _message(self, subject: str, text: str, address: str) -> EmailMessage:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._sender, address, subject
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: so that no absence note answers it
        message.set_content(text)
        return message


async def send_notice(
    mailer: Mailer | None, notice: Notice, text: str, letters: Sequence[tuple[str, str]]
) -> list[Delivered]:
    """Send a notice to persons with their addresses.

    Raises:
        DiagnosisUnavailable: there is no mail server, or it cannot be reached.
    """
    if mailer is None:
        raise DiagnosisUnavailable
    subject = f"Notice {notice.id}, version {notice.version}"
    codes = await asyncio.to_thread(mailer.send, subject, text, [address for _person, address in letters])
    return [
        Delivered(person, ReceiptFact.INFORMED if code == _TAKEN else ReceiptFact.FAILED, code)
        for (person, _address), code in zip(letters, codes, strict=True)
    ]
