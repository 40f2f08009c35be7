"""The nouns that come in: frames, endpoints, bounds, and what is counted instead of used.

Times are integers: nanoseconds since 1970-01-01 UTC. A length called original is what was on the wire; the bytes at
hand may be fewer. The values made for every packet are named tuples, because a frozen dataclass takes three times as
long to make.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, Protocol


class Frame(NamedTuple):
    """One captured frame. `link_type` is the LINKTYPE number of the interface it was seen on."""

    time_ns: int
    link_type: int
    data: bytes
    original_length: int
    interface: int = 0


class Endpoint(NamedTuple):
    """A transport address."""

    address: str
    port: int

    def __str__(self) -> str:
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class Datagram(NamedTuple):
    """What one UDP datagram, or one TCP segment, carried. `data` may be shorter than `original_length`."""

    time_ns: int
    source: Endpoint
    destination: Endpoint
    data: bytes
    original_length: int


class Transport(StrEnum):
    """What carried a message."""

    UDP = "udp"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class InterfaceCount:
    """What one interface says of itself. None: the capture does not say. `pauses` counts when it took nothing."""

    name: str
    received: int | None = None
    dropped: int | None = None
    pauses: int = 0


class CaptureSource(Protocol):
    """An opened capture. What the methods say is complete when the iteration has ended."""

    def __iter__(self) -> Iterator[Frame]:
        """The frames, in the order of the file."""
        ...

    def interface_counts(self) -> Sequence[InterfaceCount]:
        """One count for each interface of the capture."""
        ...

    def fault(self) -> str:
        """Why the capture could not be read to its end; empty where it was."""
        ...


class Omission(StrEnum):
    """What was met and not used. The value is also how a report says it."""

    FRAME_NOT_IP = "frames that carry no IP"
    PACKET_UNREADABLE = "packets whose headers are cut or wrong"
    OTHER_PROTOCOL = "packets of other protocols"
    PAYLOAD_CUT = "packets whose payload was cut away"
    FRAGMENT_UNREADABLE = "fragments that overlap or are too many"
    DATAGRAM_INCOMPLETE = "datagrams with fragments missing or cut"
    STREAM_GAP = "gaps in TCP streams that carry SIP"
    STREAM_OVER_LIMIT = "TCP streams given up because too many are open"
    SIP_UNREADABLE = "SIP messages that cannot be read"
    SIP_CUT = "SIP messages that are cut"
    SIP_OVER_LIMIT = "SIP messages over the limit"
    DIALOG_OVER_LIMIT = "SIP messages of dialogs over the limit"
    SESSION_OVER_LIMIT = "session descriptions over the limit"
    LADDER_OVER_LIMIT = "SIP messages left out of ladders"
    ANNOUNCEMENT_OVER_LIMIT = "announced media addresses forgotten"
    RTP_UNPROVEN = "packets that look like RTP but follow no sequence"
    RTP_OVER_LIMIT = "RTP packets of streams over the limit"
    RTCP_UNREADABLE = "RTCP packets that are cut, encrypted or wrong"
    RTCP_OVER_LIMIT = "RTCP reports over the limit"


@dataclass(frozen=True, slots=True)
class Limits:
    """How much an analysis may hold; what passes a bound is counted.

    With these values an ordinary capture of 50,000 messages takes about 90 MiB, and one made to hurt 500 MiB; as JSON
    700 MiB.
    """

    messages: int = 50_000
    dialogs: int = 10_000
    messages_per_ladder: int = 500
    sessions: int = 10_000
    streams: int = 4_096
    candidates: int = 4_096
    announcements: int = 4_096
    fragmented: int = 256
    tcp_streams: int = 256
