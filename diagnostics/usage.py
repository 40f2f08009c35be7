"""Anonymous usage: counts that name nobody, of tenants that opted in, for days that are over.

A day's count is published only when enough different tenants took part in it; what is below stays out, with no hint
that there was anything: a day on which nothing came together is not published either. When a day is closed, its counts
are written down once and the record of who contributed is deleted; a closed day is never counted again, so that two
publications cannot be compared to find one tenant.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from linewarden.diagnostics.store.usage import UsageStore, add_count, forget_counts

_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Counted:
    """Something to count for a tenant, within the append that reports it."""

    now_us: int
    names: tuple[str, ...]

    def apply(self, connection: Any, log: int) -> None:
        """The effect."""
        for name in self.names:
            add_count(connection, self.now_us // _DAY_US, name, log)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Everything counted for a tenant on days that are not closed yet, taken away within the append that says so."""

    def apply(self, connection: Any, log: int) -> None:
        """The effect."""
        forget_counts(connection, log)


class Usage:
    """The counts of one service. So many tenants must have contributed to a count before it is published."""

    def __init__(self, store: UsageStore, threshold: int) -> None:
        self._store = store
        self._threshold = threshold

    def close_days(self, now_us: int) -> None:
        """Close every day that is over. A clock that went back closes nothing twice.

        Raises:
            LogUnavailable: the database failed.
        """
        self._store.close_before(now_us // _DAY_US, self._threshold)

    def document(self) -> str:
        """Exactly what would be sent: JSON with the closed days.

        Raises:
            LogUnavailable: the database failed.
        """
        days: list[Mapping[str, Any]] = [{"day": day, "counts": counts} for day, counts in self._store.closed()]
        return orjson.dumps({"v": 1, "threshold": self._threshold, "days": days}, option=orjson.OPT_SORT_KEYS).decode()
