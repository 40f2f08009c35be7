"""RTP headers (RFC 3550 section 5.1) and the order of their sequence numbers (appendix A.1)."""

from typing import NamedTuple

#: The distance within which an earlier packet is recognised, in sequence numbers.
WINDOW = 512

#: A jump forward further than this is a new sequence once a second packet confirms it (RFC 3550 appendix A.1).
MAX_DROPOUT = 3_000

_FULL = (1 << WINDOW) - 1


class RtpHeader(NamedTuple):
    """The fixed header. `timestamp` counts in the codec's clock."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    header_length: int


def read_rtp(data: bytes, original_length: int) -> RtpHeader | None:
    """The header; None if this is not RTP version 2, or is a control packet (RFC 5761 section 4)."""
    if len(data) < 12 or data[0] >> 6 != 2 or 192 <= data[1] <= 223:
        return None
    length = 12 + 4 * (data[0] & 15)
    if length > original_length:
        return None
    return RtpHeader(
        data[1] & 127,
        data[1] > 127,
        data[2] << 8 | data[3],
        int.from_bytes(data[4:8]),
        int.from_bytes(data[8:12]),
        length,
    )


class SequenceOrder:
    """The sequence numbers that arrived, through wraps, late arrivals and restarts.

    A packet counts as lost when its number is WINDOW behind and did not come, or is missing at the end. `reached` is
    the number of packets that would have arrived so far without loss.
    """

    __slots__ = (
        "_expected_restart",
        "_mask",
        "_newest",
        "_run",
        "_span",
        "bursts",
        "duplicates",
        "late",
        "longest_burst",
        "lost",
        "reached",
        "received",
        "restarts",
        "strays",
    )

    def __init__(self, first: int) -> None:
        self._newest = first
        self._mask = _FULL  # Numbers before the first are not lost.
        self._span = 1
        self._run = 0
        self._expected_restart = -1
        self.received = self.reached = 1
        self.lost = self.bursts = self.longest_burst = 0
        self.duplicates = self.late = self.restarts = self.strays = 0

    def add(self, sequence: int) -> bool:
        """Take the next packet's number. Whether it is new, and so the packet is to be measured."""
        ahead = (sequence - self._newest) & 0xFFFF
        if 0 < ahead <= MAX_DROPOUT:
            self._advance(ahead)
            self._newest = sequence
            self.received += 1
            self.reached += ahead
            return True
        behind = -ahead & 0xFFFF
        if behind < WINDOW:
            return self._look_back(behind)
        return self._jump(sequence)

    def close(self) -> None:
        """Count what is still missing; nothing may be added afterwards."""
        self._settle(self._mask, WINDOW)
        self._end_run()
        self._mask = _FULL

    def follows(self, sequence: int) -> bool:
        """Tell whether this is the next number, or one that came before."""
        ahead = (sequence - self._newest) & 0xFFFF
        return ahead <= 1 or ahead > 0xFFFF - WINDOW

    def resume(self, sequence: int) -> None:
        """Go on before this number without loss, because the sender paused."""
        self.close()
        self._newest, self._span, self._expected_restart = sequence - 1 & 0xFFFF, 1, -1

    def _advance(self, ahead: int) -> None:
        mask = self._mask << ahead | 1
        leaving = mask >> WINDOW
        self._mask = mask & _FULL
        self._span = min(WINDOW, self._span + ahead)
        if self._run or leaving != (1 << ahead) - 1:
            self._settle(leaving, ahead)

    def _settle(self, bits: int, count: int) -> None:
        # In text, because Python walks thousands of lost packets slowly and a few such jumps would take minutes.
        begin, *others = f"{bits:0{count}b}".split("1")
        self._run += len(begin)
        for missing in filter(None, others[:-1]):
            self._end_run()
            self._run = len(missing)
        if others:
            self._end_run()
            self._run = len(others[-1])

    def _end_run(self) -> None:
        if self._run:
            self.lost += self._run
            self.bursts += 1
            self.longest_burst = max(self.longest_burst, self._run)
            self._run = 0

    def _look_back(self, behind: int) -> bool:
        if behind >= self._span:
            # Before the first: the numbers between were never seen either.
            self._mask &= ~((1 << behind) - (1 << self._span))
            self._span = behind + 1
        elif self._mask >> behind & 1:
            self.duplicates += 1
            return False
        self._mask |= 1 << behind
        self.received += 1
        self.late += 1
        return True

    def _jump(self, sequence: int) -> bool:
        if sequence != self._expected_restart:
            self._expected_restart = sequence + 1 & 0xFFFF
            self.strays += 1
            return False
        self.close()
        self._newest, self._span, self._expected_restart = sequence, 2, -1
        self.reached += 2
        self.received += 2  # The stray before this one began the new sequence.
        self.strays -= 1
        self.restarts += 1
        return True
