"""Statements as the log may state them: with pseudonyms for persons, and without the ids of single items."""

from collections.abc import Callable
from dataclasses import replace

from linewarden.authz.rules import ROLE, Binding, Rule, Statement

_OWNER = "owner:"
_ITEM = "id:"


def persons_of(statement: Statement) -> tuple[str, ...]:
    """Return the persons that a statement names, by their names in the policy."""
    holder = statement.member if isinstance(statement, Binding) else statement.who
    named = () if holder.startswith(ROLE) else (holder,)
    if isinstance(statement, Binding):
        return named
    return named + tuple(scope.removeprefix(_OWNER) for scope in statement.scopes if scope.startswith(_OWNER))


def pseudonymous(statement: Statement, pseudonym: Callable[[str], str]) -> tuple[str, tuple[str, ...]]:
    """Return the text with pseudonyms for persons and numbers for items, and the ids of these items, to be sealed."""
    if isinstance(statement, Binding):
        return replace(statement, member=_holder(statement.member, pseudonym)).text, ()
    scopes: list[str] = []
    items: list[str] = []
    for scope in statement.scopes:
        if scope.startswith(_OWNER):
            scopes.append(_OWNER + pseudonym(scope.removeprefix(_OWNER)))
        elif scope.startswith(_ITEM):
            scopes.append(f"{_ITEM}{len(items)}")
            items.append(scope.removeprefix(_ITEM))
        else:
            scopes.append(scope)
    named: Rule = replace(statement, who=_holder(statement.who, pseudonym), scopes=tuple(scopes))
    return named.text, tuple(items)


def _holder(name: str, pseudonym: Callable[[str], str]) -> str:
    return name if name.startswith(ROLE) else pseudonym(name)
