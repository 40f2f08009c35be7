"""Registrations, subscriptions and OPTIONS probes: dialogs that are not calls (RFC 3261 and 6665)."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from linewarden.diagnostics.analysis.attempts import Authentication, AuthOutcome, follow_authentication
from linewarden.diagnostics.analysis.dialogs import Dialog
from linewarden.diagnostics.analysis.model import Endpoint
from linewarden.diagnostics.analysis.sip import SipMessage


class RegistrationState(StrEnum):
    """The state after the last answer, or without one."""

    REGISTERED = "registered"
    REMOVED = "removed"
    CHALLENGED = "challenged"
    REFUSED = "refused"
    FAILED = "failed"
    NO_ANSWER = "no_answer"


@dataclass(frozen=True, slots=True)
class Registration:
    """The REGISTER requests of one Call-ID. `unanswered` counts requests without a final answer."""

    call_id: str
    account: str
    client: Endpoint
    registrar: Endpoint
    state: RegistrationState
    first_ns: int
    last_ns: int
    requests: int
    unanswered: int
    retransmissions: int
    final_status: int | None
    expires_s: int | None
    authentication: Authentication


@dataclass(frozen=True, slots=True)
class Subscription:
    """The SUBSCRIBE and NOTIFY requests of one Call-ID. `state` is the last Subscription-State that was notified."""

    call_id: str
    event: str
    subscriber: str
    target: str
    first_ns: int
    final_status: int | None
    notifications: int
    state: str
    authentication: Authentication


@dataclass(frozen=True, slots=True)
class OptionsProbe:
    """The OPTIONS requests from one address to another, and their answers with times in ms."""

    source: Endpoint
    destination: Endpoint
    requests: int
    answered: int
    retransmissions: int
    statuses: tuple[tuple[int, int], ...]
    min_ms: float | None
    mean_ms: float | None
    max_ms: float | None


def follow_registration(dialog: Dialog) -> Registration | None:
    """The registration of a Call-ID, or None where it holds no REGISTER."""
    messages = [message for message in dialog.distinct() if message.method == "REGISTER"]
    if not messages:
        return None
    requests = {message.cseq for message in messages if message.is_request}
    finals = {message.cseq: message for message in messages if message.status >= 200}
    last = max(finals.values(), key=lambda each: each.time_ns, default=None)
    authentication = follow_authentication(messages, "REGISTER")
    asked = messages[0]
    client, registrar = asked.source, asked.destination
    if not asked.is_request:
        client, registrar = registrar, client
    return Registration(
        call_id=dialog.call_id,
        account=asked.to_uri,
        client=client,
        registrar=registrar,
        state=_registration_state(messages, last, authentication),
        first_ns=asked.time_ns,
        last_ns=messages[-1].time_ns,
        requests=len(requests),
        unanswered=len(requests - finals.keys()),
        retransmissions=len(dialog.resent),
        final_status=last.status if last else None,
        expires_s=_lifetime(messages, last),
        authentication=authentication,
    )


def _registration_state(
    messages: list[SipMessage], last: SipMessage | None, authentication: Authentication
) -> RegistrationState:
    if last is None:
        return RegistrationState.NO_ANSWER
    if last.status < 300:
        return RegistrationState.REMOVED if _lifetime(messages, last) == 0 else RegistrationState.REGISTERED
    if authentication.outcome in {AuthOutcome.NOT_TRIED, AuthOutcome.OPEN}:
        return RegistrationState.CHALLENGED
    return RegistrationState.REFUSED if last.status in {401, 403, 407} else RegistrationState.FAILED


def _lifetime(messages: list[SipMessage], last: SipMessage | None) -> int | None:
    """The lifetime granted, else the one asked for."""
    if last is None or last.status >= 300:
        return None
    asked = [message.expires for message in messages if message.is_request and message.cseq == last.cseq]
    return last.expires if last.expires is not None else next(iter(asked), None)


def follow_subscription(dialog: Dialog) -> Subscription | None:
    """The subscription of a Call-ID, or None where it holds none."""
    messages = [message for message in dialog.distinct() if message.method in {"SUBSCRIBE", "NOTIFY"}]
    if not messages:
        return None
    finals = [message for message in messages if message.method == "SUBSCRIBE" and message.status >= 200]
    notified = [message for message in messages if message.method == "NOTIFY" and message.is_request]
    begin = messages[0]
    # A NOTIFY goes the other way.
    subscriber, target = begin.from_uri, begin.to_uri
    if begin.method == "NOTIFY":
        subscriber, target = target, subscriber
    return Subscription(
        call_id=dialog.call_id,
        event=next((message.event for message in messages if message.event), ""),
        subscriber=subscriber,
        target=target,
        first_ns=begin.time_ns,
        final_status=finals[-1].status if finals else None,
        notifications=len(notified),
        state=notified[-1].subscription if notified else "",
        authentication=follow_authentication(messages, "SUBSCRIBE"),
    )


class _Probing:
    """The OPTIONS between two addresses so far."""

    def __init__(self) -> None:
        self.asked_ns: dict[tuple[str, int, str], int] = {}
        self.waits_ms: list[float] = []
        self.statuses: Counter[int] = Counter()
        self.resent = 0

    def take(self, message: SipMessage) -> None:
        key = (message.call_id, message.cseq, message.branch)
        if message.is_request:
            self.resent += key in self.asked_ns
            self.asked_ns.setdefault(key, message.time_ns)
        elif message.status >= 200:
            self.statuses[message.status] += 1
            if key in self.asked_ns:
                self.waits_ms.append((message.time_ns - self.asked_ns[key]) / 1e6)

    def report(self, source: Endpoint, destination: Endpoint) -> OptionsProbe:
        waits = self.waits_ms
        return OptionsProbe(
            source=source,
            destination=destination,
            requests=len(self.asked_ns),
            answered=len(waits),
            retransmissions=self.resent,
            statuses=tuple(sorted(self.statuses.items())),
            min_ms=round(min(waits), 3) if waits else None,
            mean_ms=round(sum(waits) / len(waits), 3) if waits else None,
            max_ms=round(max(waits), 3) if waits else None,
        )


def follow_probes(messages: Iterable[SipMessage]) -> tuple[OptionsProbe, ...]:
    """The OPTIONS requests of a capture, by the addresses that sent and received them. Messages in order of time."""
    pairs: dict[tuple[Endpoint, Endpoint], _Probing] = {}
    for message in messages:
        if message.method == "OPTIONS":
            pair = (message.source, message.destination)
            pairs.setdefault(pair if message.is_request else pair[::-1], _Probing()).take(message)
    return tuple(probing.report(*pair) for pair, probing in pairs.items())
