"""From names to pseudonyms: who is who in a tenant's log.

A person seen for the first time is introduced: one entry seals the name under the person's own new key, and the row
that links them is made in the same transaction. Later entries carry the pseudonym alone. Since an introduction holds
the lock of the log, two processes cannot give one person two pseudonyms.
"""

import asyncio
import os
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from linewarden.audit.entry import encode_introduction
from linewarden.audit.errors import EffectRefused, VerificationFailed
from linewarden.audit.keyring import Keyring, Person, new_person_keys
from linewarden.audit.model import Unit
from linewarden.audit.patience import READ_TIMEOUT_S, in_thread
from linewarden.audit.store.persons import PersonRow, PersonStore

#: Persons kept in memory over all tenants; the oldest half goes when it is full.
CACHE_LIMIT = 50_000

#: Persons looked up, or introduced, at once: so few that everybody else's turn comes soon.
_PART = 500

#: The name of nobody: items that belong to no person are sealed under a key of the tenant itself.
NOBODY = ""


class Appender(Protocol):
    """What the directory needs of the writer."""

    def append(self, unit: Unit) -> "asyncio.Future[int]":
        """Append a unit; the result is the index of its first entry."""


class Directory:
    """Names, pseudonyms and keys of the persons of all tenants."""

    def __init__(self, store: PersonStore, keyring: Keyring, appender: Appender) -> None:
        self._store = store
        self._keyring = keyring
        self._appender = appender
        self._known: dict[tuple[int, str], Person] = {}

    def known(self, log: int, name: str) -> Person | None:
        """The person, if this process has met it."""
        return self._known.get((log, name))

    def forget(self, log: int) -> None:
        """Forget the persons of a log that an operator recovered: some may be of the part that is lost."""
        self._known = {key: person for key, person in list(self._known.items()) if key[0] != log}

    async def meet(self, log: int, names: Iterable[str], now_us: int) -> dict[str, Person]:
        """The persons of these names; those the log does not know yet are introduced to it.

        Raises:
            LogUnavailable: the database failed.
        """
        persons: dict[str, Person] = {}
        missing: list[str] = []
        for name in dict.fromkeys(names):
            person = self._known.get((log, name))
            if person is None:
                missing.append(name)
            else:
                persons[name] = person
        for start in range(0, len(missing), _PART):
            persons |= await self._meet_part(log, missing[start : start + _PART], now_us)
        return persons

    async def _meet_part(self, log: int, names: list[str], now_us: int) -> dict[str, Person]:
        persons: dict[str, Person] = {}
        missing = names
        while missing:
            met = await in_thread(READ_TIMEOUT_S, self._look_up, log, missing)
            if len(met) < len(missing):
                met |= await self._introduce(log, [name for name in missing if name not in met], now_us)
            self._remember(log, met)
            persons |= met
            missing = [name for name in missing if name not in met]
        return persons

    def find(self, log: int, name: str) -> Person | None:
        """The person of that name if the log knows it; asks the database."""
        return self._look_up(log, [name]).get(name)

    def people(self, log: int, sids: Sequence[str]) -> dict[str, tuple[Person, str]]:
        """Persons and names by pseudonym; erased persons are left out."""
        people: dict[str, tuple[Person, str]] = {}
        for row in self._store.by_sid(log, sids):
            person = self._keyring.unwrap(log, row.sid, row.wrapped_key)
            people[row.sid] = (person, self._keyring.open_name(person, row.sealed_name))
        return people

    def _look_up(self, log: int, names: Sequence[str]) -> dict[str, Person]:
        tokens = {self._keyring.name_token(log, name): name for name in names}
        found: dict[str, Person] = {}
        for row in self._store.by_token(log, list(tokens)):
            person, name = self._keyring.unwrap(log, row.sid, row.wrapped_key), tokens[row.token]
            # A row that was given another's token would let one person's accesses stand under another's name.
            if self._keyring.open_name(person, row.sealed_name) != name:
                raise VerificationFailed("a person's row is not the one its token finds")
            found[name] = person
        return found

    async def _introduce(self, log: int, names: Sequence[str], now_us: int) -> dict[str, Person]:
        persons: dict[str, Person] = {}
        rows: list[PersonRow] = []
        for name in names:
            sid, keys = new_person_keys()
            person = persons[name] = Person(sid, keys)
            token, wrapped = self._keyring.name_token(log, name), self._keyring.wrap(log, sid, keys)
            rows.append(PersonRow(token, sid, wrapped, self._keyring.seal_name(person, name)))

        def insert(connection: Any) -> None:
            if not PersonStore.insert(connection, log, rows):
                raise EffectRefused("somebody else introduced the person")

        sealed = [person.seal({"name": name}, os.urandom(28)) for name, person in persons.items()]
        try:
            await self._appender.append(Unit(log, encode_introduction(now_us, sealed), effect=insert))
        except EffectRefused:
            return {}
        return persons

    def _remember(self, log: int, persons: dict[str, Person]) -> None:
        if len(self._known) + len(persons) > CACHE_LIMIT:
            for key in list(self._known)[: CACHE_LIMIT // 2]:
                del self._known[key]
        for name, person in persons.items():
            self._known[log, name] = person
