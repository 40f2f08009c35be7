"""Filling the index of the logs.

A caller that needs a complete index calls `catch_up`. Several processes may do so: the watermark decides whose rows
are stored.
"""

from collections.abc import Iterator
from typing import Any

from linewarden.audit import entry as entries
from linewarden.audit.directory import Directory
from linewarden.audit.errors import LogUnavailable, VerificationFailed
from linewarden.audit.keyring import Keyring, Person
from linewarden.audit.merkle import leaf_hash, node_hash
from linewarden.audit.store.index import ITEM_BITS, IndexRow, IndexStore
from linewarden.audit.store.log import LogStore

#: Entries that go into the index in one transaction.
STEP = 512

#: Every so many levels the nodes of a level are stored. Other nodes are computed from at most 128 of these.
KEPT_LEVELS = 8


class Indexer:
    """The writer of the index: rows for searches, and the nodes of the tree from which proofs are built."""

    def __init__(self, log: LogStore, index: IndexStore, directory: Directory, keyring: Keyring) -> None:
        self._log = log
        self._index = index
        self._directory = directory
        self._keyring = keyring

    def catch_up(self, log_id: int, size: int, *, at_most: int | None = None) -> int:
        """Index the log up to `size` entries, or about `at_most` more. Return the number of indexed entries.

        Raises:
            LogUnavailable: a database failed.
        """
        start = self._checked_start(log_id)
        end = size if at_most is None else min(size, start + at_most)
        while start < end:
            stop = min(start + STEP - start % STEP, size)
            stored = list(self._log.entries(log_id, start, stop))
            decoded = [entries.decode(data) for data in stored]
            persons = self._persons(log_id, decoded)
            rows = [row for n, entry in enumerate(decoded, start) for row in self._rows(log_id, n, entry, persons)]
            added = self._index.add(log_id, start, stop, leaf_hash(stored[-1]), rows, self._nodes(log_id, start, stop))
            now = self._index.indexed(log_id)
            if not added and now == start:
                self._index.forget(log_id)  # rows without their mark
                now = 0
            start = now
        return start

    def _checked_start(self, log_id: int) -> int:
        """Return the number of indexed entries; 0 if the log is older than its index, or another log."""
        start = self._index.indexed(log_id)
        if start:
            last = list(self._log.leaf_hashes(log_id, start - 1, start))
            if last != [self._index.last_leaf(log_id)] and self._index.indexed(log_id) == start:
                self._index.forget(log_id)
                return 0
        return start

    def node(self, log_id: int, level: int, number: int) -> bytes:
        """Return the hash of the complete subtree of 2**level leaves at `number`, from the index or from the leaves.

        Raises:
            LogUnavailable: a database failed.
        """
        kept = level - level % KEPT_LEVELS
        width = 1 << (level - kept)
        start, stop = number * width, (number + 1) * width
        if kept == 0:
            return self.node_from_leaves(log_id, level, number)
        hashes = self._stored(log_id, kept, start, stop)
        hashes += [self._folded(log_id, kept, n) for n in range(start + len(hashes), stop)]
        return _fold(hashes)

    def node_from_leaves(self, log_id: int, level: int, number: int) -> bytes:
        """Return the hash that `node` returns, computed from the leaf hashes of the log alone.

        Raises:
            LogUnavailable: a database failed.
        """
        if level > KEPT_LEVELS:
            below = level - 1
            halves = (self.node_from_leaves(log_id, below, 2 * number + half) for half in (0, 1))
            return node_hash(*halves)
        return _fold(list(self._log.leaf_hashes(log_id, number << level, (number + 1) << level)))

    def forget(self, log_id: int) -> None:
        """Delete the index of a log, because it is wrong.

        Raises:
            LogUnavailable: a database failed.
        """
        self._index.forget(log_id)

    def _stored(self, log_id: int, level: int, start: int, stop: int) -> list[bytes]:
        """Return the stored nodes of this range; none if the index cannot be used, because the log has them too."""
        try:
            return self._index.nodes(log_id, level, start, stop)
        except LogUnavailable:
            return []

    def _folded(self, log_id: int, level: int, number: int) -> bytes:
        below = level - 1
        return node_hash(self.node(log_id, below, 2 * number), self.node(log_id, below, 2 * number + 1))

    def _nodes(self, log_id: int, start: int, stop: int) -> dict[tuple[int, int], bytes]:
        nodes: dict[tuple[int, int], bytes] = {}
        level, width = KEPT_LEVELS, 1 << KEPT_LEVELS
        while start // width < stop // width:
            for number in range(start // width, stop // width):
                if level == KEPT_LEVELS:
                    nodes[level, number] = _fold(
                        list(self._log.leaf_hashes(log_id, number * width, (number + 1) * width))
                    )
                else:
                    below = range(number << KEPT_LEVELS, (number + 1) << KEPT_LEVELS)
                    stored = self._index.nodes(log_id, level - KEPT_LEVELS, below.start, below.stop)
                    missing = [(level - KEPT_LEVELS, n) for n in below[len(stored) :]]
                    if not nodes.keys() >= set(missing):
                        raise LogUnavailable("another process deleted the index meanwhile: try again")
                    nodes[level, number] = _fold(stored + [nodes[one] for one in missing])
            level += KEPT_LEVELS
            width <<= KEPT_LEVELS
        return nodes

    def _persons(self, log_id: int, decoded: list[dict[str, Any]]) -> dict[str, Person]:
        sids = {sealed["sid"] for entry in decoded if "items" in entry for sealed in entry.get("enc", ())}
        return {sid: person for sid, (person, _name) in self._directory.people(log_id, list(sids)).items()}

    def _rows(self, log_id: int, index: int, entry: dict[str, Any], persons: dict[str, Person]) -> Iterator[IndexRow]:
        values = opened(entry, persons)
        for number, item in enumerate(entry.get("items") or [{}]):
            resource = item.get("resource", {})
            id = values.get(f"items.{number}.id")
            yield IndexRow(
                place=index << ITEM_BITS | number,
                time_us=entry["time"],
                kind=entry["kind"],
                caller=entry.get("caller"),
                request_id=entry.get("request_id") or None,
                actor=entry.get("actor", {}).get("sid"),
                type=resource.get("type"),
                token=None if id is None else self._keyring.item_token(log_id, resource["type"], id),
                action=item.get("action"),
                effect=item.get("effect"),
                purpose=entry.get("purpose"),
                data_subjects=tuple(dict.fromkeys(_data_subjects(resource))),
            )


def opened(entry: dict[str, Any], persons: dict[str, Person]) -> dict[str, str]:
    """Return the personal values of an entry by field. Values of erased persons are left out."""
    values: dict[str, str] = {}
    for sealed in entry.get("enc", ()):
        person = persons.get(sealed["sid"])
        if person is not None:
            try:
                values |= person.open(sealed["ct"], sealed["commit"])
            except VerificationFailed:  # sealed by a process that did not know of the erasure and new introduction
                continue
    return values


def _data_subjects(resource: dict[str, Any]) -> Iterator[str]:
    if "owner" in resource:
        yield resource["owner"]
    yield from resource.get("parties", ())


def _fold(hashes: list[bytes]) -> bytes:
    while len(hashes) > 1:
        hashes = [node_hash(hashes[n], hashes[n + 1]) for n in range(0, len(hashes), 2)]
    return hashes[0]
