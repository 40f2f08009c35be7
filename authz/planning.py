"""Plans of changes: from what a request wants, and the policy in force, to what is added and removed.

A plan is made from the compiled policy in memory, which was verified. Whichever way a policy changes, the same is asked
of it: that it keeps the limits, that its roles do not inherit themselves, that it names persons of its tenant as such,
and that it locks no tenant out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from linewarden.audit.pace import paced
from linewarden.authz.administration import Change, check_tenant
from linewarden.authz.errors import LineError, PolicyInvalid
from linewarden.authz.growth import Ceiling, change_faults
from linewarden.authz.lockout import require_change
from linewarden.authz.roster import Entry, place_of
from linewarden.authz.rules import Statement
from linewarden.authz.snapshot import Snapshot
from linewarden.authz.statements import parse_document, parse_statement
from linewarden.authz.store.policy import StoredStatement

#: Statements that one request may add and remove: what it writes holds up the answers of all others.
MAX_CHANGED = 50_000


@dataclass(frozen=True, slots=True)
class Request:
    """Who wants to change the policy of which tenant, and when. `allow_lockout` says that a lockout is meant."""

    tenant: str
    subject: str
    now_us: int
    allow_lockout: bool = False


def plan_file(request: Request, snapshot: Snapshot, text: str) -> Change:
    """What makes the policy exactly that of a file.

    Raises:
        PolicyInvalid: the file is wrong, or changes too much at once.
        PolicyLockout: no person could change the policy afterwards.
    """
    added: list[Statement] = []
    kept: set[str] = set()
    for statement in paced(parse_document(text)):
        id = snapshot.in_force.id_of(statement)
        if id is None:
            added.append(statement)
        else:
            kept.add(id)
    left = len(snapshot.in_force) - len(kept)
    removed = [one for one in paced(snapshot.in_force.roster) if one[0] not in kept] if left else []
    if len(added) + len(removed) > MAX_CHANGED:
        raise PolicyInvalid((LineError(0, f"more than {MAX_CHANGED} statements change at once"),))
    return _checked(request, snapshot, added, removed)


def plan_amendment(
    request: Request, snapshot: Snapshot, ceiling: Ceiling, add: Sequence[str], remove: Sequence[str]
) -> Change:
    """What adds and removes single statements. Costs what they touch. Lines count `add` first, then `remove`.

    Raises:
        PolicyInvalid: a statement is wrong, stands twice, is already there or is not there, or passes a limit.
        PolicyLockout: no person could change the policy afterwards.
    """
    statements = _parsed([*add, *remove])
    added, removed = statements[: len(add)], _found(snapshot, statements, len(add))
    after = snapshot.in_force.changed(_numbered(snapshot, added), removed)
    faults = change_faults(ceiling, snapshot.in_force, after, list(enumerate(added, 1)))
    if faults:
        raise PolicyInvalid(tuple(sorted(faults, key=lambda fault: fault.line)))
    return _checked(request, snapshot, added, removed)


def _parsed(lines: Sequence[str]) -> list[Statement]:
    statements, errors = [], list[LineError]()
    for number, line in enumerate(lines, 1):
        try:
            statements.append(parse_statement(line))
        except PolicyInvalid as wrong:
            errors += [LineError(number, error.message) for error in wrong.errors]
    if errors:
        raise PolicyInvalid(tuple(errors))
    return statements


def _found(snapshot: Snapshot, statements: Sequence[Statement], adds: int) -> list[Entry]:
    """The statements to remove, beyond the first `adds`, with their ids."""
    removed, errors, first = list[Entry](), list[LineError](), dict[str, int]()
    for line, one in enumerate(statements, 1):
        id = snapshot.in_force.id_of(one)
        # Added twice, a statement would still be in force after its removal.
        if first.setdefault(one.text, line) != line:
            errors.append(LineError(line, f"the same statement as in line {first[one.text]}"))
        elif line <= adds and id is not None:
            errors.append(LineError(line, "the statement is already in the policy"))
        elif line > adds and id is None:
            errors.append(LineError(line, "the statement is not in the policy"))
        elif id is not None:
            removed.append((id, one))
    if errors:
        raise PolicyInvalid(tuple(errors))
    return removed


def _numbered(snapshot: Snapshot, added: Sequence[Statement]) -> list[Entry]:
    return [(f"{snapshot.revision + 1}.{ordinal}", one) for ordinal, one in enumerate(added, 1)]


def _checked(request: Request, snapshot: Snapshot, added: Sequence[Statement], removed: Sequence[Entry]) -> Change:
    check_tenant(request.tenant, added)
    if not request.allow_lockout:
        after = snapshot.changed(snapshot.revision + 1, b"", _numbered(snapshot, added), removed)
        require_change(after, request.tenant, request.now_us, request.subject)
    stored = tuple(StoredStatement(*place_of(id), one.text) for id, one in removed)
    return Change(snapshot.revision, snapshot.hash, tuple(added), stored)
