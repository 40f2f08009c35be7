"""Queries as callers ask them, and their answers."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

#: Damaged entries that an answer names, and missing persons.
MOST_DAMAGED = 100
MOST_MISSING = 100

#: Items of a count whose entries are read and compared, because that takes some 20 µs for each.
MOST_CHECKED = 1_000


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
    the filters that name a person whom the log does not know. `unchecked` are items that were counted as they were
    indexed: an entry that was damaged since is among them.
    """

    size: int
    unsearched: int = 0
    damaged: tuple[int, ...] = ()
    persons: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    unchecked: int = 0


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
