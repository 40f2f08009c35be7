"""The nouns of a capture: what is asked for, within which limits, what was seen, and why it ended.

Standard library only. Times are integers: nanoseconds since 1970-01-01 UTC unless the name says otherwise. The values
made for every packet are named tuples, because a frozen dataclass takes three times as long to make.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple


class Profile(StrEnum):
    """How much of a packet may be kept."""

    HEADERS = "headers"
    """Link, network and transport headers; nothing of what they carry."""
    SIGNALLING = "signalling"
    """Also SIP with its secrets overwritten, and the headers of RTP and RTCP."""
    MEDIA = "media"
    """Everything."""


class Transport(StrEnum):
    """Which transport protocols a selector takes."""

    ANY = "any"
    UDP = "udp"
    TCP = "tcp"


class StopReason(StrEnum):
    """The one reason why a capture ended."""

    REQUESTED = "requested"
    TIME = "time"
    BYTES = "bytes"
    PACKETS = "packets"
    DISK_LOW = "disk_low"
    LOSS_BUDGET = "loss_budget"
    ATTESTATION_WITHDRAWN = "attestation_withdrawn"
    ATTESTATION_EXPIRED = "attestation_expired"
    NOTICE_REPLACED = "notice_replaced"
    APPROVER_LEFT = "approver_left"
    LEASE_LOST = "lease_lost"
    WORKER_LOST = "worker_lost"
    POLICY_CHANGED = "policy_changed"
    ERROR = "error"


class WorkerState(StrEnum):
    """Where the worker is on its way."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


class Rule(StrEnum):
    """What was taken out of a packet before it was stored. One packet may be touched by several rules."""

    BY_PROFILE = "by_profile"
    """The payload, because the profile keeps headers only."""
    NOT_IP = "not_ip"
    """All that follows the link header of a frame that carries no IP."""
    MALFORMED = "malformed"
    """All that follows the last header that could be read, or an option that is not known."""
    FRAGMENT = "fragment"
    """The payload of an IP fragment that is not the first."""
    OTHER_TRANSPORT = "other_transport"
    """What is neither UDP nor TCP nor an ICMP error."""
    ICMP_QUOTE = "icmp_quote"
    """The datagram quoted in an ICMP error, beyond its ports."""
    TRAILER = "trailer"
    """Bytes behind the end of the packet, such as Ethernet padding, where nothing else was taken."""
    RTP_PAYLOAD = "rtp_payload"
    """Media and RFC 4733 events, encrypted or not, with header extensions and contributing sources."""
    RTP_UNPROVEN = "rtp_unproven"
    """All of a datagram that looks like RTP but follows no sequence yet: it could be T.38."""
    RTCP_PAYLOAD = "rtcp_payload"
    """What follows the sender and receiver reports."""
    STUN = "stun"
    """All of a STUN or TURN message."""
    DTLS = "dtls"
    """All of a DTLS record."""
    T38 = "t38"
    """All of a datagram to or from an address announced for T.38."""
    UDP_OTHER = "udp_other"
    """All of a datagram that is nothing known."""
    TCP_OTHER = "tcp_other"
    """All of a segment in a stream that does not carry readable SIP, such as TLS."""
    SIP_HEADER = "sip_header"
    """Values of SIP headers: credentials, nonces, passwords in URIs, headers and parameters that are not known."""
    SIP_BODY = "sip_body"
    """Bodies that are not SDP: messages, digits, XML; and what follows the end of the message."""
    SDP_SECRET = "sdp_secret"  # noqa: S105 - the name of a rule
    """Keys, ICE passwords and unknown attributes in SDP."""
    SIP_LOST = "sip_lost"
    """Bytes of a SIP stream whose place in a message is not known."""
    SNAPLEN = "snaplen"
    """What passes the snapshot length."""


#: The rules that mean: this was not understood.
UNPARSED = frozenset(
    {
        Rule.NOT_IP,
        Rule.MALFORMED,
        Rule.OTHER_TRANSPORT,
        Rule.RTP_UNPROVEN,
        Rule.UDP_OTHER,
        Rule.TCP_OTHER,
        Rule.SIP_LOST,
    }
)


@dataclass(frozen=True, slots=True)
class Selector:
    """Which packets a capture is about. Empty means: no restriction. All that is given must hold.

    `extensions` and `call_ids` select dialogs, with the media their SDP announces; they are matched in the worker,
    byte for byte. The rest becomes a filter in the kernel; `ports` are inclusive ranges of either end.
    """

    extensions: tuple[str, ...] = ()
    call_ids: tuple[str, ...] = ()
    hosts: tuple[IPv4Network | IPv6Network, ...] = ()
    ports: tuple[tuple[int, int], ...] = ()
    transport: Transport = Transport.ANY

    @property
    def by_dialog(self) -> bool:
        """Return whether only certain calls are meant."""
        return bool(self.extensions or self.call_ids)


@dataclass(frozen=True, slots=True)
class CaptureLimits:
    """When a capture ends by itself. The first limit that is reached wins.

    `snaplen` is bytes kept of a packet after masking; `bytes` counts the evidence; `disk_free_min` is bytes;
    `loss_budget` is how many packets the kernel may drop; `lease_seconds` is how long the worker goes on unheard of.
    """

    seconds: int
    bytes: int
    packets: int
    snaplen: int
    disk_free_min: int
    loss_budget: int
    lease_seconds: int


@dataclass(frozen=True, slots=True)
class Interface:
    """A place packets come from."""

    name: str
    link_type: int


class Frame(NamedTuple):
    """One packet as the source gave it. `original_length` is what was on the wire."""

    time_ns: int
    data: bytes
    original_length: int
    interface: int = 0


@dataclass(frozen=True, slots=True)
class SourceCounters:
    """What a source says of one interface since the start: `received`, and of those `dropped` for lack of room."""

    received: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Counters:
    """What happened to the packets.

    received == delivered + dropped, and delivered == written + not_selected + over_limit. `over_limit` are packets that
    came in before the source was closed, but after a limit was reached or a fault ended the capture.
    """

    received: int = 0
    dropped: int = 0
    delivered: int = 0
    written: int = 0
    not_selected: int = 0
    over_limit: int = 0
    unparsed: int = 0
    bytes: int = 0
    rules: dict[Rule, int] = field(default_factory=dict)
