"""The course of authentication: requests, challenges and answers to them (RFC 3261 section 22)."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from linewarden.diagnostics.analysis.sip import SipMessage

_CHALLENGES = frozenset({401, 407})

#: Answers to credentials that do not show whether they were looked at. 404 or 486 come from behind the gate.
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


def follow_authentication(messages: Iterable[SipMessage], method: str) -> Authentication:
    """The authentication in the messages of one Call-ID; repetitions must be left out."""
    with_credentials: dict[int, bool] = {}
    nonces: set[str] = set()
    counts = Counter[str]()
    outcome = AuthOutcome.NONE_ASKED
    for message in messages:
        if message.method != method:
            continue
        tried = with_credentials.get(message.cseq, False)
        if message.is_request:
            with_credentials[message.cseq] = message.credentials is not None
            counts["wrong_nonce"] += _is_wrong_nonce(message, nonces)
            if message.credentials is not None and outcome is not AuthOutcome.ACCEPTED:
                outcome = AuthOutcome.OPEN
        elif message.status in _CHALLENGES:
            challenge = message.challenge
            stale = challenge is not None and challenge.stale
            if challenge is not None and challenge.nonce:
                nonces.add(challenge.nonce)
            counts["challenges"] += 1
            counts["stale"] += stale
            counts["refused"] += tried and not stale
            outcome = AuthOutcome.REFUSED if tried and not stale else AuthOutcome.NOT_TRIED
        elif message.status == 403 and (tried or counts["challenges"]):
            counts["forbidden"] += 1
            outcome = AuthOutcome.FORBIDDEN
        elif message.status >= 200 and tried and message.status not in _UNDECIDED:
            outcome = AuthOutcome.ACCEPTED
    return Authentication(outcome, **counts)


def _is_wrong_nonce(message: SipMessage, nonces: set[str]) -> bool:
    nonce = message.credentials.nonce if message.credentials else None
    return nonce is not None and bool(nonces) and nonce not in nonces
