"""SIP over TCP: one mask for a stream, whatever its segments are.

Bytes are masked once, when they arrive in order. A retransmission is stored like its first copy, so that it cannot show
bytes that the first copy hid. Bytes after a gap are covered until a segment begins with a start line of SIP. Packets
are not delayed, so that their times and order stay.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import NamedTuple

from linewarden.diagnostics.packets.model import Rule
from linewarden.diagnostics.packets.overwrite import covered
from linewarden.diagnostics.packets.sip import Message, mask_message, parse_message, starts_message

#: The longest message. A stream with a longer one is covered until its next start line.
MAX_MESSAGE = 64 * 1024
#: The bytes that are read for one message in total. A message is read again from its start with each piece, so a sender
#: of small pieces could otherwise block the worker.
MAX_READ = 128 * 1024
_MAX_START_LINE = 2_400
_MAX_HISTORY = 16 * 1024
_MAX_REMEMBERED = 64
_MAX_MESSAGES = 512
_MAX_STREAMS = 512
_HALF = 1 << 31
_WRAP = 1 << 32


class Segment(NamedTuple):
    """A segment as it may be stored, and whether it has bytes of a selected message."""

    data: bytes
    rules: frozenset[Rule]
    selected: bool


class SipStream:
    """One direction of a connection. `select` says whether a message belongs to a captured call."""

    def __init__(self, number: int, select: Callable[[Message, bool], bool]) -> None:
        """`number` is the sequence number of the first byte."""
        self._next = number
        self._select = select
        self._raw = b""
        self._read = 0
        self._lost = False
        self._history: deque[tuple[int, bytes, bool]] = deque()
        self._remembered = 0

    def mask(self, number: int, data: bytes) -> Segment:
        """Return the masked bytes at sequence number `number`. Numbers wrap at 2^32."""
        ahead = _distance(number, self._next)
        if ahead > 0:
            self._next = number
            self._give_up()
        old, known = self._repeat(number, min(len(data), max(0, -ahead)))
        rules: set[Rule] = set()
        fresh, selected = self._advance(data[len(old) :], rules)
        self._remember(fresh, selected=selected)
        if old:
            rules.add(Rule.SIP_HEADER)
        return Segment(old + fresh, frozenset(rules), selected or known)

    def _give_up(self) -> None:
        self._lost, self._raw, self._read = True, b"", 0

    def _advance(self, data: bytes, rules: set[Rule]) -> tuple[bytes, bool]:
        out, selected = bytearray(), False
        if self._lost and starts_message(data):
            self._lost = False
        for _ in range(_MAX_MESSAGES):
            if not data or self._lost:
                break
            shown, taken, chosen = self._take(data, rules)
            out += shown
            data = data[taken:]
            selected = selected or chosen
        if data:
            self._give_up()
            rules.add(Rule.SIP_LOST)
        return bytes(out) + covered(len(data)), selected

    def _take(self, data: bytes, rules: set[Rule]) -> tuple[bytes, int, bool]:
        """Mask up to the end of the current message. Return also the used length of `data`, and if it is selected."""
        if not self._raw and (blank := len(data) - len(data.lstrip(b"\r\n"))):
            return data[:blank], blank, False
        whole = self._raw + data
        message = parse_message(whole)
        if message is None:
            return self._unfinished_start(whole, data, rules)
        end = _end(message)
        finished = end is not None and end <= len(whole)
        if finished and end is not None:
            message = _first(whole[:end], message)
        known = len(self._raw)
        shown, chosen = self._shown(message, rules, finished=finished)
        if finished:
            self._raw, self._read = b"", 0
        else:
            self._hold(whole)
        if message.length == -1:
            self._give_up()
        return shown[known:], len(message.raw) - known, chosen

    def _shown(self, message: Message, rules: set[Rule], *, finished: bool) -> tuple[bytes, bool]:
        if not self._select(message, finished):
            rules.add(Rule.SIP_HEADER)
            return covered(len(message.raw)), False
        masked = mask_message(message, finished=finished)
        rules |= masked.rules
        return masked.data, True

    def _unfinished_start(self, whole: bytes, data: bytes, rules: set[Rule]) -> tuple[bytes, int, bool]:
        if len(whole) > _MAX_START_LINE or b"\n" in whole or b"\r" in whole[:-1]:
            self._give_up()
            return b"", 0, False
        self._hold(whole)
        rules.add(Rule.SIP_HEADER)
        return covered(len(data)), len(data), False

    def _hold(self, whole: bytes) -> None:
        self._raw = whole
        self._read += len(whole)
        if len(whole) > MAX_MESSAGE or self._read > MAX_READ:
            self._give_up()

    def _remember(self, shown: bytes, *, selected: bool) -> None:
        self._history.append((self._next, shown, selected))
        self._next = (self._next + len(shown)) % _WRAP
        self._remembered += len(shown)
        while self._remembered > _MAX_HISTORY or len(self._history) > _MAX_REMEMBERED:
            self._remembered -= len(self._history.popleft()[1])

    def _repeat(self, number: int, length: int) -> tuple[bytes, bool]:
        """Return `length` bytes from `number` on as they were stored, or covered if forgotten; and if selected."""
        out, selected = bytearray(covered(length)), False
        for start, shown, chosen in self._history:
            at = _distance(start, number)
            begin, end = max(0, at), min(length, at + len(shown))
            if begin < end:
                out[begin:end] = shown[begin - at : end - at]
                selected = selected or chosen
        return bytes(out), selected


class SipStreams:
    """The connections that carry SIP. The number is bounded; the least recently seen one is forgotten."""

    def __init__(self, select: Callable[[Message, bool], bool]) -> None:
        """`select` takes a message and whether it is complete, and says whether it belongs to a captured call."""
        self._select = select
        self._streams: OrderedDict[bytes, SipStream] = OrderedDict()

    def mask(self, path: bytes, number: int, data: bytes) -> Segment | None:
        """Return the masked segment; None if the stream carries no SIP."""
        stream = self._streams.get(path)
        if stream is None:
            if not starts_message(data):
                return None
            stream = self._streams[path] = SipStream(number, self._select)
            if len(self._streams) > _MAX_STREAMS:
                self._streams.popitem(last=False)
        self._streams.move_to_end(path)
        return stream.mask(number, data)

    def forget(self, path: bytes) -> None:
        """Forget a stream whose connection was reopened or reset."""
        self._streams.pop(path, None)


def _distance(number: int, origin: int) -> int:
    """Return the distance from `origin` to `number`; negative if `number` is before it (RFC 9293, 3.4)."""
    return (number - origin + _HALF) % _WRAP - _HALF


def _end(message: Message) -> int | None:
    """Return the end of a message in a stream. A message without a stated length has no body."""
    return message.body if message.length is None and message.body >= 0 else message.end


def _first(raw: bytes, message: Message) -> Message:
    """Return the message without the bytes that follow it."""
    return message._replace(raw=raw)
