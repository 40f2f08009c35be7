"""The model of one capture. Standard library only.

Times are microseconds since 1970-01-01 UTC. Case, selector and readers are private. They are sealed under the tenant's
own key wherever a capture is stored.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from linewarden.diagnostics.consent_model import Secret
from linewarden.diagnostics.packets.model import CaptureLimits, Profile, StopReason, Transport


class CaptureState(StrEnum):
    """The state of a capture; `states` has the transitions."""

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
    """A right that the policy gives a person to a capture. Each value is a verb of the policy."""

    REQUEST = "capture_request"
    START = "capture_start"
    APPROVE = "capture_approve"
    MEDIA = "capture_media"
    RAW_FILTER = "capture_raw_filter"
    VIEW = "view_metadata"


#: A capture waits for an attestation or for approval for this time at most, because the fault is over by then.
WAIT_US = 7 * 86_400_000_000


@dataclass(frozen=True, slots=True)
class PacketSelector:
    """The packets that a request selects, in the terms of the request. An empty field does not restrict."""

    extensions: tuple[str, ...] = ()
    call_ids: tuple[str, ...] = ()
    trunks: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    ports: tuple[tuple[int, int], ...] = ()
    transport: Transport = Transport.ANY
    raw_filter: str = ""

    @property
    def takes_all(self) -> bool:
        """Return whether no field restricts."""
        return self == PacketSelector()

    def certainly_takes(self, extensions: Iterable[str]) -> bool:
        """Return whether every call of one of these extensions is captured, whatever its other party is."""
        return self.takes_all or not set(self.extensions).isdisjoint(extensions)


@dataclass(frozen=True, slots=True)
class Reader:
    """A person who can open the evidence, with an age or SSH public key."""

    name: str
    public_key: str


@dataclass(frozen=True, slots=True)
class Private:
    """The sealed part of a capture. `file` is the name of the capture file to import; empty for a live capture."""

    case: str
    wanted: PacketSelector
    readers: tuple[Reader, ...]
    file: str = ""


@dataclass(frozen=True, slots=True)
class Evidence:
    """The sizes and hashes of a sealed file; hashes in hex. `file` is its name in the evidence folder."""

    file: str
    plain_bytes: int
    plain_sha256: str
    chain: str
    sealed_bytes: int
    sealed_sha256: str


@dataclass(frozen=True, slots=True)
class Tally:
    """The counters of a capture. received == delivered + dropped.

    `complete` is true if the worker sent the counters at its end. Earlier counters may be too low.
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
        """Return whether every packet is accounted for."""
        kept = self.written + self.not_selected + self.over_limit
        return self.complete and self.received == self.delivered + self.dropped and self.delivered == kept


@dataclass(frozen=True, slots=True)
class Capture:
    """One capture from request to deletion. Persons are pseudonyms; empty where no person has acted so far.

    `interface` is an interface of the host of `worker`; the empty worker is this host. It is empty for the import of a
    capture file. `retention_days` is the longest time that evidence is kept, as promised when the capture started.
    `ticket` is the sealed digest of the order to capture. It is sealed because the order could be guessed from it.
    `folder` is the id of the evidence folder, from the start on; empty for captures from before folders had an id.
    `detail` is the cause of a failure, one of `failures`; empty if the capture did not fail.
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
        """Return when the service must process the capture without a request; None if never."""
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
        """Return whether packets were lost. A packet that is missing from lossy evidence proves nothing."""
        return self.ended_us is not None and (self.tally.dropped > 0 or not self.tally.sound)


def rights_needed(act: CaptureRight, profile: Profile, *, raw_filter: bool) -> frozenset[CaptureRight]:
    """Return the rights to request or start a capture. The profile MEDIA and a filter expression need one more each."""
    media = {CaptureRight.MEDIA} if profile is Profile.MEDIA else set()
    return frozenset({act, *media, *({CaptureRight.RAW_FILTER} if raw_filter else ())})
