"""All RTP streams of a capture: those that were announced, and those that prove themselves by their sequence.

A packet to or from an announced address is taken at once. Any other UDP packet that could be RTP must be followed by
packets of the same SSRC in sequence (RFC 3550 appendix A.1) before it counts; chance resemblance is only counted.
"""

from collections import Counter, OrderedDict
from collections.abc import Callable

from linewarden.diagnostics.analysis.media import Announcement, Announcements
from linewarden.diagnostics.analysis.model import Datagram, Endpoint, Limits, Omission
from linewarden.diagnostics.analysis.rtcp import ReceiverReports, is_rtcp
from linewarden.diagnostics.analysis.rtp import RtpHeader, read_rtp
from linewarden.diagnostics.analysis.stream import Stream
from linewarden.diagnostics.analysis.stream_report import StreamReport

#: Packets in sequence that make an unannounced stream.
_PROOF = 4

_Key = tuple[Endpoint, Endpoint, int]
_Seen = list[tuple[Datagram, RtpHeader]]


def _never(_source: Endpoint, _destination: Endpoint) -> bool:
    return False


class RtpStreams:
    """The streams so far, within the bounds of `limits`."""

    def __init__(self, limits: Limits, announcements: Announcements, omitted: Counter[Omission]) -> None:
        self._limits = limits
        self._announcements = announcements
        self._omitted = omitted
        self._streams: dict[_Key, Stream] = {}
        self._candidates: OrderedDict[_Key, _Seen] = OrderedDict()
        self._reports = ReceiverReports(omitted)

    def add(self, datagram: Datagram) -> bool:
        """Take a datagram that is no SIP. Return whether it can be RTP or RTCP, or is T.38."""
        announcement = self._announcements.find(datagram.source, datagram.destination)
        if announcement is not None and announcement.kind == "image" and self.take_fax(datagram):
            return True
        if is_rtcp(datagram.data):
            self._reports.add(datagram)
            return True
        header = read_rtp(datagram.data, datagram.original_length)
        if header is None:
            return False
        key = (datagram.source, datagram.destination, header.ssrc)
        stream = self._streams.get(key)
        if stream is not None:
            if announcement is not None and not stream.follows(header.sequence):
                self._skip_fax(stream, announcement, datagram.time_ns, header)
            stream.add(datagram, header, announcement)
        elif announcement is not None:
            self._open(key, [*self._candidates.pop(key, []), (datagram, header)], announcement)
        else:
            self._prove(key, datagram, header)
        return True

    def take_fax(self, datagram: Datagram) -> bool:
        """Count a datagram of a phase of fax; False if it is none. Packets of RTP under way are none."""
        known = self._announcements.find(datagram.source, datagram.destination)
        if known is None or known.kind != "image":
            return False
        phase = self._announcements.fax_between(known.call_id, datagram.time_ns, datagram.time_ns)
        if phase is None:
            return False
        ssrc = int.from_bytes(datagram.data[8:12])
        if (datagram.source, datagram.destination, ssrc) in self._streams:
            return False
        phase.packets += 1
        return True

    def _skip_fax(self, stream: Stream, announcement: Announcement, time_ns: int, header: RtpHeader) -> None:
        if self._announcements.fax_between(announcement.call_id, stream.last_ns, time_ns) is not None:
            stream.resume(header.sequence, time_ns)

    def add_copy(self, datagram: Datagram) -> None:
        """Count a copy of a packet that was taken already."""
        header = read_rtp(datagram.data, datagram.original_length)
        stream = self._streams.get((datagram.source, datagram.destination, header.ssrc)) if header else None
        if stream is not None:
            stream.copies += 1

    def reports(
        self, capture_lost: bool, captured_twice: Callable[[Endpoint, Endpoint], bool] = _never
    ) -> tuple[StreamReport, ...]:
        """All streams in the order of their first packets. No stream is rated when the capture itself lost packets.

        `captured_twice` tells of two ends whether copies of packets are the capture's own; else the network made them.
        """
        for seen in self._candidates.values():
            self._late(seen)
        ordered = sorted(self._streams.values(), key=lambda stream: stream.first_ns)
        for stream in ordered:
            if not captured_twice(stream.source, stream.destination):
                stream.duplicates = stream.copies
        return tuple(self._report(stream, capture_lost) for stream in ordered)

    def _open(self, key: _Key, seen: _Seen, announcement: Announcement | None) -> None:
        if len(self._streams) >= self._limits.streams:
            self._omitted[Omission.RTP_OVER_LIMIT] += len(seen)
            return
        stream = self._streams[key] = Stream(*seen[0])
        for datagram, header in seen:
            stream.add(datagram, header, announcement)

    def _prove(self, key: _Key, datagram: Datagram, header: RtpHeader) -> None:
        seen = self._candidates.setdefault(key, [])
        if seen and not _follows(seen[-1][1], header):
            self._omitted[Omission.RTP_UNPROVEN] += len(seen)
            seen.clear()
        seen.append((datagram._replace(data=b""), header))
        if len(seen) == _PROOF:
            del self._candidates[key]
            self._open(key, seen, None)
        elif len(self._candidates) > self._limits.candidates:
            _, given_up = self._candidates.popitem(last=False)
            self._omitted[Omission.RTP_UNPROVEN] += len(given_up)

    def _late(self, seen: _Seen) -> None:
        """A stream too short to prove itself still counts when its address was announced after it."""
        datagram, header = seen[0]
        announcement = self._announcements.find(datagram.source, datagram.destination)
        if announcement is None:
            self._omitted[Omission.RTP_UNPROVEN] += len(seen)
        else:
            self._open((datagram.source, datagram.destination, header.ssrc), seen, announcement)

    def _report(self, stream: Stream, capture_lost: bool) -> StreamReport:
        announcement = self._announcements.find(stream.source, stream.destination)
        receiver = self._reports.view(stream.destination.address, stream.ssrc)
        asked = [self._announcements.formats(end) for end in (stream.source, stream.destination)]
        named = asked[0] | asked[1] if asked[0] is not None and asked[1] is not None else None
        return stream.report(announcement, receiver, capture_lost, named)


def _follows(before: RtpHeader, header: RtpHeader) -> bool:
    """Tell whether this is the next packet but for a few lost ones; RFC 4733 changes the type in mid-stream."""
    step = (header.sequence - before.sequence) & 0xFFFF
    later = (header.timestamp - before.timestamp) & 0xFFFFFFFF
    return 0 < step <= 4 and later < 1 << 24
