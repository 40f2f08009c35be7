"""Instants of local times, with the offset of a unique id or of a stated zone.

A unique id holds the second in which the channel was made, in UTC. The row of that channel begins in the same second,
so that the difference between both is the offset of the zone, also in the repeated hour of October.
"""

import re
from datetime import UTC, datetime, timedelta, tzinfo

_EPOCH_OF_ID = re.compile(r"(?:\S+-)?(\d{9,10})\.\d+")
_QUARTER_S = 900
_SLACK_S = 5
_MOST_S = 14 * 3600
_END_OF_TIME = 253_402_300_800  # the year 10000, which a Timestamp cannot hold


class Clock:
    """Conversion of the local times of one PBX, in the order of its file."""

    def __init__(self, zone: tzinfo | None = None) -> None:
        self._zone = zone
        self._offsets: dict[str, int] = {}
        self._last: int | None = None

    def offset(self, uniqueid: str, start: str) -> int | None:
        """Return the seconds that local time is ahead of UTC in a call; None where neither id nor zone tells it."""
        local = _local(start)
        if local is None:
            return None
        if uniqueid not in self._offsets:
            told = self._told(uniqueid, local)
            if told is None:
                return self._of_zone(local)
            self._offsets[uniqueid] = self._last = told
        return self._offsets[uniqueid]

    def _told(self, uniqueid: str, local: datetime) -> int | None:
        match = _EPOCH_OF_ID.fullmatch(uniqueid)
        if match is None:
            return None
        ahead = int(local.replace(tzinfo=UTC).timestamp()) - int(match[1])
        offset = (ahead + _SLACK_S) // _QUARTER_S * _QUARTER_S
        fits = abs(offset) <= _MOST_S and abs(ahead - offset) <= _SLACK_S
        return offset if fits and (self._zone is None or offset in self._possible(local)) else None

    def _of_zone(self, local: datetime) -> int | None:
        possible = self._possible(local)
        if len(possible) == 1:
            return possible.pop()
        return self._last if self._last in possible else None

    def _possible(self, local: datetime) -> set[int]:
        """Return the offsets of the zone at a local time: two in the repeated hour, none without a zone."""
        if self._zone is None:
            return set()
        offsets = (local.replace(tzinfo=self._zone, fold=fold).utcoffset() for fold in (0, 1))
        return {int((offset or timedelta()).total_seconds()) for offset in offsets}


def instant(text: str, offset: int | None) -> int | None:
    """Return a local time as seconds since 1970; None where it does not parse, or the offset is unknown."""
    local = _local(text)
    if local is None or offset is None:
        return None
    seconds = int(local.replace(tzinfo=UTC).timestamp()) - offset
    return seconds if 0 <= seconds < _END_OF_TIME else None


def _local(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text).replace(tzinfo=None) if len(text) == 19 else None
    except ValueError:
        return None
