"""Promises about the bytes of entries."""

import orjson
import pytest

from linewarden.audit.entry import (
    AccessHeader,
    AccessItem,
    decode,
    encode,
    encode_decisions,
    encode_introduction,
)
from linewarden.audit.errors import EntryTooLarge
from linewarden.audit.keyring import Person
from linewarden.audit.model import MAX_ENTRY_BYTES

ANN, BEN = Person("a" * 16, bytes(range(64))), Person("b" * 16, bytes(range(1, 65)))
HEADER = AccessHeader(1_800_000_000_000_000, "r-1", "pbx", ANN, 3, purpose="quality", case="T-4711", zone="office")
FINDING = {"effect": "allow", "reason": "allowed_by_rule", "rules": [{"effect": "allow", "id": "1.2", "roles": []}]}


def _item(id: str, keeper: Person = BEN) -> AccessItem:
    return AccessItem("play", "recording", id, keeper, owned=True, outcome=FINDING, resource={"queue": "sales"})


def test_an_entry_has_sorted_keys_and_no_personal_value_in_clear() -> None:
    """An entry has sorted keys, seals ids and case references under their persons, and names persons by pseudonym."""
    ((data, count),) = encode_decisions(HEADER, [_item("out-15550100-1001.wav")])
    entry = decode(data)
    assert count == 1
    assert data == orjson.dumps(entry, option=orjson.OPT_SORT_KEYS)
    assert b"15550100" not in data
    assert b"T-4711" not in data
    values: dict[str, str] = {}
    for sealed, person in zip(entry["enc"], (ANN, BEN), strict=True):
        assert sealed["sid"] == person.sid
        values |= person.open(sealed["ct"], sealed["commit"])
    assert values == {"case": "T-4711", "items.0.id": "out-15550100-1001.wav"}
    assert entry["items"][0]["resource"]["owner"] == BEN.sid


def test_a_batch_seals_once_for_each_person() -> None:
    """Fifty items of two owners cost two encryptions."""
    items = [_item(str(n), ANN if n % 2 else BEN) for n in range(50)]
    ((data, count),) = encode_decisions(HEADER._replace(case=""), items)
    assert count == 50
    assert len(decode(data)["enc"]) == 2


def test_a_batch_that_passes_the_limit_becomes_several_entries_in_order() -> None:
    """No entry is as large as the limit, and the items stay in their order."""
    items = [_item(f"{n:03}" + "x" * 400) for n in range(300)]
    entries = encode_decisions(HEADER, items)
    assert len(entries) > 1
    assert sum(count for _, count in entries) == 300
    ids: list[str] = []
    for data, count in entries:
        assert len(data) < MAX_ENTRY_BYTES
        values: dict[str, str] = {}
        for sealed in decode(data)["enc"]:
            person = ANN if sealed["sid"] == ANN.sid else BEN
            values |= person.open(sealed["ct"], sealed["commit"])
        ids += [values[f"items.{n}.id"] for n in range(count)]
    assert ids == [item.id for item in items]


def test_what_cannot_be_an_entry_is_refused() -> None:
    """A single thing that is too large for an entry raises an error and is never cut."""
    with pytest.raises(EntryTooLarge):
        encode("x.y", 1, {"text": "x" * MAX_ENTRY_BYTES})
    with pytest.raises(EntryTooLarge):
        encode_decisions(HEADER, [_item("x" * MAX_ENTRY_BYTES)])


def test_introductions_of_many_persons_fit_into_entries() -> None:
    """Persons with the longest names come in groups that stay below the limit."""
    sealed = [ANN.seal({"name": "\N{SNOWMAN}" * 133}, bytes(28)) for _ in range(100)]
    entries = encode_introduction(1, sealed)
    assert sum(len(decode(data)["enc"]) for data in entries) == 100
    assert all(len(data) < MAX_ENTRY_BYTES for data in entries)
