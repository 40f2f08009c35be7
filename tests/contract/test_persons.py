"""Introductions of new persons: with the unit that names them first, bounded in number and rate."""

import asyncio
from collections.abc import Callable

import pytest
import sqlalchemy as sa

from linewarden.audit.directory import MAX_NEW, MAX_NEW_A_MINUTE, MAX_NEW_AT_ONCE, Directory
from linewarden.audit.entry import PERSON_INTRODUCED, decode
from linewarden.audit.errors import EffectRefused, PersonsMet, PersonsTooFast, PersonsTooMany, RevisionMoved
from linewarden.audit.keyring import Keyring
from linewarden.audit.model import Guard, Unit
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.persons import PersonStore
from linewarden.audit.store.schema import person

KEYRING = Keyring(bytes(32))


class Clock:
    """A monotonic clock that stands still until a test sets it."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now


class Direct:
    """An appender without a writer's loop."""

    def __init__(self, store: LogStore) -> None:
        self._store = store

    def append(self, unit: Unit) -> "asyncio.Future[int]":
        """Append at once."""
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        (result,) = self._store.append([unit])
        if isinstance(result, int):
            future.set_result(result)
        else:
            future.set_exception(result)
        return future


@pytest.fixture
def clock() -> Clock:
    """Return the clock of the process."""
    return Clock()


@pytest.fixture
def directories(store: LogStore, clock: Clock) -> Callable[[], Directory]:
    """Return a function that makes the directory of another process."""
    return lambda: Directory(PersonStore(store), KEYRING, Direct(store), clock)


@pytest.fixture
def directory(directories: Callable[[], Directory]) -> Directory:
    """Return the directory of a process."""
    return directories()


def persons_in(store: LogStore) -> int:
    """Return the number of persons with rows."""
    with store.reading() as connection:
        return int(connection.scalar(sa.select(sa.func.count()).select_from(person)) or 0)


async def test_persons_stand_right_before_what_names_them(store: LogStore, directory: Directory) -> None:
    """A unit with new persons has their introduction in front of it, and a later unit has none."""
    people = await directory.meet(1, [f"p{n}" for n in range(30)], 1)
    assert persons_in(store) == 0
    assert await directory.append(Unit(1, (b"{}", b"{}")), people) == 2
    kinds = [decode(entry)["kind"] for entry in store.entries(1, 0, 2)]
    assert kinds == [PERSON_INTRODUCED] * 2
    again = await directory.meet(1, ["p0", "p29"], 2)
    assert await directory.append(Unit(1, (b"{}",)), again) == 4
    assert again["p0"] is people["p0"]
    assert persons_in(store) == 30


async def test_a_unit_that_is_refused_leaves_no_persons(store: LogStore, directory: Directory) -> None:
    """A refused policy or effect leaves no persons behind, in the database or in memory."""

    def refuse(_connection: object) -> None:
        raise EffectRefused("no")

    people = await directory.meet(1, ["ann"], 1)
    with pytest.raises(RevisionMoved):
        await directory.append(Unit(1, (b"{}",), (Guard(1, 7),)), people)
    with pytest.raises(EffectRefused):
        await directory.append(Unit(1, (b"{}",), effect=refuse), people)
    assert persons_in(store) == store.head(1).size == 0
    assert directory.known(1, "ann") is None
    assert directory.find(1, "ann") is None


async def test_two_processes_that_meet_a_person_at_once_give_it_one_pseudonym(
    store: LogStore, directories: Callable[[], Directory]
) -> None:
    """The process that introduces a person second is refused, and finds the pseudonym of the first."""
    one, two = directories(), directories()
    first, second = await one.meet(1, ["zoe"], 1), await two.meet(1, ["zoe", "ida"], 1)
    assert await one.append(Unit(1, (b"{}",)), first) == 1
    with pytest.raises(PersonsMet):
        await two.append(Unit(1, (b"{}",)), second)
    assert persons_in(store) == 1
    again = await two.meet(1, ["zoe", "ida"], 2)
    assert again["zoe"].sid == first["zoe"].sid
    assert await two.append(Unit(1, (b"{}",)), again) == 3
    assert not any(b"zoe" in entry for entry in store.entries(1, 0, store.head(1).size))


async def test_persons_met_for_one_unit_are_one_group(store: LogStore, directory: Directory) -> None:
    """Persons that are named later for the same unit join its introduction and keep earlier pseudonyms."""
    first = await directory.meet(1, ["ann", "ben"], 1)
    both = await directory.meet(1, ["ben", "cem"], 1, first)
    assert both["ben"] is first["ben"]
    await directory.append(Unit(1, (b"{}",)), both)
    assert persons_in(store) == 3
    assert {name: directory.known(1, name) for name in ("ann", "ben", "cem")} == both.persons


async def test_one_unit_introduces_so_many_persons(store: LogStore, directory: Directory) -> None:
    """The directory refuses a request with too many new names; known names and an operator's do not count."""
    names = [f"p{n}" for n in range(MAX_NEW + 1)]
    with pytest.raises(PersonsTooMany) as refused:
        await directory.meet(1, names, 1)
    assert refused.value.limit == MAX_NEW
    half = await directory.meet(1, names[:600], 1)
    with pytest.raises(PersonsTooMany):
        await directory.meet(1, names, 1, half)
    await directory.append(Unit(1, ()), half)
    assert len((await directory.meet(1, names, 1)).new) == MAX_NEW + 1 - 600
    assert len((await directory.meet(1, [f"q{n}" for n in range(2 * MAX_NEW)], 1, most=None)).new) == 2 * MAX_NEW
    assert persons_in(store) == 600


async def test_a_tenant_introduces_persons_at_a_bounded_rate(directory: Directory, clock: Clock) -> None:
    """A tenant beyond its allowance learns when to try again, and another tenant is not affected."""
    for part in range(MAX_NEW_AT_ONCE // MAX_NEW):
        await directory.meet(1, [f"p{part}.{n}" for n in range(MAX_NEW)], 1)
    with pytest.raises(PersonsTooFast) as refused:
        await directory.meet(1, ["one", "more"], 1)
    assert refused.value.wait_s == pytest.approx(2 * 60 / MAX_NEW_A_MINUTE)
    assert len((await directory.meet(2, ["one", "more"], 1)).new) == 2
    clock.now = refused.value.wait_s
    assert len((await directory.meet(1, ["one", "more"], 1)).new) == 2
