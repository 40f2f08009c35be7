"""The kinds of trouble that a capture can show, and one finding."""

from dataclasses import dataclass
from enum import StrEnum


class Trouble(StrEnum):
    """The kind of trouble that a hint names. FAX is no trouble, but explains why audio pauses."""

    AUTHENTICATION = "authentication failed"
    REGISTRATION = "registration failed"
    NO_RESPONSE = "no response"
    REPEATED = "repeated messages"
    UNACKNOWLEDGED = "no ACK"
    SHORT = "short call"
    REFUSED_MEDIA = "media refused"
    CODEC = "codec mismatch"
    UNNAMED_CODEC = "codec named by neither side"
    NO_FORMAT = "description without a format"
    ONE_WAY = "one-way media"
    NO_MEDIA = "no media"
    LOSS = "packet loss"
    BURST = "burst loss"
    JITTER = "jitter"
    LOW_SCORE = "low MOS"
    REPORTED = "trouble reported by an end"
    ECHO = "audio sent back"
    FAX = "fax"


@dataclass(frozen=True, slots=True)
class Hint:
    """One hint, about the call or registration of a Call-ID; empty for a stream that no call announced."""

    trouble: Trouble
    call_id: str
    text: str
