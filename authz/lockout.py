"""Protection against a policy that no person could change, because it would lock the tenant out for good.

The check is the server's own: the access `REQUIRED` without purpose, case, zone or consent, because a request to change
a policy states none of these. It is decided like any access. A policy that lets a person change it later, or until some
future instant, is not a lockout, because that person can change it in time. A role that no person has does not count.
A person of another tenant counts, because the policy gives that person the right.
"""

from collections.abc import Iterable, Iterator

from linewarden.authz.errors import PolicyLockout
from linewarden.authz.in_force import InForce
from linewarden.authz.index import NumberedRule, rules_in
from linewarden.authz.inputs import NOW
from linewarden.authz.model import Context, Resource, ResourceType, Verb
from linewarden.authz.pseudonyms import is_person
from linewarden.authz.roles import reached
from linewarden.authz.rules import EVERYONE, Statement
from linewarden.authz.scopes import ANY
from linewarden.authz.snapshot import Snapshot

#: The access that the service requires before it changes a policy.
REQUIRED = (ResourceType.POLICY, Verb.CHANGE_POLICY)

_Roles = tuple[str, ...]


def require_change(snapshot: Snapshot, tenant: str, now_us: int, likely: str = "") -> None:
    """Refuse a policy that no person may change. The person `likely` is checked first.

    Raises:
        PolicyLockout: no person may change the policy.
    """
    if likely and _may(snapshot, tenant, likely, now_us):
        return
    if not can_change_policy(snapshot, tenant, now_us):
        raise PolicyLockout


def can_change_policy(snapshot: Snapshot, tenant: str, now_us: int) -> bool:
    """Return whether any person may change the policy of the tenant, now or later. Examines every person."""
    checked: set[tuple[_Roles, tuple[str, ...]]] = set()
    for person in _persons(snapshot.in_force):
        # Persons with the same roles and the same rules of their own get the same answers.
        own = tuple(rule_id for rule_id, _ in _rules_about(snapshot.in_force, (person,), tenant))
        kind = (snapshot.in_force.roles.get(person, ()), own)
        if kind not in checked:
            checked.add(kind)
            if any(_may(snapshot, tenant, person, instant) for instant in _instants(snapshot, tenant, person, now_us)):
                return True
    return False


def compiled(statements: Iterable[Statement]) -> Snapshot:
    """Compile statements that have no ids yet."""
    return Snapshot.compile(1, b"", ((f"1.{ordinal}", one) for ordinal, one in enumerate(statements, 1)))


def _may(snapshot: Snapshot, tenant: str, person: str, now_us: int) -> bool:
    type, verb = REQUIRED
    return snapshot.decide(person, verb, Resource(type, tenant), Context(now_us)).allowed


def _persons(state: InForce) -> Iterator[str]:
    for holders in (state.roles, state.rules):
        yield from filter(is_person, holders)


def _instants(snapshot: Snapshot, tenant: str, person: str, now_us: int) -> Iterator[int]:
    """Yield `now_us` and every later instant at which the answer about a person may change."""
    yield now_us
    state = snapshot.in_force
    holders = (*reached(person, state.roles, state.statements.count), EVERYONE)
    for _, rule in _rules_about(state, holders, tenant):
        for condition in rule.conditions:
            if condition.input is NOW:
                yield from (mark for mark in condition.marks if mark > now_us)


def _rules_about(state: InForce, holders: Iterable[str], tenant: str) -> Iterator[NumberedRule]:
    """Yield the rules of the holders about the access `REQUIRED` for this tenant."""
    for holder in holders:
        held = state.rules.get(holder, ())
        for scope in (ANY, f"id:{tenant}"):
            for one in rules_in(held, scope):
                if REQUIRED in one[1].reach.pairs:
                    yield one
