"""The terms under which an entry is found, by field."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from linewarden.audit.directory import Directory
from linewarden.audit.entry import request_id_of, requester_of
from linewarden.audit.errors import VerificationFailed
from linewarden.audit.index.format import LENGTH_BITS, MORE_ITEMS
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

#: A first field, and the values that occur together.
Group = tuple[str, str, str, str]


def item_value(type: str, id: str) -> str:
    """Return the value of the field ITEM."""
    return f"{type}\0{id}"


def outcome_value(action: str, effect: str) -> str:
    """Return the value of the field OUTCOME."""
    return f"{action}\0{effect}"


class Collector:
    """The postings of consecutive entries, while they are collected.

    Values that occur together again and again, such as verb, effect and type, are collected as one *group*, because
    most of the time would be spent on them.
    """

    def __init__(self) -> None:
        self.ranges: defaultdict[bytes, list[int]] = defaultdict(list)
        self.groups: defaultdict[Group, list[int]] = defaultdict(list)

    def postings(self, terms_of: Callable[[Group], Iterable[bytes]]) -> Postings:
        """Return what was collected, with the terms of each group."""
        for group, ranges in self.groups.items():
            for term in terms_of(group):
                self.ranges[term] += ranges
        postings = Postings()
        # Most terms occur once, in one item.
        is_single = {term for term, ranges in self.ranges.items() if len(ranges) == 1 and not ranges[0] & MORE_ITEMS}
        postings.records = [term + self.ranges[term][0].to_bytes(6) for term in is_single]
        for term, ranges in self.ranges.items():
            if term not in is_single:
                postings.add_ranges(term, ranges)
        return postings


class ItemTerms:
    """The terms of entries. Terms, keys of persons and items that were met before are remembered for a while."""

    def __init__(self, directory: Directory, keyring: Keyring) -> None:
        self._directory = directory
        self._keyring = keyring
        self._logs: dict[int, _LogTerms] = {}
        self._size = 0
        self._until = 0.0

    def of(self, log_id: int) -> "_LogTerms":
        """Return the terms of one log."""
        now = time.monotonic()
        if now >= self._until or sum(map(len, self._logs.values())) > _REMEMBERED:
            self._logs.clear()
            self._until = now + _REMEMBERED_S
        terms = self._logs.get(log_id)
        if terms is None:
            terms = self._logs[log_id] = _LogTerms(log_id, self._directory, self._keyring.terms(log_id))
        return terms


class _PersonTerms(dict[str, bytes]):
    """The terms of persons as owner or party, by pseudonym."""

    def __init__(self, terms: Terms) -> None:
        super().__init__()
        self._terms = terms

    def __missing__(self, sid: str) -> bytes:
        term = self[sid] = self._terms.of(PERSON, sid)
        return term


class _LogTerms:
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

    def prepare(self, decoded: Sequence[dict[str, Any]]) -> None:
        """Read the keys of the persons whose items have to be opened.

        Raises:
            LogUnavailable: the database failed.
        """
        wanted = {keeper for entry in decoded for keeper in self._keepers(entry)} - self._persons.keys()
        if wanted:
            found = self._directory.keys(self._log, list(wanted))
            # In one step, because another thread would take a person without a key for an erased one.
            self._persons.update({sid: found.get(sid) for sid in wanted})

    def collect(self, entry: dict[str, Any], ordinal: int, into: Collector) -> int:
        """Add the postings of an entry whose first item has this ordinal. Return the number of its items."""
        items = entry.get("items")
        count = len(items) if items else 1
        ranges, groups, persons = into.ranges, into.groups, self._persons_terms
        whole = ordinal << LENGTH_BITS | count - 1
        for stated, request, place in _requests(entry, whole):
            groups[KIND, entry["kind"], entry.get("caller", ""), stated.get("purpose", "")].append(place)
            if request:
                ranges[self._terms.of(REQUEST, request)].append(place)
            if actor := stated.get("actor"):
                ranges[self._term(ACTOR, actor["sid"])].append(place)
        if person := entry.get("person"):
            ranges[persons[person["sid"]]].append(whole)
        for number, item in enumerate(items or ()):
            place = ordinal + number << LENGTH_BITS
            resource = item["resource"]
            groups[ACTION, item["action"], item["effect"], resource["type"]].append(place)
            ref = resource["ref"]
            term = self._items[ref] if ref in self._items else self._item(entry, number, resource)
            if term is not None:
                ranges[term].append(place)
            if owner := resource.get("owner"):
                ranges[persons[owner]].append(place)
            if parties := resource.get("parties"):
                for party in set(parties) - {owner}:
                    ranges[persons[party]].append(place)
        return count

    def group_terms(self, group: Group) -> Iterator[bytes]:
        """Yield the terms of the values of a group."""
        stated: tuple[tuple[str, str], ...]
        if group[0] == KIND:
            _, kind, caller, purpose = group
            stated = ((KIND, kind), (CALLER, caller), (PURPOSE, purpose))
        else:
            _, action, effect, type = group
            outcome = outcome_value(action, effect)
            stated = ((ACTION, action), (EFFECT, effect), (OUTCOME, outcome), (TYPE, type))
        return (self._term(field, value) for field, value in stated if value)

    def _term(self, field: str, value: str) -> bytes:
        key = (field, value)
        term = self._known.get(key)
        if term is None:
            term = self._known[key] = self._terms.of(field, value)
        return term

    def _item(self, entry: dict[str, Any], number: int, resource: dict[str, Any]) -> bytes | None:
        """Return the term of an item, whose id is sealed under its keeper's key; None if the keeper was erased."""
        id = self._opened(entry, resource["keeper"]).get(f"items.{number}.id")
        term = None if id is None else self._terms.of(ITEM, item_value(resource["type"], id))
        self._items[resource["ref"]] = term
        return term

    def _opened(self, entry: dict[str, Any], keeper: str) -> dict[str, str]:
        person = self._persons.get(keeper)
        for sealed in entry.get("enc", ()) if person else ():
            if sealed["sid"] == keeper:
                try:
                    return person.values(sealed["ct"])  # type: ignore[union-attr]
                except VerificationFailed:  # sealed by a process that did not know of an erasure and new introduction
                    return {}
        return {}

    def _keepers(self, entry: dict[str, Any]) -> Iterator[str]:
        for item in entry.get("items", ()):
            resource = item["resource"]
            if resource["ref"] not in self._items:
                yield resource["keeper"]


def _requests(entry: dict[str, Any], whole: int) -> list[tuple[Mapping[str, Any], str, int]]:
    """Return the parts of an entry with an actor, each with the request id and the range of the items of both.

    It is the entry itself with the range of all items, unless items state actors or request ids of their own.
    """
    items = entry.get("items", ())
    if not any("actor" in item or "request_id" in item for item in items):
        return [(entry, entry.get("request_id", ""), whole)]
    first = whole >> LENGTH_BITS
    return [(requester_of(entry, n), request_id_of(entry, n), first + n << LENGTH_BITS) for n in range(len(items))]
