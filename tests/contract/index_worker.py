"""A process that appends to a log, fills its index, or queries it, until the log has its last entry.

The argument is a JSON object: `url` and `index_url` of the databases, `role`, `seed`, and `size`, the number of entries
at which the log ends. Prints one JSON object: the number of `answers`, the `wrong` ones, and the `events` of the index.
"""

import asyncio
import json
import random
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from linewarden.audit.directory import Directory
from linewarden.audit.entry import HEARTBEAT, AccessHeader, AccessItem, encode, encode_decisions
from linewarden.audit.errors import AuditError, LogBusy
from linewarden.audit.index.answers import Query
from linewarden.audit.index.indexer import Indexer
from linewarden.audit.index.queries import AuditQueries
from linewarden.audit.keyring import Keyring, Person, RowMac
from linewarden.audit.model import Unit
from linewarden.audit.store.engine import open_engine
from linewarden.audit.store.index import IndexStore
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.persons import PersonStore
from linewarden.audit.tree import Tree
from linewarden.audit.verified import VerifiedEntries

LOG = 1
KEYRING = Keyring(bytes(32))
NAMES = [f"p{n}" for n in range(5)]
CALLERS, VERBS, EFFECTS = ("pbx", "crm"), ("play", "delete"), ("allow", "deny")


class StoreAppender:
    """An appender that appends at once."""

    def __init__(self, log: LogStore) -> None:
        self._log = log

    def append(self, unit: Unit) -> "asyncio.Future[int]":
        """Append a unit."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        (result,) = self._log.append([unit])
        if isinstance(result, AuditError):
            future.set_exception(result)
        else:
            future.set_result(result)
        return future


class Worker:
    """The stores of one process."""

    def __init__(self, url: str, index_url: str, seed: int, size: int) -> None:
        self.events: list[str] = []
        self.wrong: list[str] = []
        self.answers = 0
        self._random = random.Random(seed)
        self._size = size
        self._log = LogStore(open_engine(url, durable=False), RowMac(bytes(32)))
        index = IndexStore(
            open_engine(index_url, durable=False), KEYRING.row_mac, lambda *event: self.events.append(repr(event))
        )
        self._directory = Directory(PersonStore(self._log), KEYRING, StoreAppender(self._log))
        verified = VerifiedEntries(self._log, Tree(self._log))
        self._indexer = Indexer(self._log, verified, index, self._directory, KEYRING)
        self._queries = AuditQueries(self._log, self._indexer, self._directory, KEYRING)
        self._entries: list[dict[str, Any]] = []

    def append(self) -> None:
        """Append requests, in units of a few, until the log has its size."""
        persons = asyncio.run(self._directory.meet(LOG, NAMES, 1)).persons
        while (head := self._log.head(LOG)).size < self._size and not self.wrong:
            requests = (self._request(head.time_us, persons) for _ in range(self._random.randrange(1, 60)))
            (result,) = self._log.append([Unit(LOG, tuple(data for request in requests for data in request))])
            if isinstance(result, AuditError) and not isinstance(result, LogBusy):
                self.wrong.append(repr(result))

    def _request(self, after_us: int, persons: Mapping[str, Person]) -> list[bytes]:
        some = self._random
        time_us = after_us + some.randrange(1_000_000)
        if some.random() < 0.1:
            return [encode(HEARTBEAT, time_us, {})]
        items = [self._item(some.choice(list(persons.values()))) for _ in range(some.choice((1, 1, 2, 20)))]
        header = AccessHeader(time_us, f"q{some.randrange(10**9)}", some.choice(CALLERS), persons["p0"], 1)
        return [data for data, _ in encode_decisions(header, items)]

    def _item(self, owner: Person) -> AccessItem:
        some = self._random
        outcome = {"effect": some.choice(EFFECTS), "reason": "none"}
        id = f"i{some.randrange(40)}"
        return AccessItem(some.choice(VERBS), "fax", id, owner, owned=True, outcome=outcome, resource={})

    def index(self) -> None:
        """Fill the index and merge its runs, a few entries at a time, until the log has its size."""
        while (size := self._log.head(LOG).size) < self._size or self._indexed < self._size:
            self._indexed = self._indexer.catch_up(LOG, size, at_most=self._random.choice((3, 40, 300)))

    _indexed = 0

    def query(self) -> None:
        """Query and count until the log has its size, and once more."""
        is_last = False
        while not is_last:
            is_last = (size := self._log.head(LOG).size) >= self._size
            query = self._query()
            page = self._queries.query(LOG, query, size=size, page_size=10_000, token="")
            counted = self._queries.count(LOG, query, size=size)
            self.answers += 2
            self._compare(query, [(row.index, row.item) for row in page.rows], page.lacks)
            self._compare(query, counted.items, counted.lacks)

    def _query(self) -> Query:
        some = self._random
        stated: dict[str, Any] = {
            "caller": some.choice(CALLERS), "verb": some.choice(VERBS), "effect": some.choice(EFFECTS),
            "data_subject": some.choice(NAMES), "kinds": (some.choice(("decision", HEARTBEAT)),),
        }  # fmt: skip
        chosen = {name: stated[name] for name in some.sample(sorted(stated), some.choice((0, 1, 1, 2)))}
        if self._entries and some.random() < 0.4:
            chosen["from_us"] = some.choice(self._entries)["time"]
        return Query(**chosen, oldest_first=True)

    def _compare(self, query: Query, found: object, lacks: Any) -> None:
        places = self._plain(query, lacks.size)
        expected: object = places if isinstance(found, list) else len(places)
        lacking = {
            name: value
            for name, value in asdict(lacks).items()
            if name not in {"size", "unsearched", "unchecked"} and value
        }
        if found != expected or lacking:
            differs = f"{found!s:.200} instead of {expected!s:.200}"
            self.wrong.append(f"{query} over {lacks.size}: {differs}, lacks {lacking}")

    def _plain(self, query: Query, size: int) -> list[tuple[int, int]]:
        """Return the places that a reader of the first `size` entries finds."""
        start = len(self._entries)
        if start < size:
            self._entries += map(json.loads, self._log.entries(LOG, start, size))
        person = self._directory.find(LOG, query.data_subject) if query.data_subject else None
        return [
            (index, number)
            for index, entry in enumerate(self._entries[:size])
            for number, item in enumerate(entry.get("items", [{}]))
            if (not query.caller or entry.get("caller") == query.caller)
            and (not query.verb or item.get("action") == query.verb)
            and (not query.effect or item.get("effect") == query.effect)
            and (not query.kinds or entry["kind"] in query.kinds)
            and (query.from_us is None or entry["time"] >= query.from_us)
            and (person is None or item.get("resource", {}).get("owner") == person.sid)
        ]


def main() -> None:
    """Work as the argument says."""
    stated = json.loads(sys.argv[1])
    role = stated.pop("role")
    worker = Worker(**stated)
    act: Callable[[], None] = getattr(worker, role)
    act()
    print(json.dumps({"answers": worker.answers, "wrong": worker.wrong, "events": worker.events}))  # noqa: T201


if __name__ == "__main__":
    main()
