"""Snapshots as a server uses them: swapped under load, changed step by step, asked about unknown names."""

import sys
import threading
from collections.abc import Iterator

import pytest

from linewarden.audit.cache import Budget
from linewarden.authz.errors import PolicyDiverged
from linewarden.authz.model import Context, Reason, Resource, ResourceType, Verb
from linewarden.authz.rules import Statement
from linewarden.authz.snapshot import Snapshot
from linewarden.authz.statements import parse_statement

HASH = bytes(32)
MEGABYTE = 1 << 20
HERE = Context(1_790_000_000_000_000)
ITEM = Resource(ResourceType.RECORDING, "1", owner="ann", queue="sales")


def _numbered(*lines: str, revision: int = 1) -> list[tuple[str, Statement]]:
    return [(f"{revision}.{place}", parse_statement(line)) for place, line in enumerate(lines, 1)]


def _many(count: int) -> list[tuple[str, Statement]]:
    return _numbered(*(f"allow role:user play recording id:{number}" for number in range(count)))


@pytest.fixture
def quick_switches() -> Iterator[None]:
    """Let threads take turns as often as the interpreter can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("quick_switches")
def test_readers_beside_swaps_see_whole_policies() -> None:
    """Readers on several threads never see a policy that was never in force, while it keeps changing.

    In every revision exactly one of two rules allows, and one queue is denied: an answer made of two revisions would
    allow by both rules, by neither, or despite the deny.
    """
    fixed = _numbered(
        *("bind ann role:user", "bind role:user role:all", "deny role:all play recording queue:secret"),
        *(f"bind p{number} role:user" for number in range(50)),
    )
    turns = [_numbered(f"allow role:{role} play recording any", revision=2)[0] for role in ("user", "all")]
    # One id for both, because they are never in force together; the path tells them apart.
    current = [Snapshot.compile(1, HASH, [*fixed, turns[0]])]
    wrong: list[object] = []
    stop = threading.Event()

    def read(number: int) -> None:
        while not stop.is_set():
            snapshot = current[0]
            role = ("role:all", "role:user")[snapshot.revision % 2]
            for person, expected in (("ann", [role]), (f"p{number}", [role]), ("eve", [])):
                decision = snapshot.decide(person, Verb.PLAY, ITEM, HERE)
                if [match.roles[-1] for match in decision.matched] != expected or decision.allowed is not bool(
                    expected
                ):
                    wrong.append(decision)
                secret = Resource(ResourceType.RECORDING, "1", queue="secret")
                if snapshot.decide(person, Verb.PLAY, secret, HERE).allowed:
                    wrong.append(person)

    readers = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for reader in readers:
        reader.start()
    for revision in range(2, 1500):
        now, before = turns[(revision + 1) % 2], turns[revision % 2]
        current[0] = current[0].changed(revision, HASH, [now], [before])
    stop.set()
    for reader in readers:
        reader.join()
    assert not wrong


@pytest.mark.slow
@pytest.mark.usefixtures("quick_switches")
def test_a_shared_cache_gives_no_person_the_rights_of_others() -> None:
    """Threads that evict each other's values from the caches of one snapshot get each person's right answer."""
    count = 24_000
    rules = _numbered(*(f"allow p{n} {'play' if n % 2 else 'download'} recording any" for n in range(count)))
    snapshot = Snapshot.compile(1, HASH, rules, Budget(4 * MEGABYTE))
    wrong: list[int] = []

    def read(start: int) -> None:
        for step in range(count // 2):
            number = (start + step * 7919) % count
            if snapshot.decide(f"p{number}", Verb.PLAY, ITEM, HERE).allowed is not bool(number % 2):
                wrong.append(number)

    readers = [threading.Thread(target=read, args=(start,)) for start in range(0, count, count // 4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert not wrong


def test_unknown_names_are_not_remembered() -> None:
    """Unknown names leave nothing behind in a snapshot."""
    snapshot = Snapshot.compile(1, HASH, _numbered("bind ann role:user", "allow role:user play recording any"))
    for number in range(1000):
        for name in (f"x{number}", f"//t/x{number}", f"role:x{number}"):
            assert not snapshot.decide(name, Verb.PLAY, ITEM, HERE).allowed
    assert len(snapshot._of_person) == len(snapshot._of_roles) == 0


def test_persons_with_the_same_roles_share_explanations_and_not_names() -> None:
    """Persons with the same roles share an explanation that names neither, and a rule of one person is for it alone."""
    lines = ("bind ann role:user", "bind bob role:user", "bind eve role:user", "allow role:user play recording any")
    snapshot = Snapshot.compile(1, HASH, _numbered(*lines, "deny eve play recording any"))
    ann, bob, eve = (snapshot.decide(person, Verb.PLAY, ITEM, HERE) for person in ("ann", "bob", "eve"))
    assert ann.explanation is bob.explanation
    assert [one.role_path(one.matched[0]) for one in (ann, bob)] == [("ann", "role:user"), ("bob", "role:user")]
    assert (eve.reason, eve.role_path(eve.matched[0])) == (Reason.DENIED_BY_RULE, ("eve",))
    assert "ann" not in repr(ann.explanation)


def test_the_bound_of_an_explanation_counts_the_name_of_the_person() -> None:
    """A person with a long name gets fewer rules in an answer than one with the same roles and a short name."""
    rules = _numbered(*(f"allow role:user play recording any if age<{n}d" for n in range(1, 60)))
    persons = ("ann", "a" * 300)
    snapshot = Snapshot.compile(
        1, HASH, [*rules, *_numbered(*(f"bind {one} role:user" for one in persons), revision=2)]
    )
    item = Resource(ResourceType.RECORDING, "1", created_us=HERE.now_us)
    short, long = (snapshot.decide(one, Verb.PLAY, item, HERE) for one in persons)
    assert len(short.matched) > 5 * len(long.matched) > 0
    for one in (short, long):
        assert len(one.matched) + one.explanation.more_matched == 59


@pytest.mark.parametrize("count", [1, 8, 9, 100])
def test_rules_come_and_go(count: int) -> None:
    """A removed rule no longer decides, and all others still do, for roles with few and with many rules."""
    rules = _many(count)
    snapshot = Snapshot.compile(1, HASH, [*_numbered("bind ann role:user", revision=9), *rules])
    for left in range(count, 0, -1):
        last = Resource(ResourceType.RECORDING, str(left - 1))
        assert snapshot.decide("ann", Verb.PLAY, last, HERE).allowed
        snapshot = snapshot.changed(count - left + 2, HASH, [], [rules[left - 1]])
        assert snapshot.decide("ann", Verb.PLAY, last, HERE).reason is Reason.NO_MATCHING_RULE
        if left > 1:
            assert snapshot.decide("ann", Verb.PLAY, Resource(ResourceType.RECORDING, "0"), HERE).allowed


@pytest.mark.parametrize("count", [0, 1, 8, 9, 100])
def test_removing_what_is_not_there_is_an_error(count: int) -> None:
    """A snapshot refuses a change that removes a missing statement, because it was made for another snapshot."""
    snapshot = Snapshot.compile(1, HASH, [*_numbered("bind ann role:user", revision=9), *_many(count)])
    for line in ("allow role:user play recording id:0", "bind ann role:head", "bind bob role:user"):
        with pytest.raises(PolicyDiverged):
            snapshot.changed(2, HASH, [], [("7.7", parse_statement(line))])


def test_a_binding_made_twice_stays_until_both_are_gone() -> None:
    """A role with two bindings stays after one of them is removed."""
    twice = [("1.1", parse_statement("bind ann role:user")), ("1.2", parse_statement("bind ann role:user"))]
    snapshot = Snapshot.compile(1, HASH, [*twice, *_numbered("allow role:user play recording any", revision=2)])
    once = snapshot.changed(2, HASH, [], twice[:1])
    assert once.decide("ann", Verb.PLAY, ITEM, HERE).allowed
    assert not once.changed(3, HASH, [], twice[1:]).decide("ann", Verb.PLAY, ITEM, HERE).allowed


@pytest.mark.parametrize("backwards", [False, True])
def test_answers_change_on_the_microsecond(backwards: bool) -> None:
    """A snapshot's answer changes on the very microsecond of an age or a window's end."""
    ages = Snapshot.compile(1, HASH, _numbered("allow ann play recording any if age>=30s if age<1m"))
    window = "allow ann play recording any if from=2026-09-21T14:13:20Z if until=2026-09-21T14:13:50Z"
    windows = Snapshot.compile(1, HASH, _numbered(window))
    second = 1_000_000
    steps = [step for edge in (0, 30 * second) for step in (edge - 1, edge, edge + 1)]
    for step in reversed(steps) if backwards else steps:
        inside = 0 <= step < 30 * second
        item = Resource(ResourceType.RECORDING, "1", created_us=HERE.now_us - 30 * second - step)
        assert ages.decide("ann", Verb.PLAY, item, HERE).allowed is inside
        assert windows.decide("ann", Verb.PLAY, item, Context(HERE.now_us + step)).allowed is inside


def test_a_snapshot_knows_its_revision() -> None:
    """A snapshot says which revision it is, and with which hash."""
    snapshot = Snapshot.compile(3, b"a" * 32, ()).changed(4, b"b" * 32, (), ())
    assert (snapshot.revision, snapshot.hash) == (4, b"b" * 32)


def test_labels_that_could_be_taken_for_others_are_refused() -> None:
    """The snapshot refuses a label whose key holds the sign between key and value."""
    snapshot = Snapshot.compile(1, HASH, _numbered("allow ann play recording label:a=b=c"))
    assert snapshot.decide("ann", Verb.PLAY, Resource(ResourceType.RECORDING, "1", labels={"a": "b=c"}), HERE).allowed
    with pytest.raises(ValueError, match="the key of a label has `=` in it"):
        snapshot.decide("ann", Verb.PLAY, Resource(ResourceType.RECORDING, "1", labels={"a=b": "c"}), HERE)
