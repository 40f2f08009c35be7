"""The directory of persons: from names to pseudonyms in a tenant's log.

A person who is new to the log is introduced: an entry seals the name under the person's own new key, and a row links
name and pseudonym. Both are part of the unit whose entries name the person first, so that a refused or failed request
leaves no persons behind. Later entries have only the pseudonym. Because a unit holds the lock of the log, two processes
cannot give one person two pseudonyms: the second unit fails with PersonsMet and is built again.

New persons are limited for each request, and for each tenant by rate, because a name of a few bytes causes a row and an
entry of a kilobyte.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from linewarden.audit.allowance import Allowance
from linewarden.audit.blocking import READ_TIMEOUT_S, in_thread
from linewarden.audit.cache import Budget, Cache
from linewarden.audit.entry import encode_introduction
from linewarden.audit.errors import PersonsMet, PersonsTooFast, PersonsTooMany, VerificationFailed
from linewarden.audit.keyring import Keyring, Person, new_person_keys
from linewarden.audit.model import Unit
from linewarden.audit.store.persons import PersonRow, PersonStore

#: Most bytes of the cache of persons, over all tenants.
REMEMBERED_BYTES = 32 * 1024 * 1024

#: Persons that one request may introduce.
MAX_NEW = 1_000

#: Persons that one tenant may introduce through one process: at once, and per minute in the long run.
MAX_NEW_AT_ONCE = 10_000
MAX_NEW_A_MINUTE = 6_000

#: Persons looked up, and created, without a pause: so few that other requests do not wait long.
_LOOKED_UP = 500
_MADE = 25

_PERSON_BYTES = 1_100

#: The name under which the tenant's own key is kept, for items that belong to no person.
TENANT_KEY_HOLDER = ""


class UnitAppender(Protocol):
    """The part of the writer that the directory uses."""

    def append(self, unit: Unit) -> "asyncio.Future[int]":
        """Append a unit. The result is the id of its first entry."""


@dataclass(frozen=True, slots=True)
class People:
    """Persons by name, and the introduction of those that the log does not know.

    `entries` and `rows` must precede the entries that name these persons; see `Directory.append`.
    """

    persons: Mapping[str, Person]
    new: Mapping[str, Person] = field(default_factory=dict)
    entries: tuple[bytes, ...] = ()
    rows: tuple[PersonRow, ...] = ()

    def __getitem__(self, name: str) -> Person:
        return self.persons[name]

    def introduced_in(self, unit: Unit) -> Unit:
        """Return the unit with the introduction before its own entries."""
        if not self.rows:
            return unit
        log_id, rows, effect = unit.log, self.rows, unit.effect

        def introduce(connection: Any) -> None:
            if not PersonStore.insert(connection, log_id, rows):
                raise PersonsMet("another unit introduced one of the persons first")
            if effect is not None:
                effect(connection)

        return unit._replace(entries=self.entries + unit.entries, effect=introduce)


#: No persons yet.
NO_PEOPLE = People({})


class Directory:
    """Names, pseudonyms and keys of the persons of all tenants."""

    def __init__(
        self,
        store: PersonStore,
        keyring: Keyring,
        appender: UnitAppender,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._keyring = keyring
        self._appender = appender
        self._known: Cache[tuple[int, str], Person] = Cache(Budget(REMEMBERED_BYTES))
        self._allowance = Allowance(MAX_NEW_AT_ONCE, MAX_NEW_A_MINUTE / 60, monotonic)

    def known(self, log_id: int, name: str) -> Person | None:
        """Return a person that this process has cached; None otherwise."""
        return self._known.get((log_id, name))

    def forget(self, log_id: int) -> None:  # noqa: ARG002 - a recovery is rare, and all persons can be read again
        """Drop the cached persons of a log that an operator recovered, because some may be lost with its tail."""
        self._known = Cache(Budget(REMEMBERED_BYTES))

    async def meet(
        self, log_id: int, names: Iterable[str], now_us: int, among: People = NO_PEOPLE, most: int | None = MAX_NEW
    ) -> People:
        """Return the persons of these names, together with `among`, those of the same unit so far.

        A person that the log does not know is created, and is introduced by the unit that is appended. `most` is how
        many persons the whole unit may introduce; None is for the operator, whose persons are not counted.

        Raises:
            PersonsTooMany: the unit would introduce more than `most`.
            PersonsTooFast: the tenant introduced too many persons recently.
            LogUnavailable: the database failed.
        """
        persons = dict(among.persons)
        missing: list[str] = []
        for name in dict.fromkeys(names):
            person = persons.get(name) or self._known.get((log_id, name))
            if person is None:
                missing.append(name)
            else:
                persons[name] = person
        for start in range(0, len(missing), _LOOKED_UP):
            stored = await in_thread(READ_TIMEOUT_S, self._look_up, log_id, missing[start : start + _LOOKED_UP])
            self._remember(log_id, stored)
            persons |= stored
        unknown = [name for name in missing if name not in persons]
        if not unknown:
            return People(persons, among.new, among.entries, among.rows)
        if most is not None:
            self._admit(log_id, len(unknown), len(among.new), most)
        return await self._create(log_id, unknown, now_us, People(persons, among.new, among.entries, among.rows))

    async def append(self, unit: Unit, people: People) -> int:
        """Append a unit after the introduction of its persons. Return the id of the unit's own first entry.

        Raises:
            PersonsMet: another unit introduced one of the persons first; nothing was recorded.
            RevisionMoved, EffectRefused, TenantUnknown, LogUnavailable: see `Writer.append`.
        """
        first = await self._appender.append(people.introduced_in(unit))
        self._remember(unit.log, people.new)
        return first + len(people.entries)

    def find(self, log_id: int, name: str) -> Person | None:
        """Return the person of a name if the log has one. Reads the database."""
        return self._look_up(log_id, [name]).get(name)

    def people(self, log_id: int, sids: Sequence[str]) -> dict[str, tuple[Person, str]]:
        """Return persons and their names by pseudonym. Erased persons are left out."""
        people: dict[str, tuple[Person, str]] = {}
        for row in self._store.by_sid(log_id, sids):
            person = self._keyring.unwrap(log_id, row.sid, row.wrapped_key)
            people[row.sid] = (person, self._keyring.open_name(person, row.sealed_name))
        return people

    def keys(self, log_id: int, sids: Sequence[str]) -> dict[str, Person]:
        """Return persons by pseudonym, without their names. Erased persons are left out."""
        rows = self._store.by_sid(log_id, sids)
        return {row.sid: self._keyring.unwrap(log_id, row.sid, row.wrapped_key) for row in rows}

    def _look_up(self, log_id: int, names: Sequence[str]) -> dict[str, Person]:
        tokens = {self._keyring.name_token(log_id, name): name for name in names}
        persons: dict[str, Person] = {}
        for row in self._store.by_token(log_id, list(tokens)):
            person, name = self._keyring.unwrap(log_id, row.sid, row.wrapped_key), tokens[row.token]
            # A row with the token of another person would record one person's accesses under another's name.
            if self._keyring.open_name(person, row.sealed_name) != name:
                raise VerificationFailed("the row of a person has the token of another person: restore the table")
            persons[name] = person
        return persons

    def _admit(self, log_id: int, count: int, before: int, most: int) -> None:
        if before + count > most:
            raise PersonsTooMany(most)
        wait_s = self._allowance.take(log_id, count)
        if wait_s:
            raise PersonsTooFast(wait_s)

    async def _create(self, log_id: int, names: Sequence[str], now_us: int, among: People) -> People:
        new: dict[str, Person] = {}
        rows: list[PersonRow] = []
        sealed = []
        for number, name in enumerate(names, 1):
            sid, keys = new_person_keys()
            person = new[name] = Person(sid, keys)
            token, wrapped = self._keyring.name_token(log_id, name), self._keyring.wrap(log_id, sid, keys)
            rows.append(PersonRow(token, sid, wrapped, self._keyring.seal_name(person, name)))
            sealed.append(person.seal({"name": name}, os.urandom(28)))
            if number % _MADE == 0:
                await asyncio.sleep(0)
        entries = among.entries + encode_introduction(now_us, sealed)
        return People({**among.persons, **new}, {**among.new, **new}, entries, among.rows + tuple(rows))

    def _remember(self, log_id: int, persons: Mapping[str, Person]) -> None:
        for name, person in persons.items():
            self._known.put((log_id, name), person, _PERSON_BYTES + 4 * len(name))
