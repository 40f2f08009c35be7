"""The course of authentication: requests, challenges and answers to them (RFC 3261 section 22)."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from linewarden.diagnostics.analysis.model import Endpoint
from linewarden.diagnostics.analysis.sip import SipMessage

_CHALLENGES = frozenset({401, 407})

#: Answers to credentials that do not show whether they were looked at. 404 or 486 come from behind the challenger.
_UNDECIDED = frozenset({400, 408, *range(500, 600)})


class AuthOutcome(StrEnum):
    """The outcome of the credentials."""

    NONE_ASKED = "none_asked"
    ACCEPTED = "accepted"
    NOT_TRIED = "not_tried"
    REFUSED = "refused"
    FORBIDDEN = "forbidden"
    OPEN = "open"


@dataclass(frozen=True, slots=True)
class Authentication:
    """The challenges of one Call-ID and method.

    `refused` counts requests with credentials that were challenged again though their nonce was not called stale;
    `wrong_nonce` those whose nonce no challenge in the capture had given, where nonces are not masked. More than one
    refusal is a loop: the password is wrong, or the client does not learn.
    """

    outcome: AuthOutcome
    challenges: int = 0
    refused: int = 0
    forbidden: int = 0
    stale: int = 0
    wrong_nonce: int = 0

    @property
    def failed(self) -> bool:
        """Tell whether the authentication failed."""
        return self.outcome in {AuthOutcome.REFUSED, AuthOutcome.FORBIDDEN}


class _Exchange:
    """The course of authentication, message by message.

    Each hop has its own branch (RFC 3261 section 8.1.1.7), so an answer belongs to the request of its hop. A proxy may
    take the credentials out and send the request on (section 22.3), which shows that it accepted them.
    """

    def __init__(self) -> None:
        self.outcome = AuthOutcome.NONE_ASKED
        self.counts = Counter[str]()
        self._tried: dict[tuple[int, str], bool] = {}
        self._asked: dict[int, Endpoint] = {}
        self._passed: set[int] = set()
        self._nonces: set[str] = set()

    def request(self, message: SipMessage) -> None:
        tried = message.credentials is not None
        self._tried[message.cseq, message.branch] = tried
        self.counts["wrong_nonce"] += _is_wrong_nonce(message, self._nonces)
        asked = self._asked.get(message.cseq)
        if tried:
            self._asked[message.cseq] = message.destination
            if self.outcome is not AuthOutcome.ACCEPTED:
                self.outcome = AuthOutcome.OPEN
        elif asked is not None and asked.address == message.source.address:
            self._passed.add(message.cseq)
            self.outcome = AuthOutcome.ACCEPTED

    def response(self, message: SipMessage) -> None:
        tried = self._tried.get((message.cseq, message.branch), False)
        if message.status in _CHALLENGES:
            self._challenge(message, tried=tried)
        elif message.cseq in self._passed:
            return  # It comes from behind the proxy that accepted them.
        elif message.status == 403 and (tried or self.counts["challenges"]):
            self.counts["forbidden"] += 1
            self.outcome = AuthOutcome.FORBIDDEN
        elif message.status >= 200 and tried and message.status not in _UNDECIDED:
            self.outcome = AuthOutcome.ACCEPTED

    def _challenge(self, message: SipMessage, *, tried: bool) -> None:
        challenge = message.challenge
        stale = challenge is not None and challenge.stale
        if challenge is not None and challenge.nonce:
            self._nonces.add(challenge.nonce)
        self.counts["challenges"] += 1
        self.counts["stale"] += stale
        self.counts["refused"] += tried and not stale
        self.outcome = AuthOutcome.REFUSED if tried and not stale else AuthOutcome.NOT_TRIED


def follow_authentication(messages: Iterable[SipMessage], method: str) -> Authentication:
    """The authentication in the messages of one Call-ID; repetitions must be left out."""
    exchange = _Exchange()
    for message in messages:
        if message.method == method:
            if message.is_request:
                exchange.request(message)
            else:
                exchange.response(message)
    return Authentication(exchange.outcome, **exchange.counts)


def _is_wrong_nonce(message: SipMessage, nonces: set[str]) -> bool:
    nonce = message.credentials.nonce if message.credentials else None
    return nonce is not None and bool(nonces) and nonce not in nonces
