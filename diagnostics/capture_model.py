"""The nouns of one capture. Standard library only.

Times are microseconds since 1970-01-01 UTC. What is asked for is private: case, selector and readers are sealed under
the tenant's own key wherever a capture is stored.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from linewarden.diagnostics.consent_model import Secret
from linewarden.diagnostics.packets.model import CaptureLimits, Profile, StopReason, Transport


class CaptureState(StrEnum):
    """Where a capture is on its way; `states` says how it gets there."""

    DRAFT = "draft"
    PENDING_ATTESTATION = "pending_attestation"
    PENDING_APPROVAL = "pending_approval"
    ARMED = "armed"
    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    SEALED = "sealed"
    DELETED = "deleted"
    REJECTED = "rejected"
    FAILED = "failed"


class CaptureRight(StrEnum):
    """What the policy must let a person do to a capture; the words are those of the policy's verbs."""

    REQUEST = "capture_request"
    START = "capture_start"
    APPROVE = "capture_approve"
    MEDIA = "capture_media"
    RAW_FILTER = "capture_raw_filter"
    VIEW = "view_metadata"


#: A capture that waits for an attestation or for approval does so for this time: the fault is long over by then.
WAIT_US = 7 * 86_400_000_000


@dataclass(frozen=True, slots=True)
class PacketSelector:
    """Which packets are asked for, in the words of the request. Empty means: no restriction."""

    extensions: tuple[str, ...] = ()
    call_ids: tuple[str, ...] = ()
    trunks: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    ports: tuple[tuple[int, int], ...] = ()
    transport: Transport = Transport.ANY
    raw_filter: str = ""

    @property
    def takes_all(self) -> bool:
        """Whether nothing is restricted."""
        return self == PacketSelector()

    def certainly_takes(self, extensions: Iterable[str]) -> bool:
        """Return whether calls of one of these extensions are taken for certain: any call may have it as a party."""
        return self.takes_all or not set(self.extensions).isdisjoint(extensions)


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who can open the evidence, with an age or SSH public key."""

    name: str
    public_key: str


@dataclass(frozen=True, slots=True)
class Private:
    """The part of a capture that is sealed. `file` is the name of a capture file that is to come in, if one is."""

    case: str
    wanted: PacketSelector
    readers: tuple[Reader, ...]
    file: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a sealed file adds up to; hashes in hex. `file` is its name in the folder of evidence."""

    file: str
    plain_bytes: int
    plain_sha256: str
    chain: str
    sealed_bytes: int
    sealed_sha256: str


@dataclass(frozen=True, slots=True)
class Tally:
    """What happened to the packets. received == delivered + dropped.

    `complete` is whether the worker said so at its end; what it said before may be less than what happened.
    """

    received: int = 0
    dropped: int = 0
    delivered: int = 0
    written: int = 0
    not_selected: int = 0
    over_limit: int = 0
    unparsed: int = 0
    bytes: int = 0
    rules: dict[str, int] = field(default_factory=dict)
    complete: bool = True

    @property
    def sound(self) -> bool:
        """Whether every packet is accounted for."""
        kept = self.written + self.not_selected + self.over_limit
        return self.complete and self.received == self.delivered + self.dropped and self.delivered == kept


@dataclass(frozen=True, slots=True)
class Capture:
    """One capture from request to deletion. Persons are pseudonyms; empty where nobody did that so far.

    `interface` is empty when a capture file is taken into custody instead; it is at the host of `worker`, or this one.
    `retention_days` is for how long the evidence is kept at most, as it was promised when the capture started.
    `ticket` is the digest of the order to capture, sealed: it could be guessed back from what the order says.
    `folder` is the id of the folder where its files lie, from its start on; empty for captures from before folders had
    one. `detail` is what went wrong, if something did: one of `causes`.
    """

    id: str
    state: CaptureState
    requested_by: str
    requested_us: int
    purpose: str
    profile: Profile
    limits: CaptureLimits
    interface: str
    private: Secret
    worker: str = ""
    extends: str = ""
    attestation: str = ""
    approved_by: str = ""
    approved_us: int | None = None
    approved_zone: str = ""
    start_before_us: int | None = None
    started_by: str = ""
    started_us: int | None = None
    started_zone: str = ""
    retention_days: int = 0
    ended_us: int | None = None
    delete_us: int | None = None
    stop_reason: StopReason | None = None
    ticket: Secret | None = None
    folder: str = ""
    detail: str = ""
    tally: Tally = field(default_factory=Tally)
    evidence: Evidence | None = None

    @property
    def due_us(self) -> int | None:
        """When the service must look at it by itself; None if never."""
        match self.state:
            case CaptureState.PENDING_ATTESTATION | CaptureState.PENDING_APPROVAL:
                return self.requested_us + WAIT_US
            case CaptureState.ARMED:
                return self.start_before_us
            case CaptureState.RUNNING | CaptureState.PAUSED | CaptureState.STOPPING:
                return 0
            case CaptureState.SEALED | CaptureState.FAILED:
                return self.delete_us
            case _:
                return None

    @property
    def lossy(self) -> bool:
        """Whether packets are missing that were there: what is missing from the evidence proves nothing."""
        return self.ended_us is not None and (self.tally.dropped > 0 or not self.tally.sound)


def rights_needed(act: CaptureRight, profile: Profile, *, raw_filter: bool) -> frozenset[CaptureRight]:
    """The rights to request or start a capture: more for one of media, or with a filter expression."""
    media = {CaptureRight.MEDIA} if profile is Profile.MEDIA else set()
    return frozenset({act, *media, *({CaptureRight.RAW_FILTER} if raw_filter else ())})
