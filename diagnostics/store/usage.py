"""Counts: by contributor for open days, without contributors for closed days."""

from typing import Any

import orjson
import sqlalchemy as sa

from linewarden.audit.store.log import LogStore
from linewarden.diagnostics.store.schema import usage_closed as _closed
from linewarden.diagnostics.store.schema import usage_count as _count


class UsageStore:
    """Counts of all tenants."""

    def __init__(self, store: LogStore) -> None:
        self._store = store

    def close_before(self, today: int, threshold: int) -> None:
        """Close the open days before `today`. Drop names with fewer contributors than `threshold`.

        Raises:
            LogUnavailable: the database failed.
        """
        with self._store.reading() as connection:
            if not connection.scalar(sa.select(sa.func.count()).select_from(_count).where(_count.c.day < today)):
                return
        with self._store.writing() as connection:
            days = connection.scalars(sa.select(_count.c.day).where(_count.c.day < today).distinct()).all()
            for day in days:
                self._close(connection, int(day), threshold)

    def closed(self) -> list[tuple[int, dict[str, int]]]:
        """Return the closed days with a count at or above the threshold, oldest first.

        Raises:
            LogUnavailable: the database failed.
        """
        with self._store.reading() as connection:
            rows = connection.execute(sa.select(_closed.c.day, _closed.c.counts).order_by(_closed.c.day)).all()
        days = [(int(day), orjson.loads(bytes(counts))) for day, counts in rows]
        return [(day, counts) for day, counts in days if counts]

    @staticmethod
    def _close(connection: sa.Connection, day: int, threshold: int) -> None:
        # A count that arrives after its day was closed is dropped, because the day may have been published. A day
        # without counts is stored for that reason too, although it is never published.
        if not connection.scalar(sa.select(sa.func.count()).select_from(_closed).where(_closed.c.day == day)):
            of_day = sa.select(_count.c.name, sa.func.sum(_count.c.amount)).where(_count.c.day == day)
            enough = of_day.group_by(_count.c.name).having(sa.func.count() >= threshold)
            counts = {name: int(amount) for name, amount in connection.execute(enough)}
            body = orjson.dumps(counts, option=orjson.OPT_SORT_KEYS)
            connection.execute(sa.insert(_closed), {"day": day, "counts": body})
        connection.execute(sa.delete(_count).where(_count.c.day == day))


def add_count(connection: Any, day: int, name: str, log_id: int) -> None:
    """Add one to a count, inside an append."""
    key = sa.and_(_count.c.day == day, _count.c.name == name, _count.c.log == log_id)
    if not connection.execute(sa.update(_count).where(key).values(amount=_count.c.amount + 1)).rowcount:
        connection.execute(sa.insert(_count), {"day": day, "name": name, "log": log_id, "amount": 1})


def forget_counts(connection: Any, log_id: int) -> None:
    """Delete the counts of a tenant, inside an append. Only open days store their contributors."""
    connection.execute(sa.delete(_count).where(_count.c.log == log_id))
