"""Sending of notices by mail: one message per person, with the reply of the mail server to each.

A reply code of 250 means that the server accepted the message (RFC 5321). No more can be known here, so it is recorded
as having been informed. Addresses are used while the connection lives and are stored nowhere.

Goal: a slow or silent mail server delays nothing but mail. Mails therefore leave in separate threads, few of them wait,
and every conversation has a time limit. *Instead of* the shared threads, because a capture whose preconditions cannot
be checked for lack of a thread ends.
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

#: Mailings that leave at the same time.
THREADS = 2

#: Mailings that may wait. Beyond them the request is refused and can be repeated.
WAITING = 8

#: The time limit of a mailing, waiting included, seconds. Mails that have not left by then are not sent.
WITHIN_S = 60.0

#: The time limit of one reply of the mail server, seconds.
_STEP_S = 10.0

_TAKEN = 250
_KNOWN = frozenset((250, 251))  # RFC 5321, 4.2.3: the recipient is known here, or mail is forwarded
_NOT_PERMITTED = MailResult(DeliveryOutcome.DOMAIN_NOT_PERMITTED)
# Lines end as RFC 5321 demands. Seven bits, because not every server accepts eight.
_FORM = policy.SMTP.clone(cte_type="7bit")


class Mailer(Protocol):
    """A client of a mail server."""

    def send(self, subject: str, text: str, addresses: Sequence[str], within_s: float) -> list[MailResult]:
        """Send one message to each address; return the results in their order. Block for `within_s` and one reply.

        Raises:
            DiagnosisUnavailable: the mail server cannot be reached, or not encrypted. No mail left.
        """
        ...

    def close(self) -> None:
        """End all conversations. Their mailings return the results so far."""
        ...


class SmtpMailer:
    """Sends through one mail server, with STARTTLS unless `starttls` is false."""

    def __init__(self, host: str, port: int, sender: str, *, starttls: bool, step_s: float = _STEP_S) -> None:
        self._host = host
        self._port = port
        self._sender = sender
        self._starttls = starttls
        self._step_s = step_s
        self._conversations = _Conversations()

    def send(self, subject: str, text: str, addresses: Sequence[str], within_s: float) -> list[MailResult]:
        """Send one message to each address; see `Mailer`."""
        results: list[MailResult] = []
        greeted = False
        try:
            with self._conversation(within_s) as server:
                greeted = True
                for address in addresses:
                    results.append(MailResult(DeliveryOutcome.NOT_TRIED))
                    message = self._message(subject, text, address)
                    if (code := self._offer(server, address)) not in _KNOWN:
                        results[-1] = MailResult(DeliveryOutcome.REFUSED, code)
                        continue
                    results[-1] = MailResult(DeliveryOutcome.UNANSWERED)
                    results[-1] = _handed_over(server, message)
        except (OSError, smtplib.SMTPException):
            if not greeted:
                raise DiagnosisUnavailable from None
        return results + [MailResult(DeliveryOutcome.NOT_TRIED)] * (len(addresses) - len(results))

    def close(self) -> None:
        """End all conversations."""
        self._conversations.hang_up()

    def _conversation(self, within_s: float) -> "_Conversation":
        conversation = _Conversation(self._host, self._port, self._step_s, within_s, self._conversations)
        try:
            if self._starttls:
                conversation.starttls(context=ssl.create_default_context())
            conversation.ehlo_or_helo_if_needed()
        except BaseException:
            conversation.close()
            raise
        return conversation

    def _offer(self, server: smtplib.SMTP, address: str) -> int:
        """Name sender and recipient; return the reply code."""
        server.rset()
        code, _said = server.mail(self._sender)
        if code == _TAKEN:
            code, _said = server.rcpt(address)
        return code

    def _message(self, subject: str, text: str, address: str) -> bytes:
        message = EmailMessage(_FORM)
        message["From"], message["To"], message["Subject"] = self._sender, address, subject
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no absence note answers it
        message.set_content(text)
        return message.as_bytes()


class _Conversation(smtplib.SMTP):
    """A conversation with a mail server that ends at its time limit, even if the server sends single bytes.

    The timeout of a socket restarts with every received byte, so it does not bound a reply.
    """

    def __init__(self, host: str, port: int, step_s: float, within_s: float, others: "_Conversations") -> None:
        self._others = others
        self._others.add(self)
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
        """Return the next reply."""
        if self._over:
            self.close()
            raise smtplib.SMTPServerDisconnected("the time is over")
        return super().getreply()

    def hang_up(self) -> None:
        """End the conversation, from any thread. A reader that waits for a reply finds the connection closed."""
        self._over = True
        if (connection := self.sock) is not None:
            with suppress(OSError):
                # Not the method of an encrypted connection, because the reader still uses its state.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        self._timer.cancel()
        self._others.discard(self)
        super().close()


class _Conversations:
    """The open conversations. Threads add and discard them, and another thread may end all of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._conversations: set[_Conversation] = set()

    def add(self, conversation: _Conversation) -> None:
        """Add a conversation that begins."""
        with self._lock:
            self._conversations.add(conversation)

    def discard(self, conversation: _Conversation) -> None:
        """Discard a conversation that has ended."""
        with self._lock:
            self._conversations.discard(conversation)

    def hang_up(self) -> None:
        """End all conversations."""
        with self._lock:
            for conversation in self._conversations:
                conversation.hang_up()


class MailQueue:
    """A bounded queue of mailings. `domains` are the permitted recipient domains; empty permits any."""

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
            DiagnosisUnavailable: there is no mail server, or too many mailings wait.
        """
        if self._mailer is None or self._closed or self._inside >= THREADS + WAITING:
            raise DiagnosisUnavailable

    async def send(self, subject: str, text: str, addresses: Sequence[str]) -> list[MailResult]:
        """Send one message to each address; return the results in their order.

        Raises:
            DiagnosisUnavailable: no mail left. There is no mail server, it is unreachable, or too many mailings wait.
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
        """Accept no more mailings, and end those that leave."""
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
        # With two @ the mail server would decide which domain is meant.
        name, _, domain = address.partition("@")
        return not self._domains or (bool(name) and domain.lower() in self._domains)


def _handed_over(server: smtplib.SMTP, message: bytes) -> MailResult:
    try:
        code, _said = server.data(message)
    except smtplib.SMTPDataError as refused:
        code = refused.smtp_code
    taken = code == _TAKEN
    return MailResult(DeliveryOutcome.TAKEN if taken else DeliveryOutcome.REFUSED, code)
