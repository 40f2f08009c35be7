"""The model of a packet capture: selector, limits, counters and stop reason.

Standard library only. Times are integers: nanoseconds since 1970-01-01 UTC unless the name says otherwise. The values
made for every packet are named tuples, because a frozen dataclass takes three times as long to make.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple


class Profile(StrEnum):
    """The part of a packet that may be kept."""

    HEADERS = "headers"
    """Link, network and transport headers, without payload."""
    SIGNALLING = "signalling"
    """Also SIP with its secrets overwritten, and the headers of RTP and RTCP."""
    MEDIA = "media"
    """Everything."""


class Transport(StrEnum):
    """The transport protocols that a selector accepts."""

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
    """The state of the worker."""

    RUNNING = "running"
    PAUSED = "paused"
    STOPPING = "stopping"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"


class Rule(StrEnum):
    """A rule that removes data from a packet before it is stored. Several rules may apply to one packet."""

    BY_PROFILE = "by_profile"
    """The payload, because the profile keeps headers only."""
    NOT_IP = "not_ip"
    """All bytes after the link header of a frame without IP."""
    MALFORMED = "malformed"
    """All bytes after the last readable header, or after an unknown option."""
    FRAGMENT = "fragment"
    """The payload of an IP fragment that is not the first."""
    OTHER_TRANSPORT = "other_transport"
    """All bytes that are neither UDP nor TCP nor an ICMP error."""
    ICMP_QUOTE = "icmp_quote"
    """The datagram quoted in an ICMP error, beyond its ports."""
    TRAILER = "trailer"
    """Bytes behind the end of the packet, such as Ethernet padding, if no other rule applied."""
    RTP_PAYLOAD = "rtp_payload"
    """Media and RFC 4733 events, encrypted or not, with header extensions and contributing sources."""
    RTP_UNPROVEN = "rtp_unproven"
    """All of a datagram that looks like RTP but continues no sequence, because it could be T.38."""
    RTCP_PAYLOAD = "rtcp_payload"
    """All bytes after the sender and receiver reports."""
    STUN = "stun"
    """All of a STUN or TURN message."""
    DTLS = "dtls"
    """All of a DTLS record."""
    T38 = "t38"
    """All of a datagram to or from an address announced for T.38."""
    UDP_OTHER = "udp_other"
    """All of a datagram of an unknown protocol."""
    TCP_OTHER = "tcp_other"
    """All of a segment in a stream that does not carry readable SIP, such as TLS."""
    SIP_HEADER = "sip_header"
    """Values of SIP headers: credentials, nonces, passwords in URIs, unknown headers and parameters."""
    SIP_BODY = "sip_body"
    """Bodies other than SDP: messages, digits, XML; and bytes after the end of the message."""
    SDP_SECRET = "sdp_secret"  # noqa: S105 - the name of a rule
    """Keys, ICE passwords, names, free text and unknown attributes in SDP."""
    SIP_LOST = "sip_lost"
    """Bytes of a SIP stream with an unknown place in a message."""
    SNAPLEN = "snaplen"
    """Bytes beyond the snapshot length."""


#: The rules for packets that were not understood.
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
    """The packets that a capture selects. An empty field does not restrict. All given fields must match.

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
        """Return whether only certain calls are selected."""
        return bool(self.extensions or self.call_ids)


@dataclass(frozen=True, slots=True)
class CaptureLimits:
    """The limits of a capture. The first limit that is reached ends it.

    `snaplen` is the kept bytes of a packet after masking; `bytes` is the size of the evidence; `disk_free_min` is in
    bytes; `loss_budget` is how many packets the kernel may drop; `lease_seconds` is how long the worker captures
    without a heartbeat.
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
    """A source interface of packets."""

    name: str
    link_type: int


class Frame(NamedTuple):
    """One packet as the source returned it. `original_length` is its length on the wire."""

    time_ns: int
    data: bytes
    original_length: int
    interface: int = 0


@dataclass(frozen=True, slots=True)
class SourceCounters:
    """The counters of one interface since the start: `received`, and of those `dropped` because the buffer was full."""

    received: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Counters:
    """The counters of a capture.

    received == delivered + dropped, and delivered == written + not_selected + over_limit. `over_limit` are packets that
    arrived before the source was closed, but after a limit or a fault ended the capture.
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
