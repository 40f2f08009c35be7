"""The state that changes share: the result of a change, and the parts that it leaves as they were."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linewarden.authz.errors import PolicyDiverged
from linewarden.authz.in_force import InForce
from linewarden.authz.index import RulesByScope, most_weight, rules_of, updated_rules, weight_of
from linewarden.authz.persistent_map import PersistentMap
from linewarden.authz.rules import Rule
from linewarden.authz.statement_list import StatementList, parse_id
from linewarden.authz.statements import Statement, parse_statement

_relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

SCOPES = ["any", "own", "id:1", "id:2", "owner:ann", "owner:bob", "queue:a", "label:k=1", "label:k=2", "label:l=1"]
LISTS = [*SCOPES, "id:1,id:2", "own,queue:a", "label:k=1,label:k=2"]


def rules(count: int, scope: str = "queue:q{}") -> list[tuple[str, Rule]]:
    """Return so many rules of one role, each with a different scope."""
    made = [parse_statement(f"allow role:r play recording {scope.format(n)}") for n in range(count)]
    return [(f"1.{n}", one) for n, one in enumerate(made, 1) if isinstance(one, Rule)]


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 16_384, 16_385, 40_000])
def test_a_changed_dictionary_is_the_one_a_plain_one_would_be(size: int) -> None:
    """A changed dictionary equals a changed plain one at any size, and the earlier one stays as it was."""
    before = PersistentMap[str, int]().changed({f"k{n}": n for n in range(size)})
    after = before.changed({"k0": None, "new": 1, "k1": 7, "absent": None})
    plain = {f"k{n}": n for n in range(size)}
    assert dict(before.items()) == plain
    assert len(before) == size
    expected = {key: value for key, value in (plain | {"new": 1, "k1": 7}).items() if key != "k0"}
    assert dict(after.items()) == expected
    assert set(after) == set(expected)
    assert len(after) == len(expected)
    assert ("k0" in after, "new" in after, after.get("k0", -1), after.get("new", -1)) == (False, True, -1, 1)


def test_a_change_copies_a_small_part() -> None:
    """A change of a large dictionary copies one part in a thousand, so that its cost follows its size."""
    before = PersistentMap[str, int]().changed({f"k{n}": n for n in range(100_000)})
    after = before.changed({"new": 1})
    assert sum(one is not two for one, two in zip(before._buckets, after._buckets, strict=True)) == 1


@_relaxed
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 700)), max_size=12), st.integers())
def test_a_statement_list_is_in_the_order_of_ids(steps: list[tuple[int, int]], seed: int) -> None:
    """After any changes the pages hold the statements in force once each, in the order of their ids."""
    statement: Statement = parse_statement("bind ann role:user")
    statements, plain, some = StatementList(), list[str](), random.Random(seed)
    for revision, (percent, count) in enumerate(steps, 1):
        removed = some.sample(plain, len(plain) * percent // 40)
        added = [f"{revision}.{n}" for n in range(1, count + 1)]
        statements = statements.changed([(id, statement) for id in added], removed)
        gone = set(removed)
        plain = [id for id in plain if id not in gone] + added
        assert [id for id, _ in statements] == plain
        assert statements.count == len(plain)
    pages, place = list[str](), (0, 0)
    while page := statements.beyond(place, 300):
        pages += [id for id, _ in page]
        place = parse_id(pages[-1])
    assert pages == plain


def test_what_is_not_there_cannot_be_removed() -> None:
    """The state refuses a change that removes what it does not hold, because it was made for another state."""
    known, other = (parse_statement(line) for line in ("bind ann role:user", "bind bob role:user"))
    state = InForce().changed([("1.1", known)], [])
    for wrong in (("1.2", known), ("1.1", other), ("2.1", other)):
        with pytest.raises(PolicyDiverged):
            state.changed([], [wrong])


@_relaxed
@given(st.lists(st.sampled_from(LISTS), max_size=30), st.integers(0, 30))
def test_a_weight_does_not_depend_on_how_rules_came(scopes: list[str], kept: int) -> None:
    """A holder's weight does not depend on the order of changes, and the quick bound is no less."""
    made = [parse_statement(f"allow role:r play recording {scope} if age<{n + 1}d") for n, scope in enumerate(scopes)]
    numbered = [(f"1.{n}", one) for n, one in enumerate(made) if isinstance(one, Rule)]
    extra = [(f"2.{n}", one) for n, one in rules(300)]
    grown = RulesByScope.of([*numbered, *extra])
    shrunk = updated_rules(grown, [], dict([*numbered[kept:], *extra]))
    expected = weight_of(RulesByScope.of(numbered[:kept]))
    assert weight_of(shrunk) == weight_of(tuple(numbered[:kept])) == expected
    assert most_weight(shrunk) >= expected
    assert sorted(id for id, _ in rules_of(shrunk)) == sorted(id for id, _ in numbered[:kept])


def test_a_weight_is_what_one_item_can_meet() -> None:
    """Weights of scopes that exclude one another do not add up; those of one item do, at most sixteen of labels."""
    assert weight_of(RulesByScope.of(rules(500))) == 1
    assert weight_of(RulesByScope.of([*rules(500), *rules(500, "id:{}"), *rules(500, "owner:p{}")])) == 3
    assert weight_of(RulesByScope.of(rules(3, "label:k={}"))) == 3
    assert weight_of(RulesByScope.of(rules(500, "label:k={}"))) == 16
