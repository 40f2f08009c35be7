"""Limits on a policy's cost for every decision."""

import pytest

from linewarden.authz.errors import PolicyInvalid
from linewarden.authz.limits import MAX_ROLES, MAX_ROLES_IN_ALL, MAX_RULES_ALIKE
from linewarden.authz.statements import parse_document

RULES = [f"allow role:a play recording any if age<{n}d" for n in range(1, MAX_RULES_ALIKE + 2)]
ROLES = [f"bind ann role:r{n}" for n in range(MAX_ROLES + 1)]
#: A person with six roles that have fifty each.
MANY = [f"bind ann role:m{n}" for n in range(6)] + [
    f"bind role:m{n} role:n{n}-{k}" for n in range(6) for k in range(50)
]
#: Rules that can all match one item, in roles that one person has: 16 roles of 256 rules.
SIXTEEN = [f"allow role:h{n} play recording any if zone=z{k}" for n in range(16) for k in range(256)]
HEAVY = [*SIXTEEN, *(f"bind eve role:h{n}" for n in range(16))]
#: A role beyond the limit by itself, and many holders of it: the check names the role alone.
ALONE = [f"allow role:h play recording queue:q,{scope} if age<{k}d" for scope in ("own", "id:1") for k in range(1, 129)]
ALONE += [f"allow role:h play recording {scope} if age<{k}d" for scope in ("owner:a", "any") for k in range(1, 257)]
ALONE += [f"allow role:h play recording label:a=1 if age<{k}d" for k in range(1, 257)]
ALONE += ["bind role:i role:h", *(f"bind p{n} role:i" for n in range(50))]


@pytest.mark.parametrize(
    ("lines", "line"),
    [(RULES, MAX_RULES_ALIKE + 1), (ROLES, MAX_ROLES + 1), (MANY, 6), (HEAVY, len(HEAVY)), (ALONE, len(ALONE) - 51)],
    ids=["rules", "roles", "in all", "candidates", "candidates of a role"],
)
def test_what_every_decision_would_pay_for_is_refused(lines: list[str], line: int) -> None:
    """The check refuses too many rules or roles for one person, at the line that passes the limit."""
    with pytest.raises(PolicyInvalid) as refused:
        parse_document("\n".join(lines))
    assert [error.line for error in refused.value.errors] == [line]


def test_what_is_just_within_the_limits_is_a_policy() -> None:
    """The check accepts a policy at its limits, and does not add up rules of different scopes."""
    within = [*RULES[:-1], *ROLES[:-1], *(f"allow role:a play recording queue:q{n}" for n in range(2_000))]
    assert len(parse_document("\n".join(within))) == len(within)


def test_roles_that_meet_again_count_once() -> None:
    """Six roles that inherit the same fifty give a person fifty-six, which is within the limit."""
    shared = [f"bind role:m{n} role:n{k}" for n in range(6) for k in range(50)]
    assert parse_document("\n".join([f"bind ann role:m{n}" for n in range(6)] + shared))
    assert MAX_ROLES_IN_ALL < 6 * 51
