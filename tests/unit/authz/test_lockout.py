"""The check whether a policy lets any person change it, compared with decisions."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linewarden.authz.errors import PolicyLockout
from linewarden.authz.lockout import can_change_policy, compiled, require_change
from linewarden.authz.model import Context, Resource, ResourceType, Verb
from linewarden.authz.statements import Statement, parse_statement

NOW = 1_790_000_000_000_000  # 2026-09-21T14:13:20Z
SECOND = 1_000_000
TENANT = "acme"

_relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

OPEN = [
    ["allow admin change_policy policy any"],
    ["allow admin * * any"],
    ["allow admin change_policy policy id:acme"],
    ["bind admin role:a", "bind role:a role:b", "allow role:b change_policy policy any"],
    ["allow //partner/ines change_policy policy any"],
    ["allow admin change_policy policy any if from=2027-01-01T00:00:00Z"],
    ["allow admin change_policy policy any if until=2026-09-21T14:13:21Z"],
    ["allow admin change_policy policy any", "deny admin change_policy policy any if until=2027-01-01T00:00:00Z"],
    ["allow admin,bob change_policy policy any".replace(",bob", ""), "deny bob change_policy policy any"],
    ["allow admin change_policy policy any", "deny admin change_policy policy id:globex"],
    ["allow admin change_policy policy any", "deny admin change_policy policy own"],
]
CLOSED = [
    [],
    ["allow role:a change_policy policy any"],
    ["bind role:b role:a", "allow role:a change_policy policy any"],
    ["bind admin role:a"],
    ["allow admin read_policy policy any"],
    ["allow admin change_policy policy id:globex"],
    ["allow admin change_policy policy own"],
    ["allow admin change_policy policy owner:admin"],
    ["allow admin change_policy policy queue:a"],
    ["allow admin change_policy policy any", "deny admin * * any"],
    ["allow admin change_policy policy any", "bind admin role:x", "deny role:x change_policy policy any"],
    ["allow admin change_policy policy any if until=2026-09-21T14:13:20Z"],
    ["allow admin change_policy policy any if case"],
    ["allow admin change_policy policy any if purpose=legal"],
    ["allow admin change_policy policy any if zone!=home"],
    ["allow admin change_policy policy any if consent=given"],
    ["allow admin change_policy policy any if age<1d"],
    ["allow admin change_policy policy any", "deny admin change_policy policy any if purpose=legal"],
    [
        "allow admin change_policy policy any if until=2027-01-01T00:00:00Z",
        "deny admin change_policy policy any if until=2027-01-01T00:00:00Z",
    ],
]


def policy(lines: list[str]) -> list[Statement]:
    """Return the statements of these lines."""
    return [parse_statement(line) for line in lines]


@pytest.mark.parametrize("lines", OPEN, ids=" / ".join)
def test_a_policy_that_lets_a_person_change_it_is_no_lockout(lines: list[str]) -> None:
    """One person who may change the policy, now or later, is enough, also one of another tenant."""
    require_change(compiled(policy(lines)), TENANT, NOW)


@pytest.mark.parametrize("lines", CLOSED, ids=" / ".join)
def test_a_policy_that_lets_no_person_change_it_is_a_lockout(lines: list[str]) -> None:
    """Rules for roles without persons, other items or unmet conditions, and denied rules, let no person change it."""
    with pytest.raises(PolicyLockout):
        require_change(compiled(policy(lines)), TENANT, NOW, "admin")


WHO = ["ann", "bob", "//partner/ines", "role:a", "role:b", "role:c"]
WHEN = [
    *("", "if case", "if purpose=legal", "if zone!=x", "if age<1d"),
    *(f"if {word}=2026-09-21T14:13:{second}Z" for word in ("from", "until") for second in (19, 20, 21, 22, 23)),
    "if from=2026-09-21T14:13:21Z if until=2026-09-21T14:13:23Z",
]
SCOPES = ["any", "any", "id:acme", "id:globex", "own"]


def lines() -> st.SearchStrategy[str]:
    """Draw rules about the policy, and bindings."""
    rule = st.builds(
        "{} {} change_policy policy {} {}".format,
        *map(st.sampled_from, (["allow", "deny"], WHO, SCOPES, WHEN)),
    )
    bind = st.builds("bind {} {}".format, st.sampled_from(WHO), st.sampled_from(WHO[3:]))
    return st.one_of(rule, rule, bind)


@_relaxed
@given(st.lists(lines(), max_size=12, unique=True))
def test_a_lockout_is_what_decisions_say(drawn: list[str]) -> None:
    """A policy is a lockout exactly if every decision about each person from now on is a denial."""
    unique = {one.text: one for one in map(parse_statement, drawn)}
    snapshot = compiled(unique.values())
    asked = Resource(ResourceType.POLICY, TENANT)
    allowed = any(
        snapshot.decide(person, Verb.CHANGE_POLICY, asked, Context(NOW + step * SECOND // 2)).allowed
        for person in WHO[:3]
        for step in range(12)
    )
    assert can_change_policy(snapshot, TENANT, NOW) is allowed
