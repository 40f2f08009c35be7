"""The model of consent: terms, notices, receipts, mailings, attestations.

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
    """A legal basis for processing, after Article 6(1) GDPR."""

    CONSENT = "consent"
    CONTRACT = "contract"
    LEGAL_OBLIGATION = "legal_obligation"
    VITAL_INTERESTS = "vital_interests"
    PUBLIC_TASK = "public_task"
    LEGITIMATE_INTERESTS = "legitimate_interests"


class ConsentMode(StrEnum):
    """The parties whose consent an attestation relies on. Consent is another fact than having been informed."""

    NONE = "none"
    ONE_PARTY = "one_party"
    ALL_PARTIES = "all_parties"


class ReceiptFact(StrEnum):
    """A fact about one person and one notice. Each fact is counted separately.

    CONFIRMED is the person's own statement. REPORTED is the statement of another person about them.
    """

    INFORMED = "informed"
    CONFIRMED = "confirmed"
    FAILED = "failed"
    REPORTED = "reported"


class DeliveryOutcome(StrEnum):
    """The outcome of one mail. It is not known whether an UNANSWERED mail left."""

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
    """The terms on which a customer permits diagnostics, with the last change."""

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

    `private` is audience and texts, sealed. Both are empty in a stored notice. A notice without it was stored before
    they were sealed.
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
        """Return the texts in a language, or all texts if none is in that language."""
        found = tuple(one for one in self.texts if one.language.lower() == language.lower())
        return found or self.texts


@dataclass(frozen=True, slots=True)
class Receipt:
    """A fact about one person. `capture` is the capture it is about; empty for the notice in general.

    `channel` is None for a confirmation, because it is not known how the person came to read the notice.
    """

    sid: str
    fact: ReceiptFact
    at_us: int
    channel: NoticeChannel | None
    capture: str = ""


@dataclass(frozen=True, slots=True)
class ReceiptCounts:
    """The number of persons for each fact, for one version of a notice."""

    informed: int = 0
    confirmed: int = 0
    failed: int = 0
    reported: int = 0


@dataclass(frozen=True, slots=True)
class MailResult:
    """The result of one mail. `reply_code` is the reply code of the mail server, 0 without a reply."""

    outcome: DeliveryOutcome
    reply_code: int = 0

    @property
    def fact(self) -> ReceiptFact:
        """Return the fact about the person that follows."""
        return ReceiptFact.INFORMED if self.outcome is DeliveryOutcome.TAKEN else ReceiptFact.FAILED


@dataclass(frozen=True, slots=True)
class Mailing:
    """The mails of one request, recorded before the first one leaves, so that none leaves twice.

    `results` has one result for each of `persons`, in their order, once the results are known.
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
    """The proof that users were informed by one channel: its SHA-256, in hex."""

    channel: NoticeChannel
    evidence_sha256: str


@dataclass(frozen=True, slots=True)
class PromisedLimits:
    """The limits of captures that users were promised."""

    profile: Profile
    seconds: int
    retention_days: int


@dataclass(frozen=True, slots=True)
class AttestedTexts:
    """The texts of a statement in the attestor's own words. They are stored sealed, and empty in a stored statement."""

    role: str = ""
    authority: str = ""
    exception: str = ""
    necessity: str = ""
    audience: str = ""
    dpia_reference: str = ""


@dataclass(frozen=True, slots=True)
class Statement:
    """The attested statement. `has_dpia` is true if it names a data protection impact assessment."""

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
    """A stored statement and the signed note over its canonical bytes. `private` is its sealed texts."""

    id: str
    attestor: str
    made_us: int
    notice_hash: str
    statement: Statement
    private: Secret
    note: str
    withdrawn_us: int | None = None

    def in_force(self, now_us: int) -> bool:
        """Return whether captures may rely on it now."""
        begun = self.statement.notified_until_us <= now_us and self.made_us <= now_us
        return begun and now_us < self.statement.valid_until_us and self.withdrawn_us is None
