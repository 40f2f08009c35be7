"""The measurements of one RTP stream as values."""

from dataclasses import dataclass

from linewarden.diagnostics.analysis.model import Endpoint
from linewarden.diagnostics.analysis.quality import Quality
from linewarden.diagnostics.analysis.rtcp import ReceiverView
from linewarden.diagnostics.analysis.timeline import Timeline


@dataclass(frozen=True, slots=True)
class JitterReport:
    """Interarrival jitter in milliseconds (RFC 3550 appendix A.8): at the end, on average, at most."""

    last_ms: float
    mean_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class StreamReport:
    """The measurements of one stream. Times in ns since 1970, durations in ms, losses in packets.

    `announced` tells whether a session description named the address; else the stream was found by its sequence.
    `call_id` is empty where no call announced it. `frame_ms` and what follows from it are None where the clock is not
    known; `jitter_reason` says why `jitter` is missing. `silences` are pauses in the timestamps without loss (DTX).
    `restarts` counts sequence numbers that began anew, `timestamp_restarts` timestamps that did so within a sequence.
    `unasked_types` are payload types that the receiver announced an address for, but never them. `unnamed_types` are
    those of them that the sender did not announce either.
    """

    source: Endpoint
    destination: Endpoint
    ssrc: int
    call_id: str
    announced: bool
    encrypted: bool
    codec: str | None
    clock: int | None
    payload_types: tuple[tuple[int, int], ...]
    unasked_types: tuple[int, ...]
    unnamed_types: tuple[int, ...]
    first_ns: int
    last_ns: int
    packets: int
    payload_bytes: int
    expected: int
    lost: int
    lost_percent: float
    bursts: int
    longest_burst: int
    duplicates: int
    out_of_order: int
    restarts: int
    timestamp_restarts: int
    strays: int
    longest_pause_ms: float
    markers: int
    frame_ms: float | None
    talk_ms: float | None
    silences: int | None
    silent_ms: float | None
    comfort_noise: int
    event_packets: int
    events: int
    jitter: JitterReport | None
    jitter_reason: str
    receiver: ReceiverView | None
    quality: Quality
    timeline: Timeline
