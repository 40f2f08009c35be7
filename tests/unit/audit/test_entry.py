"""Promises about the bytes of entries."""

import orjson
import pytest

from linewarden.audit.entry import (
    AccessHeader,
    AccessItem,
    Requester,
    decode,
    encode,
    encode_decisions,
    encode_introduction,
    request_id_of,
    requester_of,
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


def test_an_item_of_another_person_states_its_person_and_circumstances() -> None:
    """An item with a requester states actor, circumstances and request id; its case is sealed under its own person."""
    other = Requester(BEN, purpose="billing", case="T-0815", consent="given")
    items = [_item("1"), _item("2")._replace(requester=other, request_id="r-2"), _item("3")._replace(request_id="r-3")]
    ((data, _),) = encode_decisions(HEADER, items)
    entry = decode(data)
    plain, foreign, _ = entry["items"]
    assert "actor" not in plain
    assert {name: foreign[name] for name in ("actor", "purpose", "consent", "request_id")} == {
        "actor": {"sid": BEN.sid}, "purpose": "billing", "consent": "given", "request_id": "r-2",
    }  # fmt: skip
    assert "zone" not in foreign
    assert [requester_of(entry, n).get("zone") for n in range(3)] == ["office", None, "office"]
    assert [request_id_of(entry, n) for n in range(3)] == ["r-1", "r-2", "r-3"]
    sealed = {one["sid"]: one for one in entry["enc"]}
    assert ANN.open(sealed[ANN.sid]["ct"], sealed[ANN.sid]["commit"]) == {"case": "T-4711"}
    assert BEN.open(sealed[BEN.sid]["ct"], sealed[BEN.sid]["commit"])["items.1.case"] == "T-0815"


def test_every_entry_of_a_divided_batch_names_the_person_of_its_first_item() -> None:
    """A batch of several persons that becomes several entries keeps the person of each item, and adds no other."""
    other = Requester(BEN, purpose="billing", case="T-0815")
    items = [
        _item(f"{n:03}" + "x" * 400)._replace(requester=None if n < 100 or n % 7 == 0 else other) for n in range(300)
    ]
    found: list[tuple[str, str | None, bool]] = []
    entries = [decode(data) for data, _ in encode_decisions(HEADER, items)]
    for entry in entries:
        values: dict[str, str] = {}
        for sealed in entry["enc"]:
            values |= (ANN if sealed["sid"] == ANN.sid else BEN).open(sealed["ct"], sealed["commit"])
        asked = [requester_of(entry, n) for n in range(len(entry["items"]))]
        cases = [values["case"] if one is entry else values[f"items.{n}.case"] for n, one in enumerate(asked)]
        found += [
            (one["actor"]["sid"], one.get("purpose"), case == "T-4711") for one, case in zip(asked, cases, strict=True)
        ]
        assert asked[0] is entry
    mine, yours = (ANN.sid, "quality", True), (BEN.sid, "billing", False)
    assert found == [mine if item.requester is None else yours for item in items]
    assert {entry["actor"]["sid"] for entry in entries} == {ANN.sid, BEN.sid}


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
