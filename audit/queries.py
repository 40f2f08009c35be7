"""Queries of the log. Results are complete, or say what they lack, and their pages stay stable while the log grows.

An entry that is shown was compared with the leaf hash that the sealed index has of it, which was verified against the
tree when the entry was indexed.
"""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, zip_longest
from typing import Any, NamedTuple, TypeVar

import orjson

from linewarden.audit import entry as entries
from linewarden.audit import fields
from linewarden.audit.directory import Directory
from linewarden.audit.errors import PageTokenInvalid, VerificationFailed
from linewarden.audit.indexer import Indexer
from linewarden.audit.keyring import Keyring, Person
from linewarden.audit.merkle import leaf_hash
from linewarden.audit.postings import DAMAGED, HASH_BYTES
from linewarden.audit.search import Conditions, Place, Search
from linewarden.audit.store.index import IndexDamaged, IndexStore
from linewarden.audit.store.log import LogStore

T = TypeVar("T")

_TOKEN_VERSION = 2

#: Damaged entries that an answer names, and missing persons.
MOST_DAMAGED = 100
MOST_MISSING = 100

#: How often a search is made again after the index was found damaged and was replaced.
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Query:
    """The filters of a query, with names as callers know them. Empty strings and None do not filter."""

    from_us: int | None = None
    until_us: int | None = None
    kinds: tuple[str, ...] = ()
    caller: str = ""
    subject: str = ""
    data_subject: str = ""
    resource_type: str = ""
    resource_id: str = ""
    verb: str = ""
    effect: str = ""
    purpose: str = ""
    request_id: str = ""
    oldest_first: bool = False

    def digest(self, log_id: int) -> str:
        """Return the digest that binds a page token to this query and log."""
        return hashlib.sha256(orjson.dumps([log_id, self], option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Row:
    """One item of one entry. The names of erased persons are empty. `stated` is the whole entry."""

    index: int
    item: int
    time_us: int
    kind: str
    request_id: str
    caller: str
    subject_sid: str
    subject: str
    owner_sid: str
    owner: str
    resource_type: str
    resource_ref: str
    resource_id: str
    verb: str
    effect: str
    reason: str
    purpose: str
    policy_revision: int
    stated: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Lacks:
    """What an answer may lack.

    The answer covers the first `size` entries of the log. It does not cover the `unsearched` ones that follow, because
    the index is behind. `damaged` are entries that are missing or are not those that were hashed: at most MOST_DAMAGED.
    `persons` are pseudonyms whose row is missing although no erasure is recorded: at most MOST_MISSING. `unknown` are
    the filters that name a person whom the log does not know.
    """

    size: int
    unsearched: int = 0
    damaged: tuple[int, ...] = ()
    persons: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, and the token of the next page. The pages of a query together cover the same entries."""

    rows: tuple[Row, ...]
    next_token: str
    lacks: Lacks


@dataclass(frozen=True, slots=True)
class Count:
    """The number of items in all, and in each bucket: from its first instant to the next bucket's, microseconds."""

    items: int
    buckets: tuple[tuple[int, int], ...]
    lacks: Lacks


class _Asked(NamedTuple):
    """A query with persons as pseudonyms and an item as a term. `unknown` are filters that name an unknown person."""

    query: Query
    actor: str
    person: str
    conditions: Conditions
    unknown: tuple[str, ...]


class AuditQueries:
    """Queries over the index, answered from the entries themselves. The methods block, so call them in a thread."""

    def __init__(
        self, log: LogStore, index: IndexStore, indexer: Indexer, directory: Directory, keyring: Keyring
    ) -> None:
        self._log = log
        self._index = index
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
            bound, after = _read_token(token, query.digest(log_id))
            size = min(size, bound)
        asked = self._asked(log_id, query)

        def page(search: Search, covered: int) -> Page:
            places = (
                []
                if asked.unknown
                else search.find(asked.conditions, after=after, descending=not query.oldest_first, limit=page_size + 1)
            )
            more = len(places) > page_size
            places = places[:page_size]
            rows, damaged, persons = self._rows(log_id, search, asked, places)
            next_token = _write_token(query.digest(log_id), covered, places[-1].ordinal) if more else ""
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
        asked = self._asked(log_id, query)

        def counted(search: Search, covered: int) -> Count:
            conditions = asked.conditions
            damaged = tuple(place.entry for place in search.damaged(conditions, MOST_DAMAGED))
            lacks = Lacks(covered, size - covered, damaged, unknown=asked.unknown)
            if asked.unknown:
                return Count(0, (), lacks)
            buckets = []
            if (span := search.span(conditions)) is not None:
                starts = instants(*span)
                for start, end in zip_longest(starts, starts[1:]):
                    buckets.append((start, _readable(search, conditions.narrowed(start, end))))
            return Count(_readable(search, conditions), tuple(buckets), lacks)

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
        people = self._directory.people(log_id, list(_sids(entry)))
        values = _opened(entry, {sid: person for sid, (person, _) in people.items()})
        values |= {f"name.{sid}": name for sid, (_, name) in people.items() if name}
        return values

    def _searching(self, log_id: int, size: int, function: Callable[[Search, int], T]) -> T:
        """Call a function with a search over the first `size` entries. Replace the index if it is damaged."""
        for attempt in range(_ATTEMPTS):
            view = self._indexer.view(log_id, size)
            try:
                return function(Search(self._index, view), view.size)
            except IndexDamaged as damage:
                self._indexer.renew(log_id, damage, view.stored)
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError

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

    def _asked(self, log_id: int, query: Query) -> _Asked:
        sids, unknown = [], []
        for name in ("subject", "data_subject"):
            value = getattr(query, name)
            person = self._directory.find(log_id, value) if value else None
            sids.append(person.sid if person else "")
            if value and person is None:
                unknown.append(name)
        terms = self._keyring.terms(log_id)
        stated = [
            (fields.CALLER, query.caller),
            (fields.REQUEST, query.request_id),
            (fields.ACTOR, sids[0]),
            (fields.PERSON, sids[1]),
            (fields.TYPE, "" if query.resource_id else query.resource_type),
            (fields.ITEM, fields.item_value(query.resource_type, query.resource_id) if query.resource_id else ""),
            (fields.PURPOSE, query.purpose),
        ]
        if query.verb and query.effect:
            stated.append((fields.OUTCOME, fields.outcome_value(query.verb, query.effect)))
        else:
            stated += [(fields.ACTION, query.verb), (fields.EFFECT, query.effect)]
        groups: list[tuple[bytes, ...]] = [(terms.of(field, value),) for field, value in stated if value]
        if query.kinds:
            groups.append(tuple(terms.of(fields.KIND, kind) for kind in dict.fromkeys(query.kinds)))
        conditions = Conditions(tuple(groups), query.from_us, query.until_us)
        return _Asked(query, sids[0], sids[1], conditions, tuple(unknown))

    def _entries(self, log_id: int, places: Sequence[Place]) -> dict[int, dict[str, Any]]:
        """Return the entries at places. Those that are not as they were indexed are left out."""
        leaves = {place.entry: place.leaf for place in places}
        found: dict[int, dict[str, Any]] = {}
        for index, data in self._log.entries_at(log_id, sorted(leaves)).items():
            if leaf_hash(data)[:HASH_BYTES] == leaves[index]:
                found[index] = entries.decode(data)
        return found

    def _rows(
        self, log_id: int, search: Search, asked: _Asked, places: Sequence[Place]
    ) -> tuple[list[Row], set[int], tuple[str, ...]]:
        """Return the rows at places, the damaged entries among them, and the persons whose row is missing."""
        decoded = self._entries(log_id, places)
        damaged = {place.entry for place in places} - decoded.keys()
        sids = {sid for entry in decoded.values() for sid in _sids(entry)}
        people = self._directory.people(log_id, list(sids))
        persons = {sid: person for sid, (person, _) in people.items()}
        names = {sid: name for sid, (_, name) in people.items()}
        rows = []
        for place in places:
            if (entry := decoded.get(place.entry)) is not None:
                row = _row(place, entry, persons, names)
                if _fits(row, asked):
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


def _opened(entry: dict[str, Any], persons: dict[str, Person]) -> dict[str, str]:
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


def _row(place: Place, entry: dict[str, Any], persons: dict[str, Person], names: dict[str, str]) -> Row:
    items = entry.get("items")
    item = items[place.item] if items else {}
    resource = item.get("resource", {})
    asked = entries.requester_of(entry, place.item)
    actor, owner = asked.get("actor", {}).get("sid", ""), resource.get("owner", "")
    keeper = [sealed for sealed in entry.get("enc", ()) if sealed["sid"] == resource.get("keeper")]
    return Row(
        index=place.entry,
        item=place.item,
        time_us=entry["time"],
        kind=entry["kind"],
        request_id=entries.request_id_of(entry, place.item),
        caller=entry.get("caller", ""),
        subject_sid=actor,
        subject=names.get(actor, ""),
        owner_sid=owner,
        owner=names.get(owner, ""),
        resource_type=resource.get("type", ""),
        resource_ref=resource.get("ref", ""),
        resource_id=_opened({"enc": keeper}, persons).get(f"items.{place.item}.id", ""),
        verb=item.get("action", ""),
        effect=item.get("effect", ""),
        reason=item.get("reason", entry.get("reason", "")),
        purpose=asked.get("purpose", ""),
        policy_revision=entry.get("policy", 0),
        stated=entry,
    )


def _fits(row: Row, asked: _Asked) -> bool:
    """Return whether a row is what was asked for. Two values may have the same term by chance."""
    query = asked.query
    resource = row.stated["items"][row.item]["resource"] if row.stated.get("items") else {}
    concerned = {row.owner_sid, *resource.get("parties", ()), row.stated.get("person", {}).get("sid")}
    stated = (
        (query.caller, row.caller),
        (query.request_id, row.request_id),
        (asked.actor, row.subject_sid),
        (query.resource_type, row.resource_type),
        (query.resource_id, row.resource_id or query.resource_id),
        (query.verb, row.verb),
        (query.effect, row.effect),
        (query.purpose, row.purpose),
    )
    return (
        all(not wanted or wanted == found for wanted, found in stated)
        and (not asked.person or asked.person in concerned)
        and (not query.kinds or row.kind in query.kinds)
    )


def _sids(entry: dict[str, Any]) -> Iterator[str]:
    if "actor" in entry:
        yield entry["actor"]["sid"]
    for sealed in entry.get("enc", ()):
        yield sealed["sid"]
    for item in entry.get("items", ()):
        if "actor" in item:
            yield item["actor"]["sid"]
        yield from item["resource"].get("parties", ())


def _write_token(digest: str, size: int, after: int) -> str:
    return urlsafe_b64encode(orjson.dumps([_TOKEN_VERSION, digest, size, after])).decode()


def _read_token(token: str, expected: str) -> tuple[int, int]:
    try:
        version, digest, size, after = orjson.loads(urlsafe_b64decode(token))
        fits = version == _TOKEN_VERSION and digest == expected
        if fits and type(size) is type(after) is int and 0 < size < 1 << 40 and 0 <= after < 1 << 38:
            return size, after
    except (Base64Error, ValueError, TypeError):
        pass
    raise PageTokenInvalid("the page token does not belong to this query: use the token of its previous page")
