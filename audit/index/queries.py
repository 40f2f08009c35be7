"""Queries of the log. Results are complete, or say what they lack, and their pages stay stable while the log grows.

An entry that is shown was compared with the leaf hash that the sealed index has of it, which was verified against the
tree when the entry was indexed.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count, islice, zip_longest
from typing import Any, TypeVar

from linewarden.audit import entry as entries
from linewarden.audit.directory import Directory
from linewarden.audit.index import fields
from linewarden.audit.index.answers import MOST_CHECKED, MOST_DAMAGED, MOST_MISSING, Count, Lacks, Page, Query, Row
from linewarden.audit.index.asked import Asked, asked_of
from linewarden.audit.index.errors import IndexDamaged
from linewarden.audit.index.format import DAMAGED, HASH_BYTES
from linewarden.audit.index.indexer import Indexer
from linewarden.audit.index.page_token import read_token, write_token
from linewarden.audit.index.rows import fits, opened, persons_of, row_of
from linewarden.audit.index.search import Conditions, Place, Search
from linewarden.audit.keyring import Keyring
from linewarden.audit.merkle import leaf_hash
from linewarden.audit.store.log import LogStore

T = TypeVar("T")

#: How often a search is made again: after the index was found damaged and was replaced, and at all, because another
#: process may merge the runs of each search.
_REPAIRS = 3
_ATTEMPTS = 20

#: Items that a count looks at, at most, to check MOST_CHECKED: some may be damaged ones that it does not count.
_MOST_FOUND = 4 * MOST_CHECKED


class AuditQueries:
    """Queries over the index, answered from the entries themselves. The methods block, so call them in a thread."""

    def __init__(self, log: LogStore, indexer: Indexer, directory: Directory, keyring: Keyring) -> None:
        self._log = log
        self._indexer = indexer
        self._directory = directory
        self._keyring = keyring

    def query(self, log_id: int, query: Query, *, size: int, page_size: int, token: str) -> Page:
        """Return a page of the matching items among the first `size` entries, or among those of the token.

        Raises:
            PageTokenInvalid: the token does not belong to this query.
            LogUnavailable: a database failed.
        """
        after: int | None = None
        if token:
            bound, after = read_token(token, query.digest(log_id))
            size = min(size, bound)
        asked = asked_of(log_id, query, self._directory, self._keyring)

        def page(search: Search, covered: int) -> Page:
            places = (
                []
                if asked.unknown
                else search.find(asked.conditions, after=after, descending=not query.oldest_first, limit=page_size + 1)
            )
            more = len(places) > page_size
            places = places[:page_size]
            rows, damaged, persons = self._rows(log_id, search, asked, places)
            next_token = write_token(query.digest(log_id), covered, places[-1].ordinal) if more else ""
            damaged |= {place.entry for place in search.damaged(asked.conditions, MOST_DAMAGED)}
            lacks = Lacks(covered, size - covered, tuple(sorted(damaged)[:MOST_DAMAGED]), persons, asked.unknown)
            return Page(tuple(rows), next_token, lacks)

        return self._searching(log_id, size, page)

    def count(
        self,
        log_id: int,
        query: Query,
        *,
        size: int,
        instants: Callable[[int, int], Sequence[int]] = lambda _first, _last: (),
    ) -> Count:
        """Return the number of matching items among the first `size` entries, in all and by time.

        `instants` gets the first and the last time that is counted, and returns where the buckets begin.

        Raises:
            LogUnavailable: a database failed.
        """
        asked = asked_of(log_id, query, self._directory, self._keyring)

        def counted(search: Search, covered: int) -> Count:
            return self._counted(log_id, search, asked, Lacks(covered, size - covered, unknown=asked.unknown), instants)

        return self._searching(log_id, size, counted)

    def recorded(self, log_id: int, query: Query) -> dict[str, Any]:
        """Return the query as the record of the read states it: persons and items by pseudonym.

        Raises:
            LogUnavailable: a database failed.
        """
        stated: dict[str, Any] = {}
        for name in ("from_us", "until_us", "resource_type", "verb", "effect", "purpose"):
            if value := getattr(query, name):
                stated[name] = value
        for name, field in (("caller", fields.CALLER), ("request_id", fields.REQUEST)):
            # The reader may have typed a personal value, so only values that the log already has are recorded.
            if value := getattr(query, name):
                stated[name] = value if self._first(log_id, field, value) is not None else "unknown"
        if query.kinds:
            stated["kinds"] = query.kinds
        for name in ("subject", "data_subject"):
            if value := getattr(query, name):
                person = self._directory.find(log_id, value)
                stated[name] = person.sid if person else "unknown"
        if query.resource_id:
            stated["resource"] = self._reference(log_id, query.resource_type, query.resource_id)
        return stated

    def disclosed(self, log_id: int, data: bytes) -> dict[str, str]:
        """Return the personal values of an entry that can still be read, by field, and the names of its persons."""
        entry = entries.decode(data)
        people = self._directory.people(log_id, list(persons_of(entry)))
        values = opened(entry, {sid: person for sid, (person, _) in people.items()})
        values |= {f"name.{sid}": name for sid, (_, name) in people.items() if name}
        return values

    def _searching(self, log_id: int, size: int, function: Callable[[Search, int], T]) -> T:
        """Call a function with a search over the first `size` entries. Replace the index if it is damaged."""
        repairs = 0
        for attempt in count(1):
            view = self._indexer.view(log_id, size)
            try:
                return function(Search(view), view.size)
            except IndexDamaged as damage:
                repairs += self._indexer.renew(log_id, damage, view.stored)
                if repairs == _REPAIRS or attempt == _ATTEMPTS:
                    raise
        raise AssertionError

    def _counted(
        self,
        log_id: int,
        search: Search,
        asked: Asked,
        lacks: Lacks,
        instants: Callable[[int, int], Sequence[int]],
    ) -> Count:
        """Return a count of what the index finds, without the damaged entries that are found by reading them."""
        conditions = asked.conditions
        named = {place.entry for place in search.damaged(conditions, MOST_DAMAGED)}
        items = 0 if asked.unknown else _readable(search, conditions)
        few = 0 < items <= MOST_CHECKED
        places = search.find(conditions, after=None, descending=False, limit=_MOST_FOUND) if few else []
        lost = self._lost(log_id, places)
        named |= {place.entry for place in lost}
        unchecked = 0 if few and len(places) < _MOST_FOUND else items
        lacks = replace(lacks, damaged=tuple(sorted(named)[:MOST_DAMAGED]), unchecked=unchecked)
        buckets = []
        if not asked.unknown and (span := search.span(conditions)) is not None:
            starts = instants(*span)
            for start, end in zip_longest(starts, starts[1:]):
                part = conditions.narrowed(start, end)
                buckets.append(
                    (start, _readable(search, part) - search.inside([place.ordinal for place in lost], part))
                )
        return Count(items - len(lost), tuple(buckets), lacks)

    def _lost(self, log_id: int, places: Sequence[Place]) -> list[Place]:
        """Return those of the places whose entries were damaged after they were indexed."""
        lost: list[Place] = []
        for start in range(0, len(places), MOST_CHECKED):
            indexed = [place for place in places[start : start + MOST_CHECKED] if any(place.leaf)]
            found = self._entries(log_id, indexed)
            lost += [place for place in indexed if place.entry not in found]
        return lost

    def _first(self, log_id: int, field: str, value: str) -> Place | None:
        """Return the place of the first item in the log that has a value."""
        conditions = Conditions(((self._keyring.terms(log_id).of(field, value),),))

        def first(search: Search, _size: int) -> Place | None:
            return next(iter(search.find(conditions, after=None, descending=False, limit=1)), None)

        return self._searching(log_id, self._log.head(log_id).size, first)

    def _reference(self, log_id: int, type: str, id: str) -> str:
        place = self._first(log_id, fields.ITEM, fields.item_value(type, id))
        entry = None if place is None else self._entries(log_id, [place]).get(place.entry)
        if place is None or entry is None:
            return "unknown"
        return str(entry["items"][place.item]["resource"]["ref"])

    def _entries(self, log_id: int, places: Sequence[Place]) -> dict[int, dict[str, Any]]:
        """Return the entries at places. Those that are not as they were indexed are left out."""
        leaves = {place.entry: place.leaf for place in places}
        found: dict[int, dict[str, Any]] = {}
        for index, data in self._log.entries_at(log_id, sorted(leaves)).items():
            if leaf_hash(data)[:HASH_BYTES] == leaves[index]:
                found[index] = entries.decode(data)
        return found

    def _rows(
        self, log_id: int, search: Search, asked: Asked, places: Sequence[Place]
    ) -> tuple[list[Row], set[int], tuple[str, ...]]:
        """Return the rows at places, the damaged entries among them, and the persons whose row is missing."""
        decoded = self._entries(log_id, places)
        damaged = {place.entry for place in places} - decoded.keys()
        sids = {sid for entry in decoded.values() for sid in persons_of(entry)}
        people = self._directory.people(log_id, list(sids))
        persons = {sid: person for sid, (person, _) in people.items()}
        names = {sid: name for sid, (_, name) in people.items()}
        rows = []
        for place in places:
            if (entry := decoded.get(place.entry)) is not None:
                row = row_of(place, entry, persons, names)
                if fits(row, asked):
                    rows.append(row)
        missing = (sid for sid in sorted(sids - people.keys()) if not self._is_erased(log_id, search, sid))
        return rows, damaged, tuple(islice(missing, MOST_MISSING))

    def _is_erased(self, log_id: int, search: Search, sid: str) -> bool:
        """Return whether the log has the record of a person's erasure."""
        terms = self._keyring.terms(log_id)
        kind, person = terms.of(fields.KIND, entries.PERSON_ERASED), terms.of(fields.PERSON, sid)
        return search.count(Conditions(((kind,), (person,)))) > 0


def _readable(search: Search, conditions: Conditions) -> int:
    """Return the number of items that fit, without the entries that could not be read when they were indexed."""
    items = search.count(conditions)
    # Only a condition without terms includes them, because they have no terms of a field.
    return items if conditions.groups or not items else items - search.count(replace(conditions, groups=((DAMAGED,),)))
