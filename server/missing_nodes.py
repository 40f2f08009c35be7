"""Storing the nodes of logs that have none: logs of an older version, and logs that were damaged until now.

*Instead of* filling the table in the migration, which would hold the write lock of the database for all logs together,
and would not be done again. *So* each start looks for such logs, which takes one query. A log whose leaf hashes do not
lead to its head gets no nodes and is reported. Its proofs are computed from leaf hashes, as far as these are right.
"""

import time
from collections.abc import Callable

import structlog

from linewarden.audit.errors import LogDamaged, LogUnavailable
from linewarden.audit.store.log import LogStore
from linewarden.audit.tree import Tree

#: How often progress is reported, seconds.
REPORT_S = 5.0


def store_missing_nodes(log: LogStore, tree: Tree) -> None:
    """Store the nodes of all logs that have complete tiles and no node. A fault of one log does not stop the others.

    Raises:
        LogUnavailable: the database failed.
    """
    for log_id in log.without_nodes():
        fault: Exception | None = None
        try:
            if not tree.repair(log_id, _progress(log_id)):
                fault = LogDamaged("the leaf hashes do not lead to the head of the log")
        except LogUnavailable as error:
            fault = error
        if fault is not None:
            structlog.get_logger().error("nodes_not_stored", log=log_id, error=type(fault).__name__)


def _progress(log_id: int) -> Callable[[int], None]:
    """Return a function that reports progress every REPORT_S seconds. It gets the number of entries that are done."""
    said = time.monotonic()

    def report(done: int) -> None:
        nonlocal said
        if time.monotonic() >= said + REPORT_S:
            said = time.monotonic()
            structlog.get_logger().info("nodes_being_stored", log=log_id, entries=done)

    return report
