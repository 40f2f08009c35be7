"""The statements in force, indexed for decisions, for changes and for listings. Immutable.

Goal: the cost of a change does not depend on the number of statements. A state shares with the state before it whatever
the change does not touch. The state in memory was verified against the seal of its revision, so changes are planned and
policies are listed from memory alone. The guard of the change's record ensures that the state is still in force.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Self

from linewarden.audit.pace import paced
from linewarden.authz.assignments import Assignment, Assignments, NumberedAssignment
from linewarden.authz.errors import PolicyDiverged
from linewarden.authz.index import HolderRules, NumberedRule, rules_in, updated_rules
from linewarden.authz.persistent_map import PersistentMap
from linewarden.authz.rules import ROLE, Binding, Rule, Statement
from linewarden.authz.scopes import names_group
from linewarden.authz.statement_list import NumberedStatement, StatementList

#: A binding with the id by which it is removed.
_NumberedBinding = tuple[str, Binding]


class InForce:
    """Rules by holder, roles by member, members by role, assignments, and all statements in the order of their ids.

    `members` are the roles that have a role directly. Persons are left out, because a role may have a million of them.
    """

    __slots__ = ("assignments", "group_rules", "ids", "members", "roles", "rules", "statements")

    def __init__(self) -> None:
        self.rules: PersistentMap[str, HolderRules] = PersistentMap()
        self.roles: PersistentMap[str, tuple[str, ...]] = PersistentMap()
        self.members: PersistentMap[str, tuple[str, ...]] = PersistentMap()
        self.assignments = Assignments()
        self.statements = StatementList()
        #: How many rules name a group. Without any, no decision looks for the groups of an item.
        self.group_rules = 0
        #: The ids of the bindings, in the order of `roles`.
        self.ids: PersistentMap[str, tuple[str, ...]] = PersistentMap()

    def __len__(self) -> int:
        return self.statements.count

    def changed(self, added: Iterable[NumberedStatement], removed: Iterable[NumberedStatement]) -> Self:
        """Return the state after a change.

        Raises:
            PolicyDiverged: a statement to remove is not in force.
        """
        added, removed = list(added), list(removed)
        after = type(self)()
        after.statements = self.statements.changed(added, [id for id, _ in removed])
        new_rules, new_bindings, new_assignments = _by_kind(added)
        old_rules, old_bindings, old_assignments = _by_kind(removed)
        after.rules = self._changed_rules(new_rules, old_rules)
        after.roles, after.ids = self._changed_roles(new_bindings, old_bindings)
        after.members = self._changed_members(new_bindings, old_bindings)
        after.assignments = self.assignments.changed(new_assignments, old_assignments)
        after.group_rules = self.group_rules + _group_rules(new_rules) - _group_rules(old_rules)
        return after

    @property
    def holders(self) -> Callable[[str, int | None], tuple[str, ...]]:
        """The function that returns the persons who held an address at an instant (see `Assignments.holders`)."""
        return self.assignments.holders

    def id_of(self, statement: Statement) -> str | None:
        """Return the id of a statement, or None if it is not in force."""
        if isinstance(statement, Binding):
            roles = self.roles.get(statement.member, ())
            if statement.role not in roles:
                return None
            return self.ids.get(statement.member, ())[roles.index(statement.role)]
        if isinstance(statement, Assignment):
            return self.assignments.id_of(statement)
        for rule_id, rule in rules_in(self.rules.get(statement.who, ()), statement.scopes[0]):
            if rule == statement:
                return rule_id
        return None

    def _changed_rules(
        self, new: Mapping[str, list[NumberedRule]], old: Mapping[str, list[NumberedRule]]
    ) -> PersistentMap[str, HolderRules]:
        return self.rules.changed(
            {
                holder: updated_rules(self.rules.get(holder, ()), new.get(holder, ()), dict(old.get(holder, ())))
                or None
                for holder in paced(new.keys() | old.keys())
            }
        )

    def _changed_roles(
        self, new: Mapping[str, list[_NumberedBinding]], old: Mapping[str, list[_NumberedBinding]]
    ) -> tuple[PersistentMap[str, tuple[str, ...]], PersistentMap[str, tuple[str, ...]]]:
        roles: dict[str, tuple[str, ...] | None] = {}
        ids: dict[str, tuple[str, ...] | None] = {}
        for member in paced(new.keys() | old.keys()):
            left = dict(zip(self.ids.get(member, ()), self.roles.get(member, ()), strict=True))
            for id, binding in old.get(member, ()):
                if left.pop(id, None) != binding.role:
                    raise PolicyDiverged("a binding to remove is not in force: compile the policy again")
            left |= {id: binding.role for id, binding in new.get(member, ())}
            roles[member], ids[member] = tuple(left.values()) or None, tuple(left) or None
        return self.roles.changed(roles), self.ids.changed(ids)

    def _changed_members(
        self, new: Mapping[str, list[_NumberedBinding]], old: Mapping[str, list[_NumberedBinding]]
    ) -> PersistentMap[str, tuple[str, ...]]:
        changes: dict[str, list[str]] = {}
        for links, step in ((old, list.remove), (new, list.append)):
            for member in filter(_is_role, links):
                for _, binding in links[member]:
                    if binding.role not in changes:
                        changes[binding.role] = list(self.members.get(binding.role, ()))
                    step(changes[binding.role], member)
        return self.members.changed({role: tuple(members) or None for role, members in changes.items()})


def _is_role(name: str) -> bool:
    return name.startswith(ROLE)


def _group_rules(rules: Mapping[str, list[NumberedRule]]) -> int:
    return sum(any(map(names_group, rule.scopes)) for held in rules.values() for _, rule in held)


def _by_kind(
    statements: Iterable[NumberedStatement],
) -> tuple[dict[str, list[NumberedRule]], dict[str, list[_NumberedBinding]], list[NumberedAssignment]]:
    """Return rules by holder, bindings by member, and assignments."""
    rules: dict[str, list[NumberedRule]] = defaultdict(list)
    bindings: dict[str, list[_NumberedBinding]] = defaultdict(list)
    assignments: list[NumberedAssignment] = []
    for id, statement in paced(statements):
        if isinstance(statement, Rule):
            rules[statement.who].append((id, statement))
        elif isinstance(statement, Binding):
            bindings[statement.member].append((id, statement))
        else:
            assignments.append((id, statement))
    return rules, bindings, assignments


def holders_of(state: InForce) -> Iterator[str]:
    """Yield every person and role that has rules or roles, each once."""
    yield from state.rules
    yield from (member for member in state.roles if member not in state.rules)
