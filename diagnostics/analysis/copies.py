"""Packets that the capture shows twice: a mirror port that copies both directions, or both sides of a router.

A copy has the identification, the addresses and the content of its original, and comes within WINDOW_NS. A router
changes MAC addresses and TTL only. A sender that sends again gives a new identification (RFC 6864), or waits longer
than the window (RFC 3261 timer A). A network that repeats packets repeats few, so a pair of hosts counts as captured
twice from one copy in two packets.
"""

from collections import OrderedDict

from linewarden.diagnostics.analysis.network import IpPacket

#: The time within which a copy follows, in ns.
WINDOW_NS = 100_000_000

_MAX_RECENT = 8_192
_MAX_PAIRS = 4_096
#: Bytes of the payload that tell packets without identification apart: the headers of UDP and RTP.
_TELLING = 20

_Key = tuple[bytes, bytes, int, int, object, int, int]
_Pair = tuple[bytes, bytes]


class _Count:
    """The packets of one direction between two hosts. `routed` counts copies with another TTL."""

    __slots__ = ("copies", "originals", "routed")

    def __init__(self) -> None:
        self.originals = self.copies = self.routed = 0

    @property
    def twice(self) -> bool:
        return self.copies > 1 and 2 * self.copies >= self.originals


class Copies:
    """The packets of the last moments, and the count of copies for each pair of hosts, both within bounds."""

    def __init__(self) -> None:
        self._recent: OrderedDict[_Key, tuple[int, int]] = OrderedDict()
        self._pairs: dict[_Pair, _Count] = {}

    def is_copy(self, packet: IpPacket, time_ns: int) -> bool:
        """Take the next packet, and tell whether it is a copy of one before."""
        if not packet.ident and len(packet.payload) < min(packet.length, _TELLING):
            return False
        content = hash(packet.payload)
        key = (
            *(packet.source, packet.destination, packet.protocol, packet.ident),
            *(packet.fragment, packet.length, content),
        )
        count = self._count(packet)
        first_ns, hops = self._recent.get(key, (0, 0))
        if hops and abs(time_ns - first_ns) <= WINDOW_NS:
            if count:
                count.copies += 1
                count.routed += hops != packet.hops + 1
            return True
        self._remember(key, time_ns, packet.hops + 1)
        if count:
            count.originals += 1
        return False

    def twice(self, source: bytes, destination: bytes) -> bool:
        """Tell whether packets of this direction were captured twice, rather than repeated by the network."""
        count = self._pairs.get((source, destination))
        return count is not None and count.twice

    def warning(self) -> str:
        """Return the sentence at the head of the report; empty where no packets were captured twice."""
        twice = [count for count in self._pairs.values() if count.twice]
        copies, routed = sum(count.copies for count in twice), sum(count.routed for count in twice)
        if not copies:
            return ""
        cause = "a mirror port shows them twice" if not routed else "they were seen before and after a router"
        return f"Packets captured twice: {copies} are copies of others, because {cause}. One copy of each is analysed."

    def _count(self, packet: IpPacket) -> _Count | None:
        pair = (packet.source, packet.destination)
        count = self._pairs.get(pair)
        if count is None and len(self._pairs) < _MAX_PAIRS:
            count = self._pairs[pair] = _Count()
        return count

    def _remember(self, key: _Key, time_ns: int, hops: int) -> None:
        recent = self._recent
        recent.pop(key, None)
        recent[key] = (time_ns, hops)
        while len(recent) > _MAX_RECENT or time_ns - next(iter(recent.values()))[0] > WINDOW_NS:
            recent.popitem(last=False)
