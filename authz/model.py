"""The nouns of access control: subject, verb, resource, context and decision.

Standard library only. Times are integers: microseconds since 1970-01-01 UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any, NamedTuple


class ResourceType(StrEnum):
    """The type of a resource."""

    RECORDING = "recording"
    VOICEMAIL = "voicemail"
    FAX = "fax"
    CDR = "cdr"
    CAPTURE = "capture"
    CONTACT = "contact"
    MEDIA = "media"
    POLICY = "policy"
    AUDIT_LOG = "audit_log"
    DIAGNOSTICS = "diagnostics"


class Verb(StrEnum):
    """The use of a resource that is requested."""

    VIEW_METADATA = "view_metadata"
    VIEW_PARTY_NUMBERS = "view_party_numbers"
    SEARCH = "search"
    PLAY = "play"
    DOWNLOAD = "download"
    EXPORT = "export"
    SHARE = "share"
    TRANSCRIBE = "transcribe"
    READ_TRANSCRIPT = "read_transcript"
    DELETE = "delete"
    RESTORE = "restore"
    ARCHIVE = "archive"
    HOLD = "hold"
    RELEASE_HOLD = "release_hold"
    ERASE_SUBJECT = "erase_subject"
    RECORD_START = "record_start"
    RECORD_STOP = "record_stop"
    RECORD_PAUSE = "record_pause"
    RECORD_RESUME = "record_resume"
    LISTEN_LIVE = "listen_live"
    CAPTURE_START = "capture_start"
    CAPTURE_STOP = "capture_stop"
    CAPTURE_READ = "capture_read"
    READ_ACCESS_LOG = "read_access_log"
    EXPORT_ACCESS_LOG = "export_access_log"
    READ_POLICY = "read_policy"
    CHANGE_POLICY = "change_policy"
    CAPTURE_REQUEST = "capture_request"
    CAPTURE_APPROVE = "capture_approve"
    CAPTURE_MEDIA = "capture_media"
    CAPTURE_RAW_FILTER = "capture_raw_filter"
    ENABLE_DIAGNOSTICS = "enable_diagnostics"
    PUBLISH_NOTICE = "publish_notice"
    SEND_NOTICE = "send_notice"
    ATTEST_NOTICE = "attest_notice"
    RUN_PROBE = "run_probe"
    SHARE_USAGE = "share_usage"


class Purpose(StrEnum):
    """The purpose of an access."""

    ACCOUNTING = "accounting"
    BILLING = "billing"
    QUALITY = "quality"
    FRAUD = "fraud"
    SUPPORT = "support"
    LEGAL = "legal"
    TRAINING = "training"


class Consent(StrEnum):
    """The consent of an item's parties to its use."""

    GIVEN = "given"
    REFUSED = "refused"


class Role(StrEnum):
    """The role of a participant in a call, or of a person at an item.

    A callee was called or rung. An answered participant talked. An agent talked for a queue. A listener listened
    without talking.
    """

    CALLER = "caller"
    CALLEE = "callee"
    ANSWERED = "answered"
    TRANSFERRED_TO = "transferred_to"
    TRANSFERRED_FROM = "transferred_from"
    CONFERENCE = "conference"
    AGENT = "agent"
    MAILBOX_HOLDER = "mailbox_holder"
    FORWARDED_TO = "forwarded_to"
    LISTENER = "listener"


class Effect(StrEnum):
    """The effect of a rule, and the outcome of a decision."""

    ALLOW = "allow"
    DENY = "deny"


class Reason(StrEnum):
    """The reason for the outcome of a decision."""

    ALLOWED_BY_RULE = "allowed_by_rule"
    NO_MATCHING_RULE = "no_matching_rule"
    DENIED_BY_RULE = "denied_by_rule"
    CONDITION_FAILED = "condition_failed"
    CONDITION_ERROR = "condition_error"
    SUBJECT_OF_OTHER_TENANT = "subject_of_other_tenant"
    RESOURCE_OF_OTHER_TENANT = "resource_of_other_tenant"


class Obligation(StrEnum):
    """A duty that comes with a permission."""

    MASK_NUMBERS = "mask_numbers"
    ANNOUNCE = "announce"
    NOTIFY_OWNER = "notify_owner"
    WATERMARK = "watermark"
    STREAM_ONLY = "stream_only"
    PART = "part"


_STORED = frozenset(
    {
        Verb.VIEW_METADATA,
        Verb.VIEW_PARTY_NUMBERS,
        Verb.SEARCH,
        Verb.EXPORT,
        Verb.DELETE,
        Verb.RESTORE,
        Verb.ARCHIVE,
        Verb.HOLD,
        Verb.RELEASE_HOLD,
        Verb.ERASE_SUBJECT,
    }
)
_DOCUMENT = _STORED | {Verb.PLAY, Verb.DOWNLOAD, Verb.SHARE}
_SPEECH = _DOCUMENT | {Verb.TRANSCRIBE, Verb.READ_TRANSCRIPT}
_RECORD = frozenset({Verb.RECORD_START, Verb.RECORD_STOP, Verb.RECORD_PAUSE, Verb.RECORD_RESUME})
_CAPTURE = frozenset(
    {
        Verb.CAPTURE_REQUEST,
        Verb.CAPTURE_APPROVE,
        Verb.CAPTURE_MEDIA,
        Verb.CAPTURE_RAW_FILTER,
        Verb.CAPTURE_START,
        Verb.CAPTURE_STOP,
        Verb.CAPTURE_READ,
    }
)
_DIAGNOSTICS = frozenset(
    {
        Verb.ENABLE_DIAGNOSTICS,
        Verb.PUBLISH_NOTICE,
        Verb.SEND_NOTICE,
        Verb.ATTEST_NOTICE,
        Verb.RUN_PROBE,
        Verb.SHARE_USAGE,
    }
)

#: The verbs of each resource type. Every other pairing is an error of the caller and not a decision.
VERBS_OF: Mapping[ResourceType, frozenset[Verb]] = MappingProxyType(
    {
        ResourceType.RECORDING: _SPEECH | _RECORD,
        ResourceType.VOICEMAIL: _SPEECH,
        ResourceType.FAX: _DOCUMENT,
        ResourceType.CDR: _STORED | {Verb.DOWNLOAD},
        ResourceType.CAPTURE: _STORED | _CAPTURE | {Verb.DOWNLOAD},
        ResourceType.CONTACT: _STORED | {Verb.SHARE},
        ResourceType.MEDIA: _RECORD | {Verb.LISTEN_LIVE},
        ResourceType.POLICY: frozenset({Verb.READ_POLICY, Verb.CHANGE_POLICY}),
        ResourceType.AUDIT_LOG: frozenset({Verb.READ_ACCESS_LOG, Verb.EXPORT_ACCESS_LOG, Verb.ERASE_SUBJECT}),
        ResourceType.DIAGNOSTICS: _CAPTURE | _DIAGNOSTICS | {Verb.VIEW_METADATA},
    }
)


class Participant(NamedTuple):
    """A participant of an item: a person, or an address with the persons who held it at the time of the item.

    The stretch from `from_us` until `until_us` is that in which it took part; None means that the end is not known.
    """

    role: Role
    persons: tuple[str, ...] = ()
    address: str = ""
    from_us: int | None = None
    until_us: int | None = None


class Resource(NamedTuple):
    """An item with the attributes that rules can name. An empty string means that the item has no such attribute.

    `parties` are persons whom the item concerns in no stated role.
    """

    type: ResourceType
    id: str
    owner: str = ""
    queue: str = ""
    created_us: int | None = None
    labels: Mapping[str, str] = MappingProxyType({})
    participants: tuple[Participant, ...] = ()
    parties: tuple[str, ...] = ()
    duration_us: int | None = None


class Context(NamedTuple):
    """The values of a request, beside person and item, that rules can use. An empty string means: not stated."""

    now_us: int
    purpose: Purpose | None = None
    case: str = ""
    zone: str = ""
    consent: Consent | None = None


#: An explanation with its renderings, and of each rule or condition in all of them.
_FINDING_BYTES = 2_500
_PART_BYTES = 1_000


class Match(NamedTuple):
    """A rule that matched, and the roles from the person to the rule's holder; none for a rule of the person's own."""

    rule_id: str
    effect: Effect
    roles: tuple[str, ...]


class FailedCondition(NamedTuple):
    """A condition that kept a rule from matching or was in error, as the policy writes it."""

    rule_id: str
    condition: str
    error: bool = False


@dataclass(slots=True)
class Explanation:
    """What the rules say about an access, with the rules that matched and the conditions that kept others from it.

    Explanations are bounded: `more_matched` and `more_failed` count what is not listed. Equal circumstances share one
    explanation, also of several persons, so it does not name the person. `renderings` holds what was made of it (see
    `renderings.MemoizedRendering`). Nothing else in it changes. It is not a frozen dataclass, because making one takes
    three times as long.
    """

    effect: Effect
    reason: Reason
    matched: tuple[Match, ...] = ()
    failed: tuple[FailedCondition, ...] = ()
    obligations: tuple[Obligation, ...] = ()
    more_matched: int = 0
    more_failed: int = 0
    renderings: dict[object, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def cost(self) -> int:
        """An estimate of the bytes that the explanation and its renderings take."""
        return _FINDING_BYTES + _PART_BYTES * (len(self.matched) + len(self.failed))


class Part(NamedTuple):
    """A stretch of an item, microseconds since 1970. None means from its start, or until its end."""

    from_us: int | None
    until_us: int | None


class Decision(NamedTuple):
    """The decision about one access of `subject`, with its explanation.

    `expires_us` is the first instant at which a condition on time would change the decision, or None. The `subject` is
    empty if no rule matters. `parts` are the stretches to which the obligation PART limits the access.
    """

    explanation: Explanation
    expires_us: int | None = None
    subject: str = ""
    parts: tuple["Part", ...] = ()

    @property
    def allowed(self) -> bool:
        """True if the access is permitted."""
        return self.explanation.effect is Effect.ALLOW

    @property
    def effect(self) -> Effect:
        """The outcome of the decision."""
        return self.explanation.effect

    @property
    def reason(self) -> Reason:
        """The reason for the outcome."""
        return self.explanation.reason

    @property
    def matched(self) -> tuple[Match, ...]:
        """The listed rules that matched; those that deny come first."""
        return self.explanation.matched

    def role_path(self, match: Match) -> tuple[str, ...]:
        """Return the person and the roles that lead to the holder of a rule that matched."""
        return (self.subject, *match.roles)

    @property
    def failed(self) -> tuple[FailedCondition, ...]:
        """The listed conditions that kept rules from matching."""
        return self.explanation.failed

    @property
    def obligations(self) -> tuple[Obligation, ...]:
        """The duties that come with a permission."""
        return self.explanation.obligations
