"""Whether a policy lets any person change it: after one that does not, the tenant is locked out for good.

The question is put as the server puts it: the access `ASKED`, without purpose, case, zone or consent, because a request
to change a policy states none of these. It is decided as any access is. A policy that lets a person change it later, or
until some instant to come, is not a lockout: that person can change it in time. A role that no person has does not
count. A person of another tenant counts, because the policy gives that person the right.
"""

from collections.abc import Iterable, Iterator

from linewarden.authz.conditions import Bound
from linewarden.authz.errors import PolicyLockout
from linewarden.authz.in_force import InForce
from linewarden.authz.index import Numbered, rules_in
from linewarden.authz.model import Context, Resource, ResourceType, Verb
from linewarden.authz.roles import reached
from linewarden.authz.rules import ROLE, Statement
from linewarden.authz.scopes import ANY
from linewarden.authz.snapshot import Snapshot

#: What the service asks before a policy is changed.
ASKED = (ResourceType.POLICY, Verb.CHANGE_POLICY)

_Roles = tuple[str, ...]


def require_change(snapshot: Snapshot, tenant: str, now_us: int, likely: str = "") -> None:
    """Refuse a policy after which no person may change it. `likely` is asked about first.

    Raises:
        PolicyLockout: it is one.
    """
    if likely and _may(snapshot, tenant, likely, now_us):
        return
    if not can_change_policy(snapshot, tenant, now_us):
        raise PolicyLockout


def can_change_policy(snapshot: Snapshot, tenant: str, now_us: int) -> bool:
    """Whether any person may change the policy of the tenant, now or at a later instant. Looks at every person."""
    asked: set[tuple[_Roles, tuple[str, ...]]] = set()
    for person in _persons(snapshot.in_force):
        # Persons with the same roles, and no rules of their own, get the same answers.
        own = tuple(rule_id for rule_id, _ in _rules_about(snapshot.in_force, (person,), tenant))
        kind = (snapshot.in_force.roles.get(person, ()), own)
        if kind not in asked:
            asked.add(kind)
            if any(_may(snapshot, tenant, person, instant) for instant in _instants(snapshot, tenant, person, now_us)):
                return True
    return False


def compiled(statements: Iterable[Statement]) -> Snapshot:
    """A snapshot of statements that have no ids yet."""
    return Snapshot.compile(1, b"", ((f"1.{ordinal}", one) for ordinal, one in enumerate(statements, 1)))


def _may(snapshot: Snapshot, tenant: str, person: str, now_us: int) -> bool:
    type, verb = ASKED
    return snapshot.decide(person, verb, Resource(type, tenant), Context(now_us)).allowed


def _persons(state: InForce) -> Iterator[str]:
    for holders in (state.roles, state.shelves):
        yield from (holder for holder in holders if not holder.startswith(ROLE))


def _instants(snapshot: Snapshot, tenant: str, person: str, now_us: int) -> Iterator[int]:
    """Now, and every later instant at which the answer about a person may change."""
    yield now_us
    state = snapshot.in_force
    holders = reached(person, state.roles, state.roster.count)
    for _, rule in _rules_about(state, holders, tenant):
        for condition in rule.conditions:
            if isinstance(condition, Bound) and condition.at_us > now_us:
                yield condition.at_us


def _rules_about(state: InForce, holders: Iterable[str], tenant: str) -> Iterator[Numbered]:
    """The rules of the holders that speak of changing the policy, as far as they speak of this tenant's."""
    for holder in holders:
        shelf = state.shelves.get(holder, ())
        for scope in (ANY, f"id:{tenant}"):
            for one in rules_in(shelf, scope):
                if ASKED in one[1].reach.pairs:
                    yield one
