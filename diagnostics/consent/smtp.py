"""Sending notices by mail, one message a person, and what the mail server said to each.

A code of 250 means that the server took the message (RFC 5321), which is what can be known here: it is recorded as
having been informed. Addresses are used while the connection lives and kept nowhere.

Goal: a mail server that is slow or silent holds up nothing but mail. So mails leave in threads of their own, few of
them wait, and every conversation has an end. *Instead of* the threads that everything else uses: a capture whose gates
cannot be looked at for want of a thread ends.
"""

import asyncio
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from email import policy
from email.message import EmailMessage
from typing import Protocol

from linewarden.diagnostics.consent_model import DeliveryOutcome, MailResult
from linewarden.diagnostics.errors import DiagnosisUnavailable

#: Lists of mails that leave at the same time.
THREADS = 2

#: Lists of mails that may wait beside those that leave; beyond them the sender is to come again.
WAITING = 8

#: How long a list of mails may take, waiting included, seconds. What has not left by then does not.
WITHIN_S = 60.0

#: How long the mail server may take for one answer, seconds.
_STEP_S = 10.0

_TAKEN = 250
_KNOWN = frozenset((250, 251))  # RFC 5321, 4.2.3: the recipient is, or is forwarded to
_NOT_PERMITTED = MailResult(DeliveryOutcome.DOMAIN_NOT_PERMITTED)
# Lines end as RFC 5321 wants it, and nothing is in eight bits: not every server said that it takes these.
_FORM = policy.SMTP.clone(cte_type="7bit")


class Mailer(Protocol):
    """What takes messages to a mail server."""

    def send(self, subject: str, text: str, addresses: Sequence[str], within_s: float) -> list[MailResult]:
        """Send one message to each; the results in their order. Blocks, for `within_s` and one answer at most.

        Raises:
            DiagnosisUnavailable: the mail server cannot be reached, or not safely: nothing left.
        """
        ...

    def close(self) -> None:
        """Break off what goes on; it has its results as far as it came."""
        ...


class SmtpMailer:
    """Sends through one mail server, with STARTTLS unless it is told to do without."""

    def __init__(self, host: str, port: int, sender: str, *, starttls: bool, step_s: float = _STEP_S) -> None:
        self._host = host
        self._port = port
        self._sender = sender
        self._starttls = starttls
        self._step_s = step_s
        self._going_on = _GoingOn()

    def send(self, subject: str, text: str, addresses: Sequence[str], within_s: float) -> list[MailResult]:
        """Send one message to each; see `Mailer`."""
        results: list[MailResult] = []
        greeted = False
        try:
            with self._conversation(within_s) as server:
                greeted = True
                for address in addresses:
                    results.append(MailResult(DeliveryOutcome.NOT_TRIED))
                    message = self._message(subject, text, address)
                    if (code := self._asked(server, address)) not in _KNOWN:
                        results[-1] = MailResult(DeliveryOutcome.REFUSED, code)
                        continue
                    results[-1] = MailResult(DeliveryOutcome.UNANSWERED)
                    results[-1] = _handed_over(server, message)
        except (OSError, smtplib.SMTPException):
            if not greeted:
                raise DiagnosisUnavailable from None
        return results + [MailResult(DeliveryOutcome.NOT_TRIED)] * (len(addresses) - len(results))

    def close(self) -> None:
        """Break off what goes on."""
        self._going_on.hang_up()

    def _conversation(self, within_s: float) -> "_Conversation":
        conversation = _Conversation(self._host, self._port, self._step_s, within_s, self._going_on)
        try:
            if self._starttls:
                conversation.starttls(context=ssl.create_default_context())
            conversation.ehlo_or_helo_if_needed()
        except BaseException:
            conversation.close()
            raise
        return conversation

    def _asked(self, server: smtplib.SMTP, address: str) -> int:
        """Return the code for sender and recipient."""
        server.rset()
        code, _said = server.mail(self._sender)
        if code == _TAKEN:
            code, _said = server.rcpt(address)
        return code

    def _message(self, subject: str, text: str, address: str) -> bytes:
        message = EmailMessage(_FORM)
        message["From"], message["To"], message["Subject"] = self._sender, address, subject
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: so that no absence note answers it
        message.set_content(text)
        return message.as_bytes()


class _Conversation(smtplib.SMTP):
    """A conversation with a mail server that ends when its time is over, however slowly the other side speaks.

    A socket's timeout begins anew with every byte that comes, so it does not bound an answer.
    """

    def __init__(self, host: str, port: int, step_s: float, within_s: float, going_on: "_GoingOn") -> None:
        self._going_on = going_on
        self._going_on.add(self)
        self._over = False
        self._timer = threading.Timer(within_s, self.hang_up)
        self._timer.daemon = True
        self._timer.start()
        try:
            super().__init__(host, port, timeout=step_s)
        except BaseException:
            self.close()
            raise

    def getreply(self) -> tuple[int, bytes]:
        """Return the next answer."""
        if self._over:
            self.close()
            raise smtplib.SMTPServerDisconnected("the time is over")
        return super().getreply()

    def hang_up(self) -> None:
        """End it, from any thread. Whoever waits for an answer finds the connection closed."""
        self._over = True
        if (connection := self.sock) is not None:
            with suppress(OSError):
                # Not the method of an encrypted connection, which would take its state from under the reader.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of the connection."""
        self._timer.cancel()
        self._going_on.discard(self)
        super().close()


class _GoingOn:
    """The conversations that go on, which threads begin and end, and another one breaks off."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._conversations: set[_Conversation] = set()

    def add(self, conversation: _Conversation) -> None:
        """One begins."""
        with self._lock:
            self._conversations.add(conversation)

    def discard(self, conversation: _Conversation) -> None:
        """One has ended."""
        with self._lock:
            self._conversations.discard(conversation)

    def hang_up(self) -> None:
        """End all of them."""
        with self._lock:
            for conversation in self._conversations:
                conversation.hang_up()


class MailQueue:
    """Takes lists of mails to the mail server, beside everything else. `domains` may be sent to; none means any."""

    def __init__(self, mailer: Mailer | None, domains: Sequence[str] = (), within_s: float = WITHIN_S) -> None:
        self._mailer = mailer
        self._domains = frozenset(domain.lower() for domain in domains)
        self._within_s = within_s
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="linewarden-mail")
        self._inside = 0
        self._closed = False

    def check_room(self) -> None:
        """Make sure that mails can be sent now.

        Raises:
            DiagnosisUnavailable: there is no mail server, or too much waits for it.
        """
        if self._mailer is None or self._closed or self._inside >= THREADS + WAITING:
            raise DiagnosisUnavailable

    async def send(self, subject: str, text: str, addresses: Sequence[str]) -> list[MailResult]:
        """Send one message to each; the results in their order.

        Raises:
            DiagnosisUnavailable: nothing left: there is no mail server, it cannot be reached, or too much waits for it.
        """
        self.check_room()
        permitted = [address for address in addresses if self._permits(address)]
        loop, until = asyncio.get_running_loop(), time.monotonic() + self._within_s
        self._inside += 1
        try:
            sent = await loop.run_in_executor(self._pool, self._send, subject, text, permitted, until)
        finally:
            self._inside -= 1
        results = iter(sent)
        return [next(results) if self._permits(address) else _NOT_PERMITTED for address in addresses]

    def close(self) -> None:
        """Take no more, and break off what goes on."""
        self._closed = True
        self._pool.shutdown(wait=False, cancel_futures=False)
        if self._mailer is not None:
            self._mailer.close()

    def _send(self, subject: str, text: str, addresses: Sequence[str], until: float) -> list[MailResult]:
        left_s = until - time.monotonic()
        if self._mailer is None or self._closed or left_s <= 0:
            raise DiagnosisUnavailable
        return self._mailer.send(subject, text, addresses, left_s) if addresses else []

    def _permits(self, address: str) -> bool:
        # With two @ it would be the mail server that decides which domain is meant.
        name, _, domain = address.partition("@")
        return not self._domains or (bool(name) and domain.lower() in self._domains)


def _handed_over(server: smtplib.SMTP, message: bytes) -> MailResult:
    try:
        code, _said = server.data(message)
    except smtplib.SMTPDataError as refused:
        code = refused.smtp_code
    taken = code == _TAKEN
    return MailResult(DeliveryOutcome.TAKEN if taken else DeliveryOutcome.REFUSED, code)
