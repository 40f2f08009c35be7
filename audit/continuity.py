"""Verifying that each log continues the state seen before: by this process, by other processes of this host, or signed.

Goal: no answers from a database that was restored, failed over with a lost tail, or set back by an intruder. The head
is compared under the lock, so that no answer rests on an older state. A head that this process has not seen before is
compared with the mark in the file and with the last checkpoint. If there is neither, the log must be new.

*Instead of* reading the anchor for each answer, which costs as much as the answer because of the signature. *So* a
process remembers the head, and reads the files when it first uses a log, and twice a second.
"""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from linewarden.audit.anchors import Anchors
from linewarden.audit.errors import AuditError, LogUnavailable, RolledBack, TenantUnknown
from linewarden.audit.merkle import Frontier
from linewarden.audit.model import SYSTEM_LOG, Head
from linewarden.audit.store.append import check_growth
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.marks import Mark, digest, origin_digest
from linewarden.audit.tree import Tree

#: How often every process verifies the logs that changed, seconds.
LOOK_S = 0.5


#: A size that the log had, and a test whether a frontier of that size is the one that it had.
_Known = tuple[int, Callable[[Frontier], bool]]


class Continuity:
    """The admission and surveillance of the logs of one database. Its methods block, so call them in a thread.

    `adopts` is for a database that was made before there were marks: logs without an anchor are accepted as they are.
    """

    def __init__(self, log: LogStore, anchors: Anchors, tree: Tree, *, adopts: bool = False) -> None:
        self._log = log
        self._marks = log.marks
        self._anchors = anchors
        self._tree = tree
        self._adopts = adopts
        self._refused: dict[int, tuple[float, RolledBack]] = {}
        self._watch = log.watch()
        self._looking = threading.Lock()
        self._unverified: set[int] = set()
        self._wrong: dict[int, AuditError] = {}

    def admit(self, log_id: int) -> None:
        """Verify a log against its state seen before, and remember its head.

        Raises:
            RolledBack: the log is older than, or differs from, the state seen; or it has no anchor and is not new.
            TenantUnknown: there is no such log.
            LogUnavailable: the database or `anchor_dir` failed.
        """
        at, refusal = self._refused.get(log_id, (0.0, None))
        if refusal is not None and time.monotonic() < at + LOOK_S:
            raise refusal.with_traceback(None)
        try:
            self._verify(log_id)
        except RolledBack as fault:
            # Verifying reads files and nodes of the tree. Repeated requests of one tenant must not slow down others.
            self._refused[log_id] = time.monotonic(), fault
            raise
        self._refused.pop(log_id, None)

    def _verify(self, log_id: int) -> None:
        # Files first, then the head, because entries of other processes make the head newer and never older.
        origin = self._log.verified_head(log_id)
        seen, mark = self._marks.seen(log_id), self._marks.stored(log_id)
        known = () if seen else (*self._anchored(origin), *self._marked(origin, mark))
        head = self._log.verified_head(log_id)
        if head.generation != origin.generation:
            raise LogUnavailable("the log was recovered a moment ago: try again")
        if mark is not None:
            _check_mark(head, mark)
        if seen is None:
            self._establish(head, known)

    @property
    def marks_fault(self) -> OSError | None:
        """The error of the last write of a mark; None if it succeeded."""
        return self._marks.fault

    def look(self) -> dict[int, AuditError]:
        """Verify the logs whose head or mark changed since the last call, and all logs at the first one.

        Return the errors by the number of the log. A log with an error is verified again at each call. A change that
        bypasses the database is noticed within `moved.ALL_S`.

        Raises:
            LogUnavailable: the database failed, or its file was replaced.
        """
        with self._looking:
            self._log.check_files()
            self._unverified |= self._marks.changed()  # which is kept, if reading the heads fails
            self._unverified |= {head.log for head in self._watch.moved()} | self._wrong.keys()
            unverified, self._unverified = self._unverified, set()
            for log_id in sorted(unverified):
                self._look_at(log_id, self._watch.last(log_id))
            return dict(self._wrong)

    def _look_at(self, log_id: int, head: Head | None) -> None:
        was_wrong = self._wrong.pop(log_id, None)
        if not was_wrong and head is not None and self._marks.seen(log_id) == head and self._is_newest(head):
            return
        try:
            self.admit(log_id)
        except TenantUnknown:
            return  # a mark outlived its log
        except AuditError as fault:
            self._wrong[log_id] = fault

    def _is_newest(self, head: Head) -> bool:
        stored, mark = self._marks.stored(head.log), Mark.of(head)
        return stored is None or stored == mark or (stored.generation, stored.size) < (mark.generation, mark.size)

    def _establish(self, head: Head, known: tuple[_Known, ...]) -> None:
        """Verify a log that is new to this process against the states known from files."""
        if self._anchors.is_retired(head.origin_id):
            raise RolledBack("is as before its recovery", head.log, expected=head.size + 1, found=head.size)
        if not known and head.size and not self._is_new(head):
            raise RolledBack("has no anchor in anchor_dir, and is not new", head.log, expected=0, found=head.size)
        grown = Frontier()
        for size, fits in sorted(known, key=lambda one: one[0]):
            if size > head.size:
                raise RolledBack("is shorter than its last checkpoint", head.log, expected=size, found=head.size)
            grown = self._frontier(head.log, size, self._tree.node)
            if not fits(grown):
                # A stored node may be wrong although the log is right, so only its leaf hashes count against the log.
                grown = self._frontier(head.log, size, self._tree.node_from_leaves)
            if not fits(grown):
                raise RolledBack("is not that of its last checkpoint", head.log, expected=size, found=head.size)
        if known:
            seen = replace(head, size=grown.size, frontier=grown.to_bytes())
            check_growth(seen, head, self._log.leaf_hashes(head.log, grown.size, head.size))
        self._marks.note(head, new=not known)

    def _anchored(self, head: Head) -> Iterator[_Known]:
        """Yield the size in the anchor, and a test whether a frontier of that size has its root."""
        anchor = self._anchors.last(head.origin_id)
        if anchor is None and head.former_origin:
            # Another server recovered the log. The entries that its record declares lost are not required here.
            anchor = self._anchors.last(head.former_origin)
            if anchor is not None and anchor.checkpoint.size > head.origin_start:
                anchor = None
        if anchor is not None:
            root = anchor.checkpoint.root
            yield anchor.checkpoint.size, lambda frontier: frontier.root() == root

    def _marked(self, head: Head, mark: Mark | None) -> Iterator[_Known]:
        """Yield the size in the mark, and a test whether a frontier of that size is the one of the mark."""
        if mark is not None and mark.generation >= head.generation:
            yield mark.size, lambda frontier: digest(frontier.to_bytes()) == mark.frontier

    def _is_new(self, head: Head) -> bool:
        """Return whether the log is new: the folder has the system log, and no log that is newer than this one."""
        if self._adopts or self._marks.stored(head.log) is not None:  # another process admitted it meanwhile
            return True
        if head.log == SYSTEM_LOG or self._marks.highest() > head.log:
            return False
        heads = self._log.heads()
        known = {one.log for one in heads if self._is_known(one)}
        if SYSTEM_LOG not in known or max(known) > head.log:
            return False
        for one in heads:
            if one.log < head.log and one.log not in known:  # in order, or this log would make the others look lost
                self.admit(one.log)
        return True

    def _is_known(self, head: Head) -> bool:
        return self._marks.stored(head.log) is not None or self._anchors.last(head.origin_id) is not None

    @staticmethod
    def _frontier(log_id: int, size: int, node: Callable[[int, int, int], bytes]) -> Frontier:
        """Return the frontier over the first `size` entries of a log."""
        nodes = (node(log_id, level, number) for level, number in complete_subtrees(size))
        return Frontier.from_bytes(size, b"".join(nodes))


def _check_mark(head: Head, mark: Mark) -> None:
    """Compare a head with a mark that was read before it."""
    if mark.generation < head.generation:
        return
    same = mark.generation == head.generation and mark.origin == origin_digest(head.origin_id)
    if not same or mark.size > head.size or mark.revision > head.revision:
        raise RolledBack("is not as it was seen before", head.log, expected=mark.size, found=head.size)


def complete_subtrees(size: int) -> Iterator[tuple[int, int]]:
    """Yield the complete subtrees over the first `size` leaves, the largest first, as (level, number)."""
    start = 0
    for level in reversed(range(size.bit_length())):
        if size >> level & 1:
            yield level, start >> level
            start += 1 << level
