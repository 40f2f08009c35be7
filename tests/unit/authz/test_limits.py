"""What one policy may not ask of every decision."""

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


@pytest.mark.parametrize(
    ("lines", "line"),
    [(RULES, MAX_RULES_ALIKE + 1), (ROLES, MAX_ROLES + 1), (MANY, 6)],
    ids=["rules", "roles", "in all"],
)
def test_what_every_decision_would_pay_for_is_refused(lines: list[str], line: int) -> None:
    """A policy with too many rules or roles for one person is refused at the line that makes them too many."""
    with pytest.raises(PolicyInvalid) as refused:
        parse_document("\n".join(lines))
    assert [error.line for error in refused.value.errors] == [line]


def test_what_is_just_within_the_limits_is_a_policy() -> None:
    """The limits themselves are allowed, and rules for other scopes do not count together."""
    within = [*RULES[:-1], *ROLES[:-1], *(f"allow role:a play recording queue:q{n}" for n in range(2_000))]
    assert len(parse_document("\n".join(within))) == len(within)


def test_roles_that_meet_again_count_once() -> None:
    """Six roles that inherit the same fifty give a person fifty-six, which is far from too many."""
    shared = [f"bind role:m{n} role:n{k}" for n in range(6) for k in range(50)]
    assert parse_document("\n".join([f"bind ann role:m{n}" for n in range(6)] + shared))
    assert MAX_ROLES_IN_ALL < 6 * 51
