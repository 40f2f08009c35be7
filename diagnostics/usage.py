"""Anonymous usage: counts without names, of tenants that opted in, for closed days.

A count of a day is published only if enough different tenants contributed to it. A count below the threshold is left
out, and a day without a count is not published, so that neither hints at anything. When a day is closed, its counts are
stored once and the record of the contributors is deleted. A closed day is never counted again, so that two
publications cannot be compared to identify a tenant.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from linewarden.diagnostics.store.usage import UsageStore, add_count, forget_counts

_DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Counted:
    """Names to count for a tenant, within the append that reports them."""

    now_us: int
    names: tuple[str, ...]

    def apply(self, connection: Any, log_id: int) -> None:
        """The effect."""
        for name in self.names:
            add_count(connection, self.now_us // _DAY_US, name, log_id)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The deletion of all counts of a tenant on open days, within the append that reports it."""

    def apply(self, connection: Any, log_id: int) -> None:
        """The effect."""
        forget_counts(connection, log_id)


class Usage:
    """The counts of one service. `threshold` is the number of tenants that must contribute to a published count."""

    def __init__(self, store: UsageStore, threshold: int) -> None:
        self._store = store
        self._threshold = threshold

    def close_days(self, now_us: int) -> None:
        """Close every past day. No day is closed twice, even if the clock is set back.

        Raises:
            LogUnavailable: the database failed.
        """
        self._store.close_before(now_us // _DAY_US, self._threshold)

    def document(self) -> str:
        """Return exactly the document that would be sent: JSON with the closed days.

        Raises:
            LogUnavailable: the database failed.
        """
        days: list[Mapping[str, Any]] = [{"day": day, "counts": counts} for day, counts in self._store.closed()]
        return orjson.dumps({"v": 1, "threshold": self._threshold, "days": days}, option=orjson.OPT_SORT_KEYS).decode()
