"""The nouns of the input: frames, endpoints, bounds, and the omissions that are counted.

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
    """The content of one UDP datagram or one TCP segment. `data` may be shorter than `original_length`."""

    time_ns: int
    source: Endpoint
    destination: Endpoint
    data: bytes
    original_length: int


class SipTransport(StrEnum):
    """The transport of a message."""

    UDP = "udp"
    TCP = "tcp"


@dataclass(frozen=True, slots=True)
class InterfaceCount:
    """The counts of one interface; None if the capture does not state one. `pauses`: how often it took no packets."""

    name: str
    received: int | None = None
    dropped: int | None = None
    pauses: int = 0


class CaptureSource(Protocol):
    """An opened capture. The counts are complete when the iteration has ended."""

    def __iter__(self) -> Iterator[Frame]:
        """The frames, in the order of the file."""
        ...

    def interface_counts(self) -> Sequence[InterfaceCount]:
        """One count for each interface of the capture."""
        ...

    def fault(self) -> str:
        """The reason why the capture could not be read to its end; empty if it was."""
        ...


class Omission(StrEnum):
    """Parts of the input that are not used. The value is the text in a report."""

    FRAME_NOT_IP = "frames that carry no IP"
    PACKET_UNREADABLE = "packets whose headers are cut or wrong"
    OTHER_PROTOCOL = "packets of other protocols"
    PAYLOAD_CUT = "packets whose payload was cut away"
    COPY = "copies of packets that the capture shows twice"
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
    VOICE_OVER_LIMIT = "voice quality reports over the limit"
    RTCP_OVER_LIMIT = "RTCP reports over the limit"


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that an analysis holds; entries over a bound are counted.

    With these values an ordinary capture of 50,000 messages takes about 90 MiB, and a malicious one 500 MiB; as JSON
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
    voice_reports: int = 4_096
