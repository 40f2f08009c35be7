"""The terms under which an entry is found, by field."""

import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from linewarden.audit.directory import Directory
from linewarden.audit.entry import request_id_of, requester_of
from linewarden.audit.errors import VerificationFailed
from linewarden.audit.index.format import LENGTH_BITS
from linewarden.audit.index.postings import Postings
from linewarden.audit.keyring import Keyring, Person, Terms

# Of the entry.
KIND = "kind"
CALLER = "caller"
REQUEST = "request"
ACTOR = "actor"
PURPOSE = "purpose"
# Of each item.
TYPE = "type"
ITEM = "item"
ACTION = "action"
EFFECT = "effect"
OUTCOME = "action+effect"
PERSON = "person"

#: Terms, persons and items that are remembered for all logs, and for how long, seconds. A person who was erased
#: meanwhile is forgotten with them.
_REMEMBERED = 100_000
_REMEMBERED_S = 60.0

#: Values of fields that occur together: kind, caller and purpose of an entry; action, effect and type of an item.
Group = tuple[str, str, str]


def item_value(type: str, id: str) -> str:
    """Return the value of the field ITEM."""
    return f"{type}\0{id}"


def outcome_value(action: str, effect: str) -> str:
    """Return the value of the field OUTCOME."""
    return f"{action}\0{effect}"


class Collector:
    """The postings of consecutive entries, while they are collected.

    Values that occur together again and again, such as verb, effect and type, are collected as one *group*, because
    most of the time would be spent on them. Ranges are numbers with the first ordinal, shifted by LENGTH_BITS, and the
    length minus 1.
    """

    def __init__(self) -> None:
        self.postings = Postings()
        self.of_entries: defaultdict[Group, list[int]] = defaultdict(list)
        self.of_items: defaultdict[Group, list[int]] = defaultdict(list)


class ItemTerms:
    """The terms of entries. Terms, keys of persons and items that were met before are remembered for a while."""

    def __init__(self, directory: Directory, keyring: Keyring) -> None:
        self._directory = directory
        self._keyring = keyring
        self._logs: dict[int, LogTerms] = {}
        self._size = 0
        self._until = 0.0

    def of(self, log_id: int) -> "LogTerms":
        """Return the terms of one log."""
        now = time.monotonic()
        if now >= self._until or sum(map(len, self._logs.values())) > _REMEMBERED:
            self._logs.clear()
            self._until = now + _REMEMBERED_S
        terms = self._logs.get(log_id)
        if terms is None:
            terms = self._logs[log_id] = LogTerms(log_id, self._directory, self._keyring.terms(log_id))
        return terms


class _PersonTerms(dict[str, bytes]):
    """The terms of persons as owner or party, by pseudonym."""

    def __init__(self, terms: Terms) -> None:
        super().__init__()
        self._terms = terms

    def __missing__(self, sid: str) -> bytes:
        term = self[sid] = self._terms.of(PERSON, sid)
        return term


class LogTerms:
    """The terms of one log's entries."""

    def __init__(self, log_id: int, directory: Directory, terms: Terms) -> None:
        self._log = log_id
        self._directory = directory
        self._terms = terms
        self._known: dict[tuple[str, str], bytes] = {}
        self._items: dict[str, bytes | None] = {}
        self._persons: dict[str, Person | None] = {}
        self._persons_terms = _PersonTerms(terms)

    def __len__(self) -> int:
        return len(self._known) + len(self._items) + len(self._persons) + len(self._persons_terms)

    def is_ready(self, entry: dict[str, Any]) -> bool:
        """Return whether the keys are known under which the ids of the entry's items are sealed."""
        return "items" not in entry or all(one["sid"] in self._persons for one in entry.get("enc", ()))

    def prepare(self, decoded: Iterable[dict[str, Any]]) -> None:
        """Read the keys under which the ids of items are sealed.

        Raises:
            LogUnavailable: the database failed.
        """
        sealed = (one["sid"] for entry in decoded if "items" in entry for one in entry.get("enc", ()))
        if wanted := {sid for sid in sealed if sid not in self._persons}:
            found = self._directory.keys(self._log, list(wanted))
            # In one step, because another thread would take a person without a key for an erased one.
            self._persons.update({sid: found.get(sid) for sid in wanted})

    def collect(self, entry: dict[str, Any], ordinal: int, into: Collector) -> int:
        """Add the postings of an entry whose first item has this ordinal. Return the number of its items."""
        items = entry.get("items") or ()
        count = len(items) or 1
        whole = ordinal << LENGTH_BITS | count - 1
        for stated, request, place in _requests(entry, whole):
            into.of_entries[entry["kind"], entry.get("caller", ""), stated.get("purpose", "")].append(place)
            if request:
                into.postings.add(self._terms.of(REQUEST, request), place)
            if actor := stated.get("actor"):
                into.postings.add(self._term(ACTOR, actor["sid"]), place)
        if person := entry.get("person"):
            into.postings.add(self._persons_terms[person["sid"]], whole)
        if items:
            self._collect_items(entry, items, ordinal, into)
        return count

    def _collect_items(
        self, entry: dict[str, Any], items: Sequence[dict[str, Any]], ordinal: int, into: Collector
    ) -> None:
        groups, records, persons, known = into.of_items, into.postings.records, self._persons_terms, self._items
        opened: _Opened | None = None
        for number, item in enumerate(items):
            place = ordinal + number << LENGTH_BITS
            at = place.to_bytes(6)
            resource = item["resource"]
            groups[item["action"], item["effect"], resource["type"]].append(place)
            ref = resource["ref"]
            if ref not in known:
                opened = opened or _Opened(entry, self._persons)
                known[ref] = self._item(opened.id(number, resource["keeper"]), resource["type"])
            if term := known[ref]:
                records.append(term + at)
            owner = resource.get("owner")
            if owner:
                records.append(persons[owner] + at)
            if parties := resource.get("parties"):
                records += [persons[party] + at for party in set(parties) - {owner}]

    def finish(self, collected: Collector) -> Postings:
        """Return what was collected, with the terms of all groups."""
        postings = collected.postings
        for (kind, caller, purpose), ranges in collected.of_entries.items():
            postings.add_ranges(self._stated((KIND, kind), (CALLER, caller), (PURPOSE, purpose)), ranges)
        for (action, effect, type), ranges in collected.of_items.items():
            outcome = (OUTCOME, outcome_value(action, effect))
            terms = self._stated((ACTION, action), (EFFECT, effect), outcome, (TYPE, type))
            postings.add_ranges(terms, ranges)
        return postings

    def _stated(self, *stated: tuple[str, str]) -> list[bytes]:
        return [self._term(field, value) for field, value in stated if value]

    def _term(self, field: str, value: str) -> bytes:
        key = (field, value)
        term = self._known.get(key)
        if term is None:
            term = self._known[key] = self._terms.of(field, value)
        return term

    def _item(self, id: str | None, type: str) -> bytes | None:
        """Return the term of an item, whose id is sealed under its keeper's key; None if the keeper was erased."""
        return None if id is None else self._terms.of(ITEM, item_value(type, id))


def _requests(entry: dict[str, Any], whole: int) -> list[tuple[Mapping[str, Any], str, int]]:
    """Return the parts of an entry with an actor, each with the request id and the range of the items of both.

    It is the entry itself with the range of all items, unless items state actors or request ids of their own.
    """
    items = entry.get("items", ())
    if not any("actor" in item or "request_id" in item for item in items):
        return [(entry, entry.get("request_id", ""), whole)]
    first = whole >> LENGTH_BITS
    return [(requester_of(entry, n), request_id_of(entry, n), first + n << LENGTH_BITS) for n in range(len(items))]


class _Opened:
    """The ids of the items of one entry, opened when they are asked for."""

    def __init__(self, entry: dict[str, Any], persons: Mapping[str, Person | None]) -> None:
        self._persons = persons
        self._sealed = {sealed["sid"]: sealed["ct"] for sealed in entry.get("enc", ())}
        self._values: dict[str, dict[str, str]] = {}

    def id(self, number: int, keeper: str) -> str | None:
        """Return the id of an item; None if its keeper was erased."""
        if keeper not in self._values:
            self._values[keeper] = self._open(keeper)
        return self._values[keeper].get(f"items.{number}.id")

    def _open(self, keeper: str) -> dict[str, str]:
        person, sealed = self._persons.get(keeper), self._sealed.get(keeper)
        if person is None or sealed is None:
            return {}
        try:
            return person.values(sealed)
        except VerificationFailed:  # sealed by a process that did not know of an erasure and new introduction
            return {}
