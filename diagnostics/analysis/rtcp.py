"""RTCP (RFC 3550 section 6): the reports of receivers to senders.

Ciphertext (SRTCP, RFC 3711) must never be taken for figures. So a compound packet is read only where its lengths add up
to the datagram to the last byte (appendix A.2), or where it was cut exactly behind its leading report, which is how
masking leaves the ones that added up; of the others it leaves eight bytes.
"""

import struct
from collections import Counter, OrderedDict
from dataclasses import dataclass

from linewarden.diagnostics.analysis.model import Datagram, Omission

_SENDER_REPORT = 200
_RECEIVER_REPORT = 201

#: The head before the blocks of a report, in bytes. A compound packet begins with one of these two.
_FIXED_LENGTHS = {_SENDER_REPORT: 28, _RECEIVER_REPORT: 8}
_MAX_REPORTS = 8_192


@dataclass(frozen=True, slots=True)
class ReceiverView:
    """The last report of the receiver of a stream, and the number of its reports.

    `lost` is cumulative and may be negative where packets came twice. `jitter` is in units of the codec's clock.
    `round_trip_ms` is measured from where the capture was made to the receiver and back.
    """

    reports: int
    fraction_lost: float
    lost: int
    jitter: int
    round_trip_ms: float | None


def is_rtcp(data: bytes) -> bool:
    """Tell whether this begins like an RTCP packet of a type in common use: SR to XR."""
    return len(data) >= 8 and data[0] >> 6 == 2 and 200 <= data[1] <= 207


class ReceiverReports:
    """Reports by (address of the receiver, SSRC of the stream), the oldest forgotten past a bound."""

    def __init__(self, omitted: Counter[Omission]) -> None:
        self._omitted = omitted
        self._views: OrderedDict[tuple[str, int], ReceiverView] = OrderedDict()
        self._sent: OrderedDict[tuple[int, int], int] = OrderedDict()

    def add(self, datagram: Datagram) -> None:
        """Take a compound packet."""
        parts = _split(datagram)
        if not parts:
            self._omitted[Omission.RTCP_UNREADABLE] += 1
            return
        for kind, count, body in parts:
            if kind == _SENDER_REPORT and len(body) >= 24:
                self._remember_sent(int.from_bytes(body[:4]), int.from_bytes(body[6:10]), datagram.time_ns)
                self._read_blocks(datagram, count, body[24:])
            elif kind == _RECEIVER_REPORT and len(body) >= 4:
                self._read_blocks(datagram, count, body[4:])

    def view(self, receiver: str, ssrc: int) -> ReceiverView | None:
        """The last report of a receiver on a stream."""
        return self._views.get((receiver, ssrc))

    def _remember_sent(self, ssrc: int, stamp: int, time_ns: int) -> None:
        if len(self._sent) >= _MAX_REPORTS:
            self._sent.popitem(last=False)
        self._sent[ssrc, stamp] = time_ns

    def _read_blocks(self, datagram: Datagram, count: int, blocks: bytes) -> None:
        for at in range(0, min(count * 24, len(blocks) // 24 * 24), 24):
            ssrc, loss, _, jitter, last, delay = struct.unpack_from("!6I", blocks, at)
            key = (datagram.source.address, ssrc)
            before = self._views.pop(key, None)
            if before is None and len(self._views) >= _MAX_REPORTS:
                self._views.popitem(last=False)
                self._omitted[Omission.RTCP_OVER_LIMIT] += 1
            lost = loss & 0xFFFFFF
            self._views[key] = ReceiverView(
                reports=before.reports + 1 if before else 1,
                fraction_lost=(loss >> 24) / 256,
                lost=lost - (1 << 24) if lost & 0x800000 else lost,
                jitter=jitter,
                round_trip_ms=self._round_trip(ssrc, last, delay, datagram.time_ns),
            )

    def _round_trip(self, ssrc: int, last: int, delay: int, time_ns: int) -> float | None:
        sent_ns = self._sent.get((ssrc, last))
        if sent_ns is None:
            return None
        milliseconds = (time_ns - sent_ns) / 1e6 - delay * 1000 / 65_536
        return round(milliseconds, 3) if milliseconds >= 0 else None


def _split(datagram: Datagram) -> list[tuple[int, int, bytes]]:
    """Type, count and body of each packet; empty where the whole does not hold together."""
    data, parts, at = datagram.data, list[tuple[int, int, bytes]](), 0
    fixed = _FIXED_LENGTHS.get(data[1])
    if fixed is None or (len(data) < datagram.original_length and len(data) != fixed + 24 * (data[0] & 31)):
        return []
    while at + 4 <= len(data):
        end = at + 4 * (int.from_bytes(data[at + 2 : at + 4]) + 1)
        if data[at] >> 6 != 2 or end > len(data):
            return []
        parts.append((data[at + 1], data[at] & 31, data[at + 4 : end]))
        at = end
    return parts if at == len(data) else []
