"""Packets that the capture shows twice: a mirror port that copies both directions, or both sides of a router.

A copy has the identification, the addresses and the content of its original, and comes within WINDOW_NS. A router
changes MAC addresses and TTL only. A sender that sends again gives a new identification (RFC 6864), or waits longer
than the window (RFC 3261 timer A). A network that repeats packets repeats few, so a pair of hosts counts as captured
twice from one copy in two packets.
"""

from linewarden.diagnostics.analysis.network import TCP, Fragment, IpPacket

#: The time within which a copy follows, in ns.
WINDOW_NS = 100_000_000

_MAX_RECENT = 8_192
_MAX_PAIRS = 4_096
#: Bytes of the payload that tell packets without identification apart: the headers of UDP and RTP.
_TELLING = 20
#: The longest TCP header. Bare acknowledgements repeat in every connection with a loss (RFC 5681).
_BARE_TCP = 60

_Key = tuple[bytes, bytes, int, Fragment | None, int, int]
_Pair = tuple[bytes, bytes]


class _Count:
    """The packets of one direction between two hosts. `routed` counts copies with another TTL."""

    __slots__ = ("copies", "originals", "routed")

    def __init__(self) -> None:
        self.originals = self.copies = self.routed = 0

    @property
    def doubled(self) -> bool:
        return self.copies > 1 and 2 * self.copies >= self.originals


class Copies:
    """The packets of the last moments, and the count of copies for each pair of hosts, both within bounds."""

    def __init__(self) -> None:
        # Two generations of one window each, because to forget packets one by one takes longer than to look one up.
        self._recent: dict[_Key, tuple[int, int]] = {}
        self._older: dict[_Key, tuple[int, int]] = {}
        self._since_ns = 0
        self._pairs: dict[_Pair, _Count] = {}

    def is_copy(self, packet: IpPacket, time_ns: int) -> bool:
        """Take the next packet, and tell whether it is a copy of one before."""
        if packet.protocol == TCP and packet.length <= _BARE_TCP:
            return False
        if not packet.ident and len(packet.payload) < min(packet.length, _TELLING):
            return False
        key = (packet.source, packet.destination, packet.ident, packet.fragment, packet.length, hash(packet.payload))
        count = self._count(packet)
        before = self._recent.get(key) or self._older.get(key)
        if before is not None and abs(time_ns - before[0]) <= WINDOW_NS:
            count.copies += 1
            count.routed += before[1] != packet.hops
            return True
        if not 0 <= time_ns - self._since_ns <= WINDOW_NS or len(self._recent) >= _MAX_RECENT:
            self._older, self._recent, self._since_ns = self._recent, {}, time_ns
        self._recent[key] = (time_ns, packet.hops)
        count.originals += 1
        return False

    def twice(self, source: bytes, destination: bytes) -> bool:
        """Tell whether packets of this direction were captured twice, rather than repeated by the network."""
        count = self._pairs.get((source, destination))
        return count is not None and count.doubled

    def warning(self) -> str:
        """Return the sentence at the head of the report; empty where no packets were captured twice."""
        doubled = [count for count in self._pairs.values() if count.doubled]
        copies, routed = sum(count.copies for count in doubled), sum(count.routed for count in doubled)
        if not copies:
            return ""
        cause = "they were seen before and after a router" if routed else "a mirror port shows them twice"
        return f"Packets captured twice: {copies} are copies of others, because {cause}. One copy of each is analysed."

    def _count(self, packet: IpPacket) -> _Count:
        pair = (packet.source, packet.destination)
        count = self._pairs.get(pair)
        if count is None:
            count = _Count()
            if len(self._pairs) < _MAX_PAIRS:
                self._pairs[pair] = count
        return count
