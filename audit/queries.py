"""Queries of the log. Results are complete, and their pages stay stable while the log grows."""

import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from linewarden.audit import entry as entries
from linewarden.audit.directory import Directory
from linewarden.audit.errors import PageTokenInvalid
from linewarden.audit.indexer import Indexer, opened
from linewarden.audit.keyring import Keyring
from linewarden.audit.store.index import ITEM_BITS, IndexStore, Search
from linewarden.audit.store.log import LogStore

_TOKEN_VERSION = 1


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
    """One item of one entry. The names of erased persons are empty."""

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


@dataclass(frozen=True, slots=True)
class Page:
    """Rows and the token of the next page. The pages of a query together cover the first `size` entries of the log."""

    rows: tuple[Row, ...]
    next_token: str
    size: int


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
        search = self._search(log_id, query)
        places: list[int] = []
        if search is not None:
            self._indexer.catch_up(log_id, size)
            places = self._index.search(
                log_id,
                search,
                after=after,
                below=size << ITEM_BITS,
                descending=not query.oldest_first,
                limit=page_size + 1,
            )
        more = len(places) > page_size
        places = places[:page_size]
        next_token = _write_token(query.digest(log_id), size, places[-1]) if more else ""
        return Page(tuple(self._rows(log_id, places)), next_token, size)

    def recorded(self, log_id: int, query: Query) -> dict[str, Any]:
        """Return the query as the record of the read states it: persons and items by pseudonym.

        Raises:
            LogUnavailable: a database failed.
        """
        stated: dict[str, Any] = {}
        for name in ("from_us", "until_us", "resource_type", "verb", "effect", "purpose"):
            if value := getattr(query, name):
                stated[name] = value
        for name in ("caller", "request_id"):
            # The reader may have typed a personal value, so only values that the log already has are recorded.
            if value := getattr(query, name):
                stated[name] = value if self._first(log_id, Search(**{name: value})) is not None else "unknown"
        if query.kinds:
            stated["kinds"] = query.kinds
        for name in ("subject", "data_subject"):
            if value := getattr(query, name):
                person = self._directory.find(log_id, value)
                stated[name] = person.sid if person else "unknown"
        if query.resource_id:
            stated["resource"] = self._reference(log_id, query.resource_type, query.resource_id)
        return stated

    def _reference(self, log_id: int, type: str, id: str) -> str:
        place = self._first(log_id, Search(token=self._keyring.item_token(log_id, type, id)))
        return "unknown" if place is None else next(self._rows(log_id, [place])).resource_ref

    def _first(self, log_id: int, search: Search) -> int | None:
        size = self._log.head(log_id).size
        self._indexer.catch_up(log_id, size)
        places = self._index.search(log_id, search, after=None, below=size << ITEM_BITS, descending=False, limit=1)
        return places[0] if places else None

    def disclosed(self, log_id: int, data: bytes) -> dict[str, str]:
        """Return the personal values of an entry that can still be read, by field, and the names of its persons."""
        entry = entries.decode(data)
        people = self._directory.people(log_id, list(_sids(entry)))
        values = opened(entry, {sid: person for sid, (person, _) in people.items()})
        values |= {f"name.{sid}": name for sid, (_, name) in people.items() if name}
        return values

    def _search(self, log_id: int, query: Query) -> Search | None:
        """Return the query by pseudonyms and tokens; None if it names a person that the log does not know."""
        sids: list[str | None] = []
        for name in (query.subject, query.data_subject):
            person = self._directory.find(log_id, name) if name else None
            if name and person is None:
                return None
            sids.append(person.sid if person else None)
        token = None
        if query.resource_id:
            token = self._keyring.item_token(log_id, query.resource_type, query.resource_id)
        return Search(
            from_us=query.from_us,
            until_us=query.until_us,
            kinds=query.kinds,
            caller=query.caller or None,
            actor=sids[0],
            data_subject=sids[1],
            type=query.resource_type or None,
            token=token,
            action=query.verb or None,
            effect=query.effect or None,
            purpose=query.purpose or None,
            request_id=query.request_id or None,
        )

    def _rows(self, log_id: int, places: Sequence[int]) -> Iterator[Row]:
        indexes = sorted({place >> ITEM_BITS for place in places})
        decoded = {n: entries.decode(data) for n, data in self._log.entries_at(log_id, indexes).items()}
        sids = {sid for entry in decoded.values() for sid in _sids(entry)}
        people = self._directory.people(log_id, list(sids))
        persons = {sid: person for sid, (person, _) in people.items()}
        names = {sid: name for sid, (_, name) in people.items()}
        values = {n: opened(entry, persons) for n, entry in decoded.items()}
        for place in places:
            index, item = place >> ITEM_BITS, place & (1 << ITEM_BITS) - 1
            yield _row(index, item, decoded[index], values[index], names)


def _row(index: int, number: int, entry: dict[str, Any], values: dict[str, str], names: dict[str, str]) -> Row:
    items = entry.get("items")
    item = items[number] if items else {}
    resource = item.get("resource", {})
    actor, owner = entry.get("actor", {}).get("sid", ""), resource.get("owner", "")
    return Row(
        index=index,
        item=number,
        time_us=entry["time"],
        kind=entry["kind"],
        request_id=entry.get("request_id", ""),
        caller=entry.get("caller", ""),
        subject_sid=actor,
        subject=names.get(actor, ""),
        owner_sid=owner,
        owner=names.get(owner, ""),
        resource_type=resource.get("type", ""),
        resource_ref=resource.get("ref", ""),
        resource_id=values.get(f"items.{number}.id", ""),
        verb=item.get("action", ""),
        effect=item.get("effect", ""),
        reason=item.get("reason", entry.get("reason", "")),
        purpose=entry.get("purpose", ""),
        policy_revision=entry.get("policy", 0),
    )


def _sids(entry: dict[str, Any]) -> Iterator[str]:
    if "actor" in entry:
        yield entry["actor"]["sid"]
    for sealed in entry.get("enc", ()):
        yield sealed["sid"]
    for item in entry.get("items", ()):
        yield from item["resource"].get("parties", ())


def _write_token(digest: str, size: int, after: int) -> str:
    return urlsafe_b64encode(orjson.dumps([_TOKEN_VERSION, digest, size, after])).decode()


def _read_token(token: str, expected: str) -> tuple[int, int]:
    try:
        version, digest, size, after = orjson.loads(urlsafe_b64decode(token))
        fits = version == _TOKEN_VERSION and digest == expected
        if fits and isinstance(size, int) and isinstance(after, int) and 0 <= after >> ITEM_BITS < size < 1 << 40:
            return size, after
    except (Base64Error, ValueError, TypeError):
        pass
    raise PageTokenInvalid("the page token does not belong to this query: use the token of its previous page")
