"""Fragments put together again, as far as the frames allow.

A masked capture keeps the first fragment and cuts the others, so a packet may be complete in number and not in bytes:
what is handed on is then the unbroken beginning, with the length of the whole.
"""

from collections import Counter, OrderedDict

from linewarden.diagnostics.analysis.model import Omission
from linewarden.diagnostics.analysis.network import IpPacket

_MAX_FRAGMENTS = 64
_MAX_PACKET = 65_535

#: Source, destination and identification. The protocol is left out: later IPv6 fragments need not repeat it.
_Key = tuple[bytes, bytes, int]


class _Pile:
    """The fragments of one packet so far: offset -> (bytes, original length)."""

    __slots__ = ("first", "parts", "time_ns", "total")

    def __init__(self, time_ns: int) -> None:
        self.time_ns = time_ns
        self.parts: dict[int, tuple[bytes, int]] = {}
        self.first: IpPacket | None = None
        self.total: int | None = None

    def fits(self, offset: int, length: int) -> bool:
        if len(self.parts) >= _MAX_FRAGMENTS or offset + length > _MAX_PACKET:
            return False
        return all(offset + length <= at or at + other <= offset for at, (_, other) in self.parts.items())

    def whole(self) -> bool:
        return self.total is not None and sum(length for _, length in self.parts.values()) == self.total

    def beginning(self) -> tuple[bytes, int]:
        """The bytes up to the first one missing, and the length of all that was seen."""
        unbroken: list[bytes] = []
        at = 0
        while at in self.parts:
            data, length = self.parts[at]
            unbroken.append(data)
            if len(data) < length or not length:
                break
            at += length
        seen = max(offset + length for offset, (_, length) in self.parts.items())
        return b"".join(unbroken), seen


class Fragments:
    """At most `limit` packets in pieces; the oldest is given up for a new one."""

    def __init__(self, limit: int, omitted: Counter[Omission]) -> None:
        self._limit = limit
        self._omitted = omitted
        self._piles: OrderedDict[_Key, _Pile] = OrderedDict()

    def add(self, packet: IpPacket, time_ns: int) -> list[tuple[int, IpPacket]]:
        """Take a fragment; give back the packets that became whole or were given up, each with its first time."""
        if packet.fragment is None:
            return [(time_ns, packet)]
        key = (packet.source, packet.destination, packet.fragment.ident)
        done: list[tuple[int, IpPacket]] = []
        if key not in self._piles and len(self._piles) >= self._limit:
            done += self._take(next(iter(self._piles)))
        pile = self._piles.setdefault(key, _Pile(time_ns))
        self._place(pile, packet)
        if pile.whole():
            done += self._take(key)
        return done

    def rest(self) -> list[tuple[int, IpPacket]]:
        """The beginnings of packets that never became whole."""
        return [packet for key in list(self._piles) for packet in self._take(key)]

    def _place(self, pile: _Pile, packet: IpPacket) -> None:
        fragment = packet.fragment
        if fragment is None or pile.parts.get(fragment.offset, (b"", -1))[1] == packet.length:
            return  # A capture on several interfaces sees a fragment more than once.
        if not pile.fits(fragment.offset, packet.length):
            self._omitted[Omission.FRAGMENT_UNREADABLE] += 1
            return
        pile.parts[fragment.offset] = (packet.payload, packet.length)
        if not fragment.offset:
            pile.first = packet
        if not fragment.more:
            pile.total = fragment.offset + packet.length

    def _take(self, key: _Key) -> list[tuple[int, IpPacket]]:
        pile = self._piles.pop(key)
        if pile.first is None:
            self._omitted[Omission.DATAGRAM_INCOMPLETE] += 1
            return []
        data, length = pile.beginning()
        if len(data) < length or not pile.whole():
            self._omitted[Omission.DATAGRAM_INCOMPLETE] += 1
        return [(pile.time_ns, pile.first._replace(payload=data, length=max(length, pile.total or 0), fragment=None))]
