"""Filling the index of the logs.

A caller that needs a complete index calls `catch_up`. Several processes may do so: the watermark decides whose rows
are stored.
"""

from collections.abc import Iterator
from typing import Any

from linewarden.audit import entry as entries
from linewarden.audit.directory import Directory
from linewarden.audit.errors import VerificationFailed
from linewarden.audit.keyring import Keyring, Person
from linewarden.audit.merkle import leaf_hash
from linewarden.audit.store.index import ITEM_BITS, IndexRow, IndexStore
from linewarden.audit.store.log import LogStore

#: Entries that go into the index in one transaction.
STEP = 512


class Indexer:
    """The writer of the index: rows for searches."""

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
            added = self._index.add(log_id, start, stop, leaf_hash(stored[-1]), rows, {})
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
            last = self._log.stored(log_id, start - 1, start).get(start - 1, (b"",))[0]
            if last != self._index.last_leaf(log_id) and self._index.indexed(log_id) == start:
                self._index.forget(log_id)
                return 0
        return start

    def forget(self, log_id: int) -> None:
        """Delete the index of a log, because it is wrong.

        Raises:
            LogUnavailable: a database failed.
        """
        self._index.forget(log_id)

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
