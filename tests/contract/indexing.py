"""Logs with entries to search, and an index over them."""

import asyncio
import random
from typing import Any

from linewarden.audit.directory import Directory
from linewarden.audit.entry import (
    HEARTBEAT,
    AccessHeader,
    AccessItem,
    Requester,
    encode,
    encode_decisions,
)
from linewarden.audit.index.answers import Page, Query
from linewarden.audit.index.indexer import Indexer
from linewarden.audit.index.queries import AuditQueries
from linewarden.audit.keyring import Keyring
from linewarden.audit.model import Unit
from linewarden.audit.store.index import IndexStore
from linewarden.audit.store.log import LogStore
from linewarden.audit.tree import Tree
from linewarden.audit.verified import VerifiedEntries
from linewarden.audit.writer import Writer
from tests.deadlines import HANG_S

KEYRING = Keyring(bytes(32))
FINDING = {"effect": "allow", "reason": "allowed_by_rule"}

#: Position of the first entry of log 1.
LOG = 1 << 40


def indexer_of(store: LogStore, index: IndexStore, directory: Directory) -> Indexer:
    """Return an indexer that fills an index."""
    return Indexer(store, VerifiedEntries(store, Tree(store)), index, directory, KEYRING)


def page_of(reading: AuditQueries, store: LogStore, query: Query, page_size: int = 1_000) -> Page:
    """Return the first page of a query over the whole log 1."""
    return reading.query(1, query, size=store.head(1).size, page_size=page_size, token="")


def beats(count: int) -> tuple[bytes, ...]:
    """Return entries without persons."""
    return tuple(encode(HEARTBEAT, n, {"n": n}) for n in range(count))


async def accesses(store: LogStore, directory: Directory, count: int) -> None:
    """Append so many accesses of ann, of two items each, whose owners are ann and ben."""
    persons = await directory.meet(1, ("ann", "ben"), 1)
    await directory.append(Unit(1, ()), persons)
    writer = Writer(store, batch_limit=64, queue_limit=10_000, timeout_s=HANG_S)
    appended = []
    for n in range(count):
        owner = persons["ann"] if n % 3 else persons["ben"]
        item = AccessItem("play", "recording", f"r{n}", owner, owned=True, outcome=FINDING, resource={})
        header = AccessHeader(n, f"q{n}", "pbx", persons["ann"], 1)
        ((data, _),) = encode_decisions(header, [item, item._replace(id=f"s{n}")])
        appended.append(writer.append(Unit(1, (data,))))
    await asyncio.gather(*appended)
    await writer.close()


class Sample:
    """A log of random accesses, and what a reader of all entries finds in it."""

    def __init__(self, store: LogStore, directory: Directory, seed: int) -> None:
        self._store = store
        self._directory = directory
        self._random = random.Random(seed)
        self._time = 1_000_000_000
        self._start = 0  # the size of the log before the entries that are being made
        self.rows: list[dict[str, Any]] = []

    async def grow(self, requests: int) -> None:
        """Append requests with one item or many, entries without items, and times that are a little out of order."""
        some = self._random
        names = [f"p{n}" for n in range(8)]
        persons = await self._directory.meet(1, names, self._time)
        await self._directory.append(Unit(1, ()), persons)
        self._start = self._store.head(1).size
        self.rows += [{"time": 0}] * (self._start - len(self.rows))
        data: list[bytes] = []
        for _ in range(requests):
            self._time += some.randrange(20_000_000)
            time = max(self._time - some.randrange(4_000_000), 0)
            if some.random() < 0.1:
                data.append(encode(HEARTBEAT, time, {}))
                self._note(len(data), 0, time=time, kinds="log.heartbeat")
                continue
            actor, caller = some.choice(names), some.choice(("pbx", "crm"))
            items, rows = [], []
            for _ in range(some.choice((1, 1, 1, 2, 40))):
                owner, id, verb = some.choice(names), f"i{some.randrange(30)}", some.choice(("play", "delete"))
                effect = "deny" if some.random() < 0.2 else "allow"
                outcome = {"effect": effect, "reason": "none"}
                items.append(AccessItem(verb, "fax", id, persons[owner], owned=True, outcome=outcome, resource={}))
                rows.append({"data_subject": owner, "resource_id": id, "verb": verb, "effect": effect})
                if some.random() < 0.3:
                    other = {"subject": some.choice(names), "purpose": some.choice(("", "qa")),
                             "request_id": f"i{some.randrange(10**9)}"}  # fmt: skip
                    asked = Requester(persons[other["subject"]], other["purpose"])
                    items[-1] = items[-1]._replace(requester=asked, request_id=other["request_id"])
                    rows[-1] |= other
            request = f"q{some.randrange(10**9)}"
            header = AccessHeader(time, request, caller, persons[actor], 1, purpose=some.choice(("", "qa")))
            for entry, count in encode_decisions(header, items):
                data.append(entry)
                for number, row in enumerate(rows[:count]):
                    common = {"time": time, "kinds": "decision", "caller": caller, "subject": actor}
                    common |= {"purpose": header.purpose, "request_id": request, "resource_type": "fax"}
                    self._note(len(data), number, **common | row)
                rows = rows[count:]
        for start in range(0, len(data), 500):
            self._store.append([Unit(1, tuple(data[start : start + 500]))])

    def _note(self, number: int, item: int, **row: Any) -> None:
        self.rows.append({"place": (self._start + number - 1, item), **row})

    def query(self) -> Query:
        """Return a random query that finds at least one row, unless its time excludes it."""
        some = self._random
        row = some.choice([row for row in self.rows if row.get("caller")])
        names = ["caller", "subject", "data_subject", "verb", "effect", "purpose", "request_id", "kinds", "resource_id"]
        chosen = {name: row[name] for name in some.sample(names, some.choice((0, 1, 1, 2, 3)))}
        if "kinds" in chosen:
            chosen["kinds"] = some.choice((("decision",), ("decision", "log.heartbeat"), ("log.heartbeat",)))
        if "resource_id" in chosen:
            chosen["resource_type"] = "fax"
        for name in ("from_us", "until_us"):
            if some.random() < 0.4:
                chosen[name] = some.choice(self.rows)["time"] + some.randrange(2)
        return Query(**chosen, oldest_first=some.random() < 0.5)

    def expected(self, query: Query) -> list[tuple[int, int]]:
        """Return the places that the query must find, in its order."""
        names = ("caller", "subject", "data_subject", "verb", "effect", "purpose", "request_id", "resource_id")
        places = [
            row["place"]
            for row in self.rows
            if "place" in row
            and all(not getattr(query, name) or row.get(name) == getattr(query, name) for name in names)
            and (not query.kinds or row["kinds"] in query.kinds)
            and (query.from_us is None or row["time"] >= query.from_us)
            and (query.until_us is None or row["time"] < query.until_us)
        ]
        return places if query.oldest_first else places[::-1]
