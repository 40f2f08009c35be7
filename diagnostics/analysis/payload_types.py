"""Codecs by payload type (RFC 3551 table 4 and 5) and the kinds of payload that are no speech."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Codec(NamedTuple):
    """A payload format as SDP names it, in capitals, and its RTP clock in Hz."""

    name: str
    clock: int


#: Payload types with a fixed meaning. What SDP says of a type goes before this.
STATIC: Mapping[int, Codec] = MappingProxyType(
    {
        0: Codec("PCMU", 8_000),
        3: Codec("GSM", 8_000),
        4: Codec("G723", 8_000),
        5: Codec("DVI4", 8_000),
        6: Codec("DVI4", 16_000),
        7: Codec("LPC", 8_000),
        8: Codec("PCMA", 8_000),
        9: Codec("G722", 8_000),
        10: Codec("L16", 44_100),
        11: Codec("L16", 44_100),
        12: Codec("QCELP", 8_000),
        13: Codec("CN", 8_000),
        14: Codec("MPA", 90_000),
        15: Codec("G728", 8_000),
        16: Codec("DVI4", 11_025),
        17: Codec("DVI4", 22_050),
        18: Codec("G729", 8_000),
        25: Codec("CELB", 90_000),
        26: Codec("JPEG", 90_000),
        28: Codec("NV", 90_000),
        31: Codec("H261", 90_000),
        32: Codec("MPV", 90_000),
        33: Codec("MP2T", 90_000),
        34: Codec("H263", 90_000),
    }
)

#: RFC 4733: digits and tones. Their packets repeat one timestamp, so they say nothing about jitter.
EVENT = "TELEPHONE-EVENT"

#: RFC 3389.
COMFORT_NOISE = "CN"

NOT_SPEECH = frozenset({EVENT, COMFORT_NOISE, "TONE", "RED"})
