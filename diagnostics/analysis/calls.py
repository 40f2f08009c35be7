"""Calls: the course of one Call-ID with an INVITE, and the side that ended it (RFC 3261, RFC 6076)."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from linewarden.diagnostics.analysis.attempts import Authentication, follow_authentication
from linewarden.diagnostics.analysis.dialogs import Dialog
from linewarden.diagnostics.analysis.sip import SipMessage

_CHALLENGES = frozenset({401, 407})
_CALL_METHODS = frozenset({"INVITE", "ACK", "BYE", "CANCEL", "PRACK"})


class CallState(StrEnum):
    """The state of a call when it, or the capture, ended."""

    ATTEMPTED = "attempted"
    PROCEEDING = "proceeding"
    RINGING = "ringing"
    CHALLENGED = "challenged"
    ANSWERED = "answered"
    COMPLETED = "completed"
    CANCELLED = "cancelled"
    REDIRECTED = "redirected"
    REJECTED = "rejected"
    PARTIAL = "partial"


class Side(StrEnum):
    """One end of a call, by the first INVITE; UNKNOWN where the capture does not show it."""

    CALLER = "caller"
    CALLEE = "callee"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Call:
    """One call. Times in ns since 1970, None for what did not happen; durations in ms.

    `post_dial_ms` runs from the first INVITE, challenges included, to the first answer above 100 that is no challenge;
    it is None where the caller gave up before. `ended_by` says who hung up, gave up, or refused. PARTIAL: the capture
    does not show the first INVITE. `identity`: an INVITE has an Identity header (STIR, RFC 8224).
    """

    call_id: str
    state: CallState
    caller: str
    callee: str
    setup_ns: int
    ringing_ns: int | None
    answer_ns: int | None
    end_ns: int | None
    post_dial_ms: float | None
    talk_ms: float | None
    final_status: int | None
    final_reason: str
    ended_by: Side | None
    cause: str
    messages: int
    retransmissions: int
    reinvites: int
    forks: int
    unacknowledged: bool
    authentication: Authentication
    identity: bool


class _Timeline:
    """The facts of one call, gathered message by message."""

    def __init__(self, caller_tag: str) -> None:
        self.caller_tag = caller_tag
        self.progress_ns: int | None = None
        self.ringing_ns: int | None = None
        self.answer_ns: int | None = None
        self.end_ns: int | None = None
        self.final: SipMessage | None = None
        self.ended_by: Side | None = None
        self.cause = ""
        self.trying = self.cancelled = self.hung_up = self.acknowledged = False
        self.attempt = -1
        self.reinvites: set[tuple[str, int]] = set()
        self.branches: set[str] = set()

    def take(self, message: SipMessage) -> None:
        if message.is_request:
            self._request(message)
        elif message.method == "INVITE" and self.answer_ns is None:
            self._answer(message)

    def _request(self, message: SipMessage) -> None:
        if message.method == "INVITE":
            self._invite(message)
        elif message.method == "ACK" and self.answer_ns is not None:
            self.acknowledged = True
        elif message.method == "CANCEL" and self.answer_ns is None and not self.cancelled:
            self.cancelled = True
            self._end(message, Side.CALLER)
        elif message.method == "BYE" and not self.hung_up:
            self.hung_up = True
            side = Side.CALLER if message.from_tag == self.caller_tag else Side.CALLEE
            self._end(message, side if self.caller_tag else Side.UNKNOWN)

    def _invite(self, message: SipMessage) -> None:
        if message.to_tag:
            # Several hops show one re-INVITE several times.
            self.reinvites.add((message.from_tag, message.cseq))
        elif message.cseq > self.attempt and self.answer_ns is None:
            # After a challenge or a redirection the caller tries again, and the first outcome does not count.
            self.attempt = message.cseq
            self.final = self.end_ns = self.ended_by = None
            self.trying = self.cancelled = False
            self.cause = ""

    def _end(self, message: SipMessage, side: Side) -> None:
        self.end_ns, self.ended_by, self.cause = message.time_ns, side, message.cause

    def _answer(self, message: SipMessage) -> None:
        if message.status == 100:
            self.trying = True
        elif message.status in _CHALLENGES:
            self.final = message
        else:
            self._progress(message)

    def _progress(self, message: SipMessage) -> None:
        if message.to_tag:
            self.branches.add(message.to_tag)
        if not self.cancelled:
            self.progress_ns = self.progress_ns or message.time_ns
        if message.status == 180:
            self.ringing_ns = self.ringing_ns or message.time_ns
        if message.status < 200:
            return
        self.final = message
        if message.status < 300:
            self.answer_ns, self.end_ns, self.ended_by = message.time_ns, None, None
        elif not self.cancelled:
            self._end(message, Side.CALLEE)

    def state(self) -> CallState:
        if self.hung_up:
            return CallState.COMPLETED
        if self.answer_ns is not None:
            return CallState.ANSWERED
        if self.cancelled:
            return CallState.CANCELLED
        if self.final is not None:
            return _refusal(self.final.status)
        if self.progress_ns is not None:
            return CallState.RINGING
        return CallState.PROCEEDING if self.trying else CallState.ATTEMPTED


def _refusal(status: int) -> CallState:
    if status in _CHALLENGES:
        return CallState.CHALLENGED
    return CallState.REDIRECTED if status < 400 else CallState.REJECTED


def is_call(dialog: Dialog) -> bool:
    """Tell whether the messages belong to a call, though its beginning may be missing."""
    return not _CALL_METHODS.isdisjoint(dialog.methods())


def follow_call(dialog: Dialog) -> Call:
    """The call in the messages of a Call-ID for which `is_call` holds."""
    messages = dialog.distinct()
    first = _first_invite(messages)
    timeline = _Timeline(first.from_tag if first else "")
    for message in messages:
        timeline.take(message)
    begin, final = first or messages[0], timeline.final
    answer_ns = timeline.answer_ns
    return Call(
        call_id=dialog.call_id,
        state=timeline.state() if first else CallState.PARTIAL,
        caller=begin.from_uri,
        callee=begin.to_uri,
        setup_ns=begin.time_ns,
        ringing_ns=timeline.ringing_ns,
        answer_ns=answer_ns,
        end_ns=timeline.end_ns,
        post_dial_ms=_milliseconds(begin.time_ns, timeline.progress_ns) if first else None,
        talk_ms=None if answer_ns is None else _milliseconds(answer_ns, timeline.end_ns),
        final_status=final.status if final else None,
        final_reason=final.reason if final else "",
        ended_by=timeline.ended_by,
        cause=timeline.cause,
        messages=len(dialog.messages),
        retransmissions=len(dialog.resent),
        reinvites=len(timeline.reinvites),
        forks=len(timeline.branches),
        unacknowledged=answer_ns is not None and not timeline.acknowledged,
        authentication=follow_authentication(messages, "INVITE"),
        identity=any(message.identity for message in messages if message.method == "INVITE"),
    )


def _first_invite(messages: Iterable[SipMessage]) -> SipMessage | None:
    for message in messages:
        if message.is_request and message.method == "INVITE" and not message.to_tag:
            return message
    return None


def _milliseconds(begin_ns: int, end_ns: int | None) -> float | None:
    return None if end_ns is None else round((end_ns - begin_ns) / 1e6, 3)
