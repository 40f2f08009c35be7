"""The nouns of diagnostics around a capture: terms, notices, receipts, attestations.

Standard library only. Times are integers: microseconds since 1970-01-01 UTC. Persons are pseudonyms (`sid`).
"""

from dataclasses import dataclass
from enum import StrEnum

from linewarden.diagnostics.packets.model import Profile


class Responsibility(StrEnum):
    """A duty that the customer accepts by enabling diagnostics. All must be accepted."""

    INFORM_USERS = "inform_users"
    LAWFUL_BASIS = "lawful_basis"
    CONSULT_REPRESENTATIVES = "consult_representatives"
    LIMIT_READERS = "limit_readers"
    DELETE_IN_TIME = "delete_in_time"


class NoticeChannel(StrEnum):
    """A way to tell users."""

    EMAIL = "email"
    INTRANET = "intranet"
    CALL_ANNOUNCEMENT = "call_announcement"
    DEVICE_DISPLAY = "device_display"
    PAPER = "paper"
    IN_PERSON = "in_person"


class LegalBasis(StrEnum):
    """A ground for processing, after Article 6(1) GDPR."""

    CONSENT = "consent"
    CONTRACT = "contract"
    LEGAL_OBLIGATION = "legal_obligation"
    VITAL_INTERESTS = "vital_interests"
    PUBLIC_TASK = "public_task"
    LEGITIMATE_INTERESTS = "legitimate_interests"


class ConsentMode(StrEnum):
    """Whose consent an attestation relies on. Having been informed is another fact."""

    NONE = "none"
    ONE_PARTY = "one_party"
    ALL_PARTIES = "all_parties"


class ReceiptFact(StrEnum):
    """What is known of one person and one notice. Each is counted apart.

    CONFIRMED is what the person itself said, REPORTED what somebody else says of the person.
    """

    INFORMED = "informed"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    REPORTED = "reported"


class DeliveryOutcome(StrEnum):
    """What became of one mail. Of one that is unanswered it is not known whether it left."""

    TAKEN = "taken"
    REFUSED = "refused"
    UNANSWERED = "unanswered"
    NOT_TRIED = "not_tried"
    DOMAIN_NOT_PERMITTED = "domain_not_permitted"


@dataclass(frozen=True, slots=True)
class Secret:
    """Values sealed under a person's key, in the form they have in an entry (see `audit.keyring.Sealed`)."""

    sid: str
    ct: str
    commit: str


@dataclass(frozen=True, slots=True)
class Terms:
    """Whether diagnoses are permitted, on which terms, and since when."""

    enabled: bool
    accepted: tuple[Responsibility, ...]
    approval_waived: bool
    retention_days: int
    changed_us: int
    changed_by: str
    shares_usage: bool = False


@dataclass(frozen=True, slots=True)
class NoticeText:
    """A notice in one language, a BCP 47 tag."""

    language: str
    text: str


@dataclass(frozen=True, slots=True)
class Notice:
    """A version of a notice. `hash` is SHA-256, in hex, over the canonical JSON of audience, channels and texts.

    `private` is audience and texts, sealed; both are empty in a stored notice. Without it they were stored as they are.
    """

    id: str
    version: int
    texts: tuple[NoticeText, ...]
    channels: tuple[NoticeChannel, ...]
    audience: str
    hash: str
    published_us: int
    published_by: str
    private: Secret | None = None

    def texts_in(self, language: str) -> tuple[NoticeText, ...]:
        """The texts in a language, or all of them where there is none in that language."""
        found = tuple(one for one in self.texts if one.language.lower() == language.lower())
        return found or self.texts


@dataclass(frozen=True, slots=True)
class Receipt:
    """One person and what is known. `capture` is empty for the notice in general, else the capture it is about.

    `channel` is None where the person spoke for itself: nobody knows how it came to read the notice.
    """

    sid: str
    fact: ReceiptFact
    at_us: int
    channel: NoticeChannel | None
    capture: str = ""


@dataclass(frozen=True, slots=True)
class ReceiptCounts:
    """Of how many persons each fact is known, for one version of a notice."""

    informed: int = 0
    confirmed: int = 0
    failed: int = 0
    reported: int = 0


@dataclass(frozen=True, slots=True)
class MailResult:
    """What became of one mail. `reply_code` is the mail server's, 0 if there was none."""

    outcome: DeliveryOutcome
    reply_code: int = 0

    @property
    def fact(self) -> ReceiptFact:
        """What is known of the person by that."""
        return ReceiptFact.INFORMED if self.outcome is DeliveryOutcome.TAKEN else ReceiptFact.FAILED


@dataclass(frozen=True, slots=True)
class Mailing:
    """Mails of one request, written down before the first one leaves, so that none leaves twice.

    `results` has one for each of `persons`, in their order, once it is known what became of them.
    """

    notice: str
    version: int
    capture: str
    language: str
    sender: str
    persons: tuple[str, ...]
    begun_us: int
    results: tuple[MailResult, ...] = ()


@dataclass(frozen=True, slots=True)
class ChannelEvidence:
    """How users were told by one channel, with the SHA-256, in hex, of what proves it."""

    channel: NoticeChannel
    evidence_sha256: str


@dataclass(frozen=True, slots=True)
class PromisedLimits:
    """What users were told that a capture will not pass."""

    profile: Profile
    seconds: int
    retention_days: int


@dataclass(frozen=True, slots=True)
class AttestedTexts:
    """The texts of a statement in its maker's own words. They are kept sealed, and empty in a stored statement."""

    role: str = ""
    authority: str = ""
    exception: str = ""
    necessity: str = ""
    audience: str = ""
    dpia_reference: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """What is attested. `has_dpia` is whether there is a data protection impact assessment for full payload."""

    notice_id: str
    notice_version: int
    texts: AttestedTexts
    channels: tuple[ChannelEvidence, ...]
    informed_count: int
    confirmed_count: int
    notified_from_us: int
    notified_until_us: int
    valid_until_us: int
    purpose: str
    legal_basis: LegalBasis
    jurisdictions: tuple[str, ...]
    consent_mode: ConsentMode
    promised: PromisedLimits
    has_dpia: bool = False


@dataclass(frozen=True, slots=True)
class Attestation:
    """A statement as it is kept, and the signed note over its canonical bytes. `private` is its sealed texts."""

    id: str
    attestor: str
    made_us: int
    notice_hash: str
    statement: Statement
    private: Secret
    note: str
    withdrawn_us: int | None = None

    def in_force(self, now_us: int) -> bool:
        """Whether captures may rest on it now."""
        begun = self.statement.notified_until_us <= now_us and self.made_us <= now_us
        return begun and now_us < self.statement.valid_until_us and self.withdrawn_us is None
