"""Agreement of two checks: that of a change by what it touches, and that of the whole policy."""

import random
from collections.abc import Sequence

import pytest

from linewarden.authz.errors import LineError, PolicyInvalid
from linewarden.authz.growth import ceiling_of, raised
from linewarden.authz.limits import MAX_CANDIDATES, MAX_ROLES, MAX_ROLES_IN_ALL, MAX_RULES_ALIKE
from linewarden.authz.planning import Request, plan_amendment, plan_file
from linewarden.authz.snapshot import Snapshot
from linewarden.authz.statements import parse_document, parse_statement

ASKED = Request("acme", "admin", 1_790_000_000_000_000)
ADMIN = "allow admin change_policy policy any"

#: Roles that reach the limits of one person: 250 roles, 1,000 rules.
WIDE = [f"bind role:wide role:w{n}" for n in range(5)] + [
    f"bind role:w{n} role:w{n}-{k}" for n in range(5) for k in range(49)
]
HEAVY_MORE = [f"allow role:heavy4 play recording any if age<{n}d" for n in range(1, 251)]
HEAVY = [f"allow role:heavy{h} play recording any if age<{n}d" for h in range(4) for n in range(1, 251)]
HEAVIEST = [f"bind ann role:heavy{n}" for n in range(4)]


def snapshot_of(lines: Sequence[str], revision: int = 1) -> Snapshot:
    """Return the compiled policy of these lines."""
    return Snapshot.compile(
        revision, bytes(32), [(f"{revision}.{n}", parse_statement(line)) for n, line in enumerate(lines, 1)]
    )


def is_whole_policy(lines: Sequence[str]) -> bool:
    """Return whether the lines can be loaded as a file."""
    try:
        parse_document("\n".join(lines))
    except PolicyInvalid:
        return False
    return True


def amended(lines: Sequence[str], add: Sequence[str], remove: Sequence[str] = ()) -> tuple[LineError, ...]:
    """Return the faults of a change; an empty result if it is accepted."""
    snapshot = snapshot_of([ADMIN, *lines])
    try:
        plan_amendment(ASKED, snapshot, ceiling_of(snapshot.in_force), add, remove)
    except PolicyInvalid as wrong:
        return wrong.errors
    return ()


class Company:
    """A policy near its limits that changes at random; `seed` makes the same changes again."""

    def __init__(self, seed: int) -> None:
        self.chosen = random.Random(seed)
        self.lines = [ADMIN, *WIDE, *HEAVY, *(f"bind p{n} role:r{n % 4}" for n in range(40))]

    def line(self) -> str:
        """Return a statement about few persons and roles, so that limits are met often."""
        pick = self.chosen.choice
        roles = [*(f"role:r{n}" for n in range(6)), "role:wide", *(f"role:heavy{n}" for n in range(4)), "role:w0-1"]
        if self.chosen.random() < 0.6:
            return f"bind {pick([*(f'p{n}' for n in range(6)), *roles])} {pick(roles)}"
        scope = pick(["any", "own", "id:1", "queue:a", "label:k=1"])
        return f"allow {pick(['p1', *roles])} play recording {scope} if age<{self.chosen.randrange(1, 400)}d"

    def change(self) -> tuple[list[str], list[str]]:
        """Return some new statements to add, and some present ones to remove."""
        held = set(self.lines)
        add = {line for _ in range(self.chosen.choice([1, 1, 2, 40])) if (line := self.line()) not in held}
        removable = self.lines[1:]
        return sorted(add), self.chosen.sample(removable, min(len(removable), self.chosen.choice([0, 0, 1, 3])))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_the_verdict_on_a_change_is_that_on_the_whole_policy(seed: int) -> None:
    """A change is accepted exactly if the resulting policy can be loaded as a file, after any earlier changes."""
    company = Company(seed)
    snapshot = snapshot_of(company.lines)
    ceiling, verdicts = ceiling_of(snapshot.in_force), list[bool]()
    for _ in range(60):
        add, remove = company.change()
        after = [line for line in company.lines if line not in set(remove)] + add
        try:
            plan_amendment(ASKED, snapshot, ceiling, add, remove)
            accepted = True
        except PolicyInvalid:
            accepted = False
        assert accepted is is_whole_policy(after), (add, remove)
        verdicts.append(accepted)
        if accepted:
            company.lines = after
            numbered = [(f"{snapshot.revision + 1}.{n}", parse_statement(line)) for n, line in enumerate(add, 1)]
            gone = [(snapshot.in_force.id_of(one) or "", one) for one in map(parse_statement, remove)]
            changed = snapshot.changed(snapshot.revision + 1, bytes(32), numbered, gone)
            ceiling = raised(ceiling, snapshot.in_force, changed.in_force, [one for _, one in numbered])
            snapshot = changed
            exact = ceiling_of(snapshot.in_force)
            assert ceiling.roles >= min(exact.roles, MAX_ROLES_IN_ALL)
            assert ceiling.rules >= min(exact.rules, MAX_CANDIDATES)
            assert len(snapshot.in_force) == len(company.lines)
    assert {True, False} == set(verdicts)


def test_what_is_shown_can_be_loaded_again() -> None:
    """The statements in force, in their order, are a policy file that changes nothing."""
    company = Company(11)
    snapshot = snapshot_of(company.lines)
    ceiling = ceiling_of(snapshot.in_force)
    for _ in range(60):
        add, remove = company.change()
        try:
            change = plan_amendment(ASKED, snapshot, ceiling, add, remove)
        except PolicyInvalid:
            continue
        added = [(f"{snapshot.revision + 1}.{n}", one) for n, one in enumerate(change.added, 1)]
        removed = [(one.id, parse_statement(one.text)) for one in change.removed]
        changed = snapshot.changed(snapshot.revision + 1, bytes(32), added, removed)
        ceiling = raised(ceiling, snapshot.in_force, changed.in_force, change.added)
        snapshot = changed
    shown = "\n".join(one.text for _, one in snapshot.in_force.statements)
    again = plan_file(ASKED, snapshot, shown)
    assert (again.added, again.removed) == ((), ())


def test_persons_get_no_roles_by_way_of_their_roles_beyond_the_limit() -> None:
    """Links between roles count for every person that has them, within one request and over many."""
    person = [f"bind eve role:a{n}" for n in range(MAX_ROLES)]
    links = [f"bind role:a{n} role:a{n}-{k}" for n in range(MAX_ROLES) for k in range(15)]
    assert amended(person, links)[0].message.startswith("more than 256 roles in all")
    snapshot = snapshot_of([ADMIN, *person])
    ceiling, refused = ceiling_of(snapshot.in_force), 0
    for start in range(0, len(links), 15):
        try:
            change = plan_amendment(ASKED, snapshot, ceiling, links[start : start + 15], [])
        except PolicyInvalid:
            refused += 1
            continue
        added = [(f"{snapshot.revision + 1}.{n}", one) for n, one in enumerate(change.added, 1)]
        changed = snapshot.changed(snapshot.revision + 1, bytes(32), added, [])
        ceiling = raised(ceiling, snapshot.in_force, changed.in_force, change.added)
        snapshot = changed
    # Twelve times sixteen new roles beside sixty-four and eve; the thirteenth would be too many.
    assert refused == MAX_ROLES - 12


@pytest.mark.parametrize(
    ("policy", "add", "line", "message"),
    [
        ([f"bind ann role:r{n}" for n in range(64)], ["bind bob role:x", "bind ann role:x"], 2, "64 roles for one"),
        (
            [f"allow ann play recording any if age<{n}d" for n in range(1, MAX_RULES_ALIKE + 1)],
            ["allow ann play recording own", "allow ann play recording any"],
            2,
            "256 rules for one",
        ),
        (HEAVY, [*HEAVIEST, *(f"allow ann play recording any if age<{n}d" for n in range(1, 26))], 29, "1024 rules"),
        (["bind role:a role:b"], ["bind role:b role:c", "bind role:c role:a"], 1, "inherits itself"),
        ([f"bind role:c{n} role:c{n + 1}" for n in range(8)], ["bind role:c8 role:c9"], 1, "in a row"),
        ([f"bind role:c{n} role:c{n + 1}" for n in range(1, 9)], ["bind role:c0 role:c1"], 1, "in a row"),
    ],
    ids=["roles", "alike", "candidates", "loop", "chain below", "chain above"],
)  # fmt: skip
def test_the_statement_that_passes_a_limit_is_named(policy: list[str], add: list[str], line: int, message: str) -> None:
    """The check refuses a change at the line that passes a limit, and names the limit."""
    faults = amended(policy, add)
    assert faults[0].line == line
    assert message in faults[0].message


def test_more_rules_for_a_role_count_for_all_that_have_it() -> None:
    """The check refuses a rule for a role where a person with it and other roles would match too many rules."""
    policy = [*HEAVY, *HEAVIEST, "bind ann role:few", "bind bob role:few"]
    more = [f"allow role:few play recording any if age<{n}d" for n in range(1, 30)]
    assert amended(policy, more[:24]) == ()
    assert [fault.line for fault in amended(policy, more[:25])] == [25]


def test_a_policy_from_before_a_limit_can_be_made_smaller() -> None:
    """A policy from before a limit keeps statements beyond it; they may be removed, and none added."""
    roles = [f"bind ann role:heavy{n}" for n in range(5)]
    old = [*HEAVY, *HEAVY_MORE, *roles]
    assert not is_whole_policy(old)
    assert amended(old, [], [roles[0]]) == ()
    assert amended(old, ["bind bob role:heavy1"]) == ()
    assert amended(old, ["allow role:heavy1 play recording any"])[0].line == 1
    assert not ceiling_of(snapshot_of(old).in_force).within


def test_limits_of_roles_in_all_count_the_holder() -> None:
    """A person and its roles are 256 names at most, in a file and in a change alike."""
    chain = [f"bind role:base{n} role:base{n}-{k}" for n in range(4) for k in range(62)]
    bases = [f"bind ann role:base{n}" for n in range(4)]
    assert len({word for line in chain for word in line.split()[1:]}) == 252
    lines = [*chain, *bases, "bind ann role:x", "bind ann role:y"]
    assert is_whole_policy(lines)
    assert amended([*chain, *bases], ["bind ann role:x", "bind ann role:y", "bind ann role:z"]) == ()
    assert [fault.line for fault in amended([*chain, *bases], [f"bind ann role:x{n}" for n in range(4)])] == [4]
