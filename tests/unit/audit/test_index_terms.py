"""Promises of the terms of entries."""

from collections.abc import Callable, Sequence
from typing import Any, cast

from linewarden.audit.directory import Directory
from linewarden.audit.entry import AccessHeader, AccessItem, decode, encode_decisions
from linewarden.audit.index.fields import ITEM, Collector, ItemTerms, item_value
from linewarden.audit.keyring import Keyring, Person, new_person_keys

KEYRING = Keyring(bytes(32))
LOG = 1


class Keys:
    """A directory of keys, which calls `meanwhile` before it answers."""

    def __init__(self, *persons: Person) -> None:
        self._persons = {person.sid: person for person in persons}
        self.meanwhile: Callable[[], None] = lambda: None

    def keys(self, _log: int, sids: Sequence[str]) -> dict[str, Person]:
        """Return persons by pseudonym."""
        self.meanwhile()
        return {sid: self._persons[sid] for sid in sids}


def _entry(owner: Person, *ids: str) -> dict[str, Any]:
    outcome = {"effect": "allow", "reason": "none"}
    items = [AccessItem("play", "fax", id, owner, owned=True, outcome=outcome, resource={}) for id in ids]
    ((data, _),) = encode_decisions(AccessHeader(1, "q", "pbx", owner, 1), items)
    return decode(data)


def test_a_thread_that_waits_for_keys_hides_no_item_from_another() -> None:
    """While one thread reads the key of a person, another one does not take the person for an erased one."""
    owner = Person(*new_person_keys())
    directory = Keys(owner)
    terms = ItemTerms(cast("Directory", directory), KEYRING).of(LOG)
    entry = _entry(owner, "i1")
    ready: list[bool] = []
    directory.meanwhile = lambda: ready.append(terms.is_ready(entry))
    terms.prepare([entry])
    assert (ready, terms.is_ready(entry)) == ([False], True)
    collected = Collector()
    terms.collect(entry, 0, collected)
    term = KEYRING.terms(LOG).of(ITEM, item_value("fax", "i1"))
    assert any(record.startswith(term) for record in collected.postings.records)


def test_each_item_of_a_batch_has_its_own_term() -> None:
    """Items of one keeper, whose ids are sealed together, are found each under its id."""
    owner = Person(*new_person_keys())
    terms = ItemTerms(cast("Directory", Keys(owner)), KEYRING).of(LOG)
    entry, collected = _entry(owner, "i1", "i2", "i1"), Collector()
    terms.prepare([entry])
    assert terms.collect(entry, 7, collected) == 3
    for id, count in (("i1", 2), ("i2", 1), ("i3", 0)):
        term = KEYRING.terms(LOG).of(ITEM, item_value("fax", id))
        assert sum(record.startswith(term) for record in collected.postings.records) == count
