"""SIP out of TCP streams (RFC 3261 section 18.3): segments in order, messages by Content-Length. HEP by its own length.

One direction of a connection is followed from the first segment that begins like SIP. Segments before that are held
within bounds, because they may have overtaken it. Bytes that are missing, because a frame was lost or its payload cut,
end what was begun; reading goes on at the next segment with a start line.
"""

from collections import Counter, OrderedDict

from linewarden.diagnostics.analysis import hep, unread
from linewarden.diagnostics.analysis.model import Datagram, Endpoint, Omission
from linewarden.diagnostics.analysis.network import Segment
from linewarden.diagnostics.analysis.sip import MAX_HEAD, begins_message, declared_length, head_length
from linewarden.diagnostics.analysis.unread import Unread

_MAX_BODY = 65_536
_MAX_WAITING = 32
_MAX_WAITING_BYTES = 65_536
#: Segments held of a direction that has not begun like SIP yet, and the distance within which they belong to it.
_MAX_EARLY = 8
_MAX_EARLY_DISTANCE = 1 << 20
_HALF = 1 << 31
_MODULUS = 1 << 32

_Key = tuple[Endpoint, Endpoint]
_Early = list[tuple[Segment, int]]


class _Stream:
    """One direction: the bytes of an unfinished message, and segments that came before their turn.

    `needed` is the length of the message in the buffer once its header section is there, else 0; `searched` is how far
    the end of that section was looked for, so that a message in tiny segments costs no more than one in large ones.
    """

    __slots__ = ("begun_ns", "buffer", "needed", "next", "searched", "waiting", "waiting_bytes")

    def __init__(self, sequence: int) -> None:
        self.next = sequence
        self.begun_ns = 0
        self.waiting: dict[int, tuple[Segment, int]] = {}
        self.waiting_bytes = 0
        self.buffer = bytearray()
        self.needed = self.searched = 0

    def remove(self, length: int) -> None:
        del self.buffer[:length]
        self.needed = self.searched = 0

    def due(self) -> tuple[Segment, int] | None:
        """A waiting segment that begins at or before what is needed next."""
        for sequence in self.waiting:
            if -(sequence - self.next) % _MODULUS < _HALF:
                return self._release(sequence)
        return None

    def nearest(self) -> tuple[Segment, int]:
        return self._release(min(self.waiting, key=lambda sequence: (sequence - self.next) % _MODULUS))

    def _release(self, sequence: int) -> tuple[Segment, int]:
        segment, time_ns = self.waiting.pop(sequence)
        self.waiting_bytes -= len(segment.data)
        return segment, time_ns


class SipStreams:
    """At most `limit` directions; the one longest silent is given up for a new one.

    As many directions are held of which no message has begun.
    """

    def __init__(self, limit: int, omitted: Counter[Omission], not_read: Unread | None = None) -> None:
        self._limit = limit
        self._omitted = omitted
        self._unread = not_read or Unread()
        self._streams: OrderedDict[_Key, _Stream] = OrderedDict()
        self._early: OrderedDict[_Key, _Early] = OrderedDict()

    def add(self, segment: Segment, time_ns: int) -> list[Datagram]:
        """Take a segment; give back the messages that it completes."""
        key = (segment.source, segment.destination)
        if segment.opens:
            self._streams.pop(key, None)
            self._give_up(key)
            return []
        if not segment.original_length:
            return []
        stream = self._streams.get(key)
        if stream is not None:
            self._streams.move_to_end(key)
            return self._arrive(stream, segment, time_ns)
        if not segment.data:
            self._omitted[Omission.PAYLOAD_CUT] += 1
            return []
        if not _begins(segment.data.lstrip(b"\r\n")):
            self._hold(key, segment, time_ns)
            return []
        stream = self._open(key, segment.sequence)
        messages = self._arrive(stream, segment, time_ns)
        for early, early_ns in self._early.pop(key, []):
            if 0 < (early.sequence - segment.sequence) % _MODULUS < _MAX_EARLY_DISTANCE:
                messages += self._arrive(stream, early, early_ns)
            else:
                self._refuse(early)
        return messages

    def rest(self) -> list[Datagram]:
        """The messages in segments that still waited for what never came, and the beginnings of unfinished ones."""
        messages: list[Datagram] = []
        for (source, destination), stream in self._streams.items():
            while stream.waiting:
                self._skip_gap(stream, messages)
            if stream.buffer:
                self._end_early(stream, source, destination, messages)
        for key in list(self._early):
            self._give_up(key)
        return messages

    def _hold(self, key: _Key, segment: Segment, time_ns: int) -> None:
        held = self._early.setdefault(key, [])
        held.append((segment, time_ns))
        if len(held) > _MAX_EARLY:
            self._refuse(held.pop(0)[0])
        if len(self._early) > self._limit:
            self._give_up(next(iter(self._early)))

    def _give_up(self, key: _Key) -> None:
        for segment, _ in self._early.pop(key, []):
            self._refuse(segment)

    def _refuse(self, segment: Segment) -> None:
        self._omitted[Omission.OTHER_PROTOCOL] += 1
        self._unread.count(unread.tcp(segment.source.port, segment.destination.port, segment.data))

    def _open(self, key: _Key, sequence: int) -> _Stream:
        if len(self._streams) >= self._limit:
            self._streams.popitem(last=False)
            self._omitted[Omission.STREAM_OVER_LIMIT] += 1
        stream = self._streams[key] = _Stream(sequence)
        return stream

    def _arrive(self, stream: _Stream, segment: Segment, time_ns: int) -> list[Datagram]:
        messages: list[Datagram] = []
        ahead = (segment.sequence - stream.next) % _MODULUS
        if 0 < ahead < _HALF:
            if segment.sequence not in stream.waiting:
                stream.waiting[segment.sequence] = (segment, time_ns)
                stream.waiting_bytes += len(segment.data)
            if len(stream.waiting) > _MAX_WAITING or stream.waiting_bytes > _MAX_WAITING_BYTES:
                self._skip_gap(stream, messages)
            return messages
        self._read(stream, segment, time_ns, messages)
        self._read_due(stream, messages)
        return messages

    def _read_due(self, stream: _Stream, messages: list[Datagram]) -> None:
        while (due := stream.due()) is not None:
            self._read(stream, *due, messages)

    def _skip_gap(self, stream: _Stream, messages: list[Datagram]) -> None:
        segment, time_ns = stream.nearest()
        self._end_early(stream, segment.source, segment.destination, messages)
        stream.next = segment.sequence
        self._read(stream, segment, time_ns, messages)
        self._read_due(stream, messages)

    def _read(self, stream: _Stream, segment: Segment, time_ns: int, messages: list[Datagram]) -> None:
        """Append what is new of a segment that begins at or before what is needed next."""
        seen = (stream.next - segment.sequence) % _MODULUS
        fresh = segment.original_length - seen
        if fresh <= 0:
            return  # A retransmission tells nothing new.
        stream.next = (stream.next + fresh) % _MODULUS
        if not stream.buffer:
            stream.begun_ns = time_ns
        stream.buffer += segment.data[seen:]
        while self._cut_message(stream, segment, messages):
            stream.begun_ns = time_ns
        if len(segment.data) < segment.original_length:
            self._end_early(stream, segment.source, segment.destination, messages)

    def _cut_message(self, stream: _Stream, segment: Segment, messages: list[Datagram]) -> bool:
        """Move one whole message out of the buffer. Whether there may be another."""
        buffer = stream.buffer
        if not stream.needed and not self._find_end(stream):
            return False
        if len(buffer) < stream.needed:
            return False
        messages.append(_message(stream, segment, bytes(buffer[: stream.needed]), stream.needed))
        stream.remove(stream.needed)
        return True

    def _find_end(self, stream: _Stream) -> bool:
        buffer = stream.buffer
        if not stream.searched:
            del buffer[: len(buffer) - len(buffer.lstrip(b"\r\n"))]
            if buffer.startswith(hep.MAGIC):
                stream.needed = hep.message_length(buffer)
                return bool(stream.needed)
            if b"\n" not in buffer[:MAX_HEAD]:
                return self._drop(stream) if len(buffer) > MAX_HEAD else False
            if not begins_message(bytes(buffer[:4096])):
                return self._drop(stream)
        head = head_length(buffer, max(0, stream.searched - 3))
        stream.searched = len(buffer)
        if head is None:
            return self._drop(stream) if len(buffer) >= MAX_HEAD else False
        stream.needed = head + declared_length(bytes(buffer[:head]))
        return self._drop(stream) if stream.needed > head + _MAX_BODY else True

    def _end_early(self, stream: _Stream, source: Endpoint, destination: Endpoint, messages: list[Datagram]) -> None:
        """Handle a gap: the message before it ends with the bytes in the buffer."""
        self._omitted[Omission.STREAM_GAP] += 1
        data = bytes(stream.buffer)
        if begins_message(data[:4096]):
            messages.append(Datagram(stream.begun_ns, source, destination, data, len(data) + 1))
        stream.remove(len(data))

    def _drop(self, stream: _Stream) -> bool:
        self._omitted[Omission.SIP_UNREADABLE] += 1
        stream.remove(len(stream.buffer))
        return False


def _begins(data: bytes) -> bool:
    return begins_message(data) or data.startswith(hep.MAGIC)


def _message(stream: _Stream, segment: Segment, data: bytes, length: int) -> Datagram:
    return Datagram(stream.begun_ns, segment.source, segment.destination, data, length)
