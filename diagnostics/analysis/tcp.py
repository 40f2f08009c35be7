"""SIP out of TCP streams (RFC 3261 section 18.3): segments in order, messages by Content-Length.

One direction of a connection is followed from the first segment that begins like SIP. Bytes that are missing, because
a frame was lost or its payload cut, end what was begun; reading goes on at the next segment with a start line.
"""

from collections import Counter, OrderedDict

from linewarden.diagnostics.analysis.model import Datagram, Endpoint, Omission
from linewarden.diagnostics.analysis.network import Segment
from linewarden.diagnostics.analysis.sip import MAX_HEAD, declared_length, head_length, looks_like_sip

_MAX_BODY = 65_536
_MAX_WAITING = 32
_HALF = 1 << 31


class _Stream:
    """One direction: bytes of an unfinished message, and segments that came before their turn."""

    __slots__ = ("buffer", "begun_ns", "next", "waiting")

    def __init__(self, sequence: int) -> None:
        self.next = sequence
        self.buffer = bytearray()
        self.begun_ns = 0
        self.waiting: dict[int, Segment] = {}


class SipStreams:
    """At most `limit` directions; the one longest silent is given up for a new one."""

    def __init__(self, limit: int, omitted: Counter[Omission]) -> None:
        self._limit = limit
        self._omitted = omitted
        self._streams: OrderedDict[tuple[Endpoint, Endpoint], _Stream] = OrderedDict()

    def add(self, segment: Segment, time_ns: int) -> list[Datagram]:
        """Take a segment; give back the messages that it completes."""
        key = (segment.source, segment.destination)
        stream = self._streams.get(key)
        if segment.opens:
            self._streams.pop(key, None)
            return []
        if not segment.original_length:
            return []
        if stream is None:
            if not looks_like_sip(segment.data.lstrip(b"\r\n")):
                return []
            stream = self._open(key, segment.sequence)
        self._streams.move_to_end(key)
        messages: list[Datagram] = []
        self._take(stream, segment, time_ns, messages)
        while (waiting := stream.waiting.pop(stream.next, None)) is not None:
            self._take(stream, waiting, time_ns, messages)
        return messages

    def _open(self, key: tuple[Endpoint, Endpoint], sequence: int) -> _Stream:
        if len(self._streams) >= self._limit:
            self._streams.popitem(last=False)
            self._omitted[Omission.STREAM_OVER_LIMIT] += 1
        stream = self._streams[key] = _Stream(sequence)
        return stream

    def _take(self, stream: _Stream, segment: Segment, time_ns: int, messages: list[Datagram]) -> None:
        ahead = (segment.sequence - stream.next) & 0xFFFFFFFF
        if ahead >= _HALF:
            seen = (1 << 32) - ahead
            if seen >= segment.original_length:
                return  # A retransmission tells nothing new.
            segment = segment._replace(
                sequence=stream.next, data=segment.data[seen:], original_length=segment.original_length - seen
            )
        elif ahead and not self._skip_gap(stream, segment):
            return
        stream.next = (segment.sequence + segment.original_length) & 0xFFFFFFFF
        if not stream.buffer:
            stream.begun_ns = time_ns
        stream.buffer += segment.data
        self._cut_messages(stream, segment, messages)
        stream.begun_ns = time_ns
        if len(segment.data) < segment.original_length and stream.buffer:
            self._omitted[Omission.STREAM_GAP] += 1
            messages.append(_message(stream, segment, bytes(stream.buffer), len(stream.buffer) + 1))
            stream.buffer.clear()

    def _skip_gap(self, stream: _Stream, segment: Segment) -> bool:
        """Wait for what is missing while there is room; then give it up. Whether `segment` may be read now."""
        if len(stream.waiting) < _MAX_WAITING:
            stream.waiting[segment.sequence] = segment
            return False
        self._omitted[Omission.STREAM_GAP] += 1
        stream.buffer.clear()
        stream.waiting.clear()
        return True

    def _cut_messages(self, stream: _Stream, segment: Segment, messages: list[Datagram]) -> None:
        buffer = stream.buffer
        while True:
            blank = len(buffer) - len(buffer.lstrip(b"\r\n"))
            del buffer[:blank]
            head = head_length(bytes(buffer[:MAX_HEAD]))
            if head is None:
                if len(buffer) >= MAX_HEAD:
                    self._drop(stream)
                return
            if not looks_like_sip(bytes(buffer[:4096])):
                self._drop(stream)
                return
            body = declared_length(bytes(buffer[:head]))
            if body > _MAX_BODY:
                self._drop(stream)
                return
            if len(buffer) < head + body:
                return
            messages.append(_message(stream, segment, bytes(buffer[: head + body]), head + body))
            del buffer[: head + body]

    def _drop(self, stream: _Stream) -> None:
        self._omitted[Omission.SIP_UNREADABLE] += 1
        stream.buffer.clear()


def _message(stream: _Stream, segment: Segment, data: bytes, length: int) -> Datagram:
    return Datagram(stream.begun_ns, segment.source, segment.destination, data, length)
