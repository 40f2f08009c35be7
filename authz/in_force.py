"""The statements in force, arranged for decisions, for changes and for being shown. Immutable.

Goal: a change among a million statements costs what it changes. Everything here shares with the state before it what a
change does not touch. The state in memory was verified against the seal of its revision, so a change is planned, and a
policy is shown, from it alone; the guard of the change's record makes sure that it is still the one in force.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Self

from linewarden.audit.pace import paced
from linewarden.authz.errors import PolicyDiverged
from linewarden.authz.index import Numbered, Shelf, changed_shelf, rules_in
from linewarden.authz.roster import Entry, Roster
from linewarden.authz.rules import ROLE, Binding, Rule, Statement
from linewarden.authz.spread import Spread

#: A binding with the id that it is removed by.
_NumberedBinding = tuple[str, Binding]


class InForce:
    """Rules by holder, roles by member, members by role, and all statements in the order of their ids.

    `members` are the roles that have a role directly; persons are left out, because one role may have a million.
    """

    __slots__ = ("ids", "members", "roles", "roster", "shelves")

    def __init__(self) -> None:
        self.shelves: Spread[str, Shelf] = Spread()
        self.roles: Spread[str, tuple[str, ...]] = Spread()
        self.members: Spread[str, tuple[str, ...]] = Spread()
        self.roster = Roster()
        #: Beside `roles`, the ids of the bindings in the same order.
        self.ids: Spread[str, tuple[str, ...]] = Spread()

    def __len__(self) -> int:
        return self.roster.count

    def changed(self, added: Iterable[Entry], removed: Iterable[Entry]) -> Self:
        """The state after a change.

        Raises:
            PolicyDiverged: a statement to remove is not there.
        """
        added, removed = list(added), list(removed)
        after = type(self)()
        after.roster = self.roster.changed(added, [id for id, _ in removed])
        new_rules, new_bindings = _by_holder(added)
        old_rules, old_bindings = _by_holder(removed)
        after.shelves = self._changed_shelves(new_rules, old_rules)
        after.roles, after.ids = self._changed_roles(new_bindings, old_bindings)
        after.members = self._changed_members(new_bindings, old_bindings)
        return after

    def id_of(self, statement: Statement) -> str | None:
        """The id of a statement, or None where it is not in force."""
        if isinstance(statement, Binding):
            roles = self.roles.get(statement.member, ())
            if statement.role not in roles:
                return None
            return self.ids.get(statement.member, ())[roles.index(statement.role)]
        for rule_id, rule in rules_in(self.shelves.get(statement.who, ()), statement.scopes[0]):
            if rule == statement:
                return rule_id
        return None

    def _changed_shelves(
        self, new: Mapping[str, list[Numbered]], old: Mapping[str, list[Numbered]]
    ) -> Spread[str, Shelf]:
        return self.shelves.changed(
            {
                holder: changed_shelf(self.shelves.get(holder, ()), new.get(holder, ()), dict(old.get(holder, ())))
                or None
                for holder in paced(new.keys() | old.keys())
            }
        )

    def _changed_roles(
        self, new: Mapping[str, list[_NumberedBinding]], old: Mapping[str, list[_NumberedBinding]]
    ) -> tuple[Spread[str, tuple[str, ...]], Spread[str, tuple[str, ...]]]:
        roles: dict[str, tuple[str, ...] | None] = {}
        ids: dict[str, tuple[str, ...] | None] = {}
        for member in paced(new.keys() | old.keys()):
            left = dict(zip(self.ids.get(member, ()), self.roles.get(member, ()), strict=True))
            for id, binding in old.get(member, ()):
                if left.pop(id, None) != binding.role:
                    raise PolicyDiverged("a binding to remove is not there")
            left |= {id: binding.role for id, binding in new.get(member, ())}
            roles[member], ids[member] = tuple(left.values()) or None, tuple(left) or None
        return self.roles.changed(roles), self.ids.changed(ids)

    def _changed_members(
        self, new: Mapping[str, list[_NumberedBinding]], old: Mapping[str, list[_NumberedBinding]]
    ) -> Spread[str, tuple[str, ...]]:
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


def _by_holder(statements: Iterable[Entry]) -> tuple[dict[str, list[Numbered]], dict[str, list[_NumberedBinding]]]:
    rules: dict[str, list[Numbered]] = defaultdict(list)
    bindings: dict[str, list[_NumberedBinding]] = defaultdict(list)
    for id, statement in paced(statements):
        if isinstance(statement, Rule):
            rules[statement.who].append((id, statement))
        else:
            bindings[statement.member].append((id, statement))
    return rules, bindings


def holders_of(state: InForce) -> Iterator[str]:
    """Every person and role that has rules or roles."""
    yield from state.shelves
    yield from (member for member in state.roles if member not in state.shelves)
