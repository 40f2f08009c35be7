"""Assignments: who held an address, compared with a naive list, and the limits and lines of their files."""

import random
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linewarden.authz.assignments import (
    MAX_ASSIGNMENTS,
    MAX_HOLDERS,
    TOO_MANY_ASSIGNMENTS,
    TOO_MANY_HOLDERS,
    Assignment,
    Assignments,
    fault_of,
)
from linewarden.authz.errors import LineError, PolicyDiverged, PolicyInvalid
from linewarden.authz.growth import Ceiling
from linewarden.authz.lockout import compiled
from linewarden.authz.planning import Request, plan_amendment, plan_file
from linewarden.authz.pseudonyms import keeper_of, persons_of, pseudonymous
from linewarden.authz.snapshot import Snapshot
from linewarden.authz.statements import canonical_document, lint, parse_document, parse_statement

_SECOND = 1_000_000
_REQUEST = Request("acme", "ann", 1)
_ADMIN = "allow ann change_policy policy any"
_JULY, _SEPTEMBER = 1_782_864_000 * _SECOND, 1_788_220_800 * _SECOND

_bound = st.none() | st.integers(0, 30).map(lambda second: second * _SECOND)
_some = st.builds(Assignment, st.sampled_from(["ext:1", "ext:2"]), st.sampled_from("abcde"), _bound, _bound).filter(
    lambda one: one.from_us is None or one.until_us is None or one.from_us < one.until_us
)


def naive(assignments: Sequence[Assignment], address: str, at_us: int | None) -> set[str]:
    """Return the holders of an address as the definition says."""
    mine = [one for one in assignments if one.address == address]
    if at_us is None:
        return {one.person for one in mine if one.from_us is None and one.until_us is None}
    return {
        one.person
        for one in mine
        if (one.from_us is None or one.from_us <= at_us) and (one.until_us is None or at_us < one.until_us)
    }


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_some, max_size=60, unique=True), st.integers(0, 60), st.integers())
def test_the_holders_are_those_of_a_naive_list(made: list[Assignment], kept: int, seed: int) -> None:
    """After any changes the holders at every instant are those of a naive list, each once, in one order."""
    numbered = [(f"1.{n}", one) for n, one in enumerate(made, 1)]
    random.Random(seed).shuffle(numbered)
    before = Assignments().changed(numbered, [])
    after = before.changed([], numbered[kept:])
    again = Assignments().changed(sorted(numbered[:kept]), [])
    for state, left in ((before, numbered), (after, numbered[:kept])):
        plain = [one for _, one in left]
        assert state.count == len(plain)
        assert [state.id_of(one) for one in plain] == [id for id, _ in left]
        for address in ("ext:1", "ext:2", "ext:3"):
            for at_us in (None, *(second * _SECOND for second in range(32)), 5 * _SECOND - 1):
                found = state.holders(address, at_us)
                assert set(found) == naive(plain, address, at_us)
                assert len(set(found)) == len(found)
                assert state is before or found == again.holders(address, at_us)


def test_a_reassigned_extension_has_the_holder_of_the_time() -> None:
    """A reassigned extension is its first holder's before the change, and its second holder's from that instant on."""
    state = compiled(
        map(
            parse_statement,
            [
                "assign ext:1001@internal zed until=2026-09-01T00:00:00Z",
                "assign ext:1001@internal amy from=2026-09-01T00:00:00Z",
            ],
        )
    ).in_force
    at = [state.holders("ext:1001@internal", _SEPTEMBER + us) for us in (-1, 0)]
    assert at == [("zed",), ("amy",)]
    assert state.holders("ext:1001@internal", None) == ()
    assert state.holders("ext:1001", _SEPTEMBER) == ()


def test_what_is_not_assigned_cannot_be_removed() -> None:
    """A change that removes an assignment that is not in force is refused, because it was made for another state."""
    state = Assignments().changed([("1.1", Assignment("ext:1", "a"))], [])
    for wrong in (("1.2", Assignment("ext:1", "a")), ("1.1", Assignment("ext:1", "b"))):
        with pytest.raises(PolicyDiverged):
            state.changed([], [wrong])
    assert state.changed([], []) is state


@pytest.mark.parametrize(("line", "canonical"), [
    ("assign ext:1001 ann", "assign ext:1001 ann"),
    ('assign "tel:+49 30 123456" "Ann Smith"', 'assign tel:+4930123456 "Ann Smith"'),
    ("assign mailbox:1 ann until=2026-07-01T00:00Z  # gone", "assign mailbox:1@default ann until=2026-07-01T00:00:00Z"),
    ("assign ext:1 //vendor/otto until=2026-09-01T00:00:00Z from=2026-07-01T00:00:00Z",
     "assign ext:1 //vendor/otto from=2026-07-01T00:00:00Z until=2026-09-01T00:00:00Z"),
])  # fmt: skip
def test_an_assignment_has_one_canonical_text(line: str, canonical: str) -> None:
    """A line of a file becomes one canonical text, which means the same."""
    statement = parse_statement(line)
    assert statement.text == canonical
    assert parse_statement(canonical) == statement


@pytest.mark.parametrize(("line", "says"), [
    ("assign ext:1", "incomplete"),
    ("assign ext:1,ext:2 ann", "more than one address"),
    ("assign ext:1 role:user", "held by persons"),
    ("assign ext:1 everyone", "held by persons"),
    ("assign ext:1 queue:sales", "held by persons"),
    ("assign phone:1 ann", "no known kind"),
    ("assign tel:030123456 ann", "no country code"),
    ("assign ext:1 ann purpose=legal", "unexpected words"),
    ("assign ext:1 ann from=2026-09-01T00:00:00Z until=2026-07-01T00:00:00Z", "not before"),
    ("assign ext:1 ann until=tomorrow", "time is invalid"),
])  # fmt: skip
def test_wrong_assignments_are_refused(line: str, says: str) -> None:
    """A wrong line is refused, and the error says what is wrong."""
    with pytest.raises(PolicyInvalid) as caught:
        parse_statement(line)
    assert says in caught.value.errors[0].message


def test_the_limits_are_on_one_address_and_one_instant() -> None:
    """As many assignments of an address may overlap as the limit says, and as many may follow one another."""
    assert fault_of([Assignment("ext:1", f"p{n}") for n in range(MAX_HOLDERS)]) == ""
    assert fault_of([Assignment("ext:1", f"p{n}") for n in range(MAX_HOLDERS + 1)]) == TOO_MANY_HOLDERS
    row = [Assignment("ext:1", "p", n * _SECOND, (n + 1) * _SECOND) for n in range(MAX_ASSIGNMENTS + 1)]
    assert fault_of(row[1:]) == ""
    assert fault_of(row) == TOO_MANY_ASSIGNMENTS


def test_a_file_and_a_change_keep_the_same_limits() -> None:
    """A file and a change that exceed a limit are refused at the line that exceeds it."""
    lines = [f"assign mailbox:1 p{n}" for n in range(MAX_HOLDERS + 1)]
    with pytest.raises(PolicyInvalid) as caught:
        parse_document("\n".join(lines), assignments=True)
    assert caught.value.errors == (LineError(MAX_HOLDERS + 1, TOO_MANY_HOLDERS),)
    snapshot = compiled(map(parse_statement, [_ADMIN, *lines[:-1]]))
    with pytest.raises(PolicyInvalid) as caught:
        plan_amendment(_REQUEST, snapshot, Ceiling(9, 9), [lines[-1]], [])
    assert caught.value.errors == (LineError(1, TOO_MANY_HOLDERS),)
    assert (
        plan_amendment(_REQUEST, snapshot, Ceiling(9, 9), [lines[-1]], [lines[0]])
        .added[0]
        .text.endswith(f"p{MAX_HOLDERS}")
    )


def _loaded() -> Snapshot:
    return compiled(map(parse_statement, [_ADMIN, "bind bob role:user", "assign ext:1 bob", "assign ext:2 bob"]))


def test_loading_rules_keeps_assignments_and_the_other_way_round() -> None:
    """A file of rules replaces rules and bindings only, and a file of assignments replaces assignments only."""
    rules = plan_file(_REQUEST, _loaded(), _ADMIN)
    assert ([one.text for one in rules.removed], rules.added) == (["bind bob role:user"], ())
    assignments = plan_file(_REQUEST, _loaded(), "assign ext:1 bob\nassign ext:3 bob", assignments=True)
    assert [one.text for one in assignments.removed] == ["assign ext:2 bob"]
    assert [one.text for one in assignments.added] == ["assign ext:3 bob"]
    empty = plan_file(_REQUEST, _loaded(), "", assignments=True)
    assert [one.text for one in empty.removed] == ["assign ext:1 bob", "assign ext:2 bob"]


@pytest.mark.parametrize(("text", "assignments", "line"), [
    ("# mine\nassign ext:1 bob", False, 2),
    (_ADMIN, True, 1),
    (f"{_ADMIN}\nassign ext:1 bob", False, 2),
    (f"assign ext:1 bob\n{_ADMIN}", True, 2),
])  # fmt: skip
def test_a_file_of_the_other_kind_is_refused(text: str, assignments: bool, line: int) -> None:
    """A file of the other kind, or of both, is refused at the line that does not belong there."""
    with pytest.raises(PolicyInvalid) as caught:
        plan_file(_REQUEST, _loaded(), text, assignments=assignments)
    assert [one.line for one in caught.value.errors] == [line]


def test_a_record_of_an_assignment_names_neither_person_nor_address() -> None:
    """The log states an assignment with a pseudonym and the kind of the address, which is sealed for the person."""
    statement = parse_statement("assign tel:+4930123456 ann from=2026-07-01T00:00:00Z")
    assert persons_of(statement) == ("ann",)
    assert keeper_of(statement) == "ann"
    text, sealed = pseudonymous(statement, lambda _name: "sid:1")
    assert (text, sealed) == ("assign tel:0 sid:1 from=2026-07-01T00:00:00Z", ("tel:+4930123456",))


def test_a_forgotten_end_is_a_warning() -> None:
    """The lint warns of an assignment without an end if another person got the address later, and of no other one."""
    text = "assign ext:1 zed\nassign ext:1 amy from=2026-07-01T00:00:00Z\nassign mailbox:1 zed\nassign mailbox:1 amy"
    assert [one.line for one in lint(text)] == [1]
    assert lint("assign ext:1 zed until=2026-07-01T00:00:00Z\nassign ext:1 amy from=2026-07-01T00:00:00Z") == ()


def test_a_file_with_national_numbers_is_made_canonical() -> None:
    """The numbers of a file get the country code of the region, and each statement keeps its line."""
    text = "# telephones\nassign tel:030123456 ann\n\nassign ext:1 bob # desk"
    assert canonical_document(text, "DE") == "\nassign tel:+4930123456 ann\n\nassign ext:1 bob"
    with pytest.raises(PolicyInvalid):
        canonical_document(text, "")
