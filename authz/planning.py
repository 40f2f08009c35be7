"""Planning changes of a policy: from a request and the policy in force to the statements to add and to remove.

A plan is made from the compiled policy in memory, which was verified. Every change must meet the same requirements: the
policy stays within the limits, its roles do not inherit themselves, persons of its tenant are named without a prefix,
and some person can still change the policy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from linewarden.audit.pace import paced
from linewarden.authz.administration import Change
from linewarden.authz.assignments import Assignment
from linewarden.authz.errors import LineError, PolicyInvalid
from linewarden.authz.growth import Ceiling, change_faults
from linewarden.authz.lockout import require_change
from linewarden.authz.own_persons import check_tenant
from linewarden.authz.rules import Statement
from linewarden.authz.snapshot import Snapshot
from linewarden.authz.statement_list import NumberedStatement, parse_id
from linewarden.authz.statements import parse_document, parse_statement
from linewarden.authz.store.policy import StoredStatement

#: Statements that one request may add and remove, because all answers of the tenant wait while they are written.
MAX_CHANGED = 50_000


@dataclass(frozen=True, slots=True)
class Request:
    """A request to change a policy: tenant, person and time. `allow_lockout` permits a lockout."""

    tenant: str
    subject: str
    now_us: int
    allow_lockout: bool = False


def plan_file(request: Request, snapshot: Snapshot, text: str, *, assignments: bool = False) -> Change:
    """Plan the change that makes the statements of a file all rules and bindings, or all assignments.

    The statements of the other kind stay as they are.

    Raises:
        PolicyInvalid: the file is invalid, has statements of the other kind, or changes more than MAX_CHANGED
            statements.
        PolicyLockout: no person could change the policy afterwards.
    """
    added: list[Statement] = []
    kept: set[str] = set()
    for statement in paced(parse_document(text, assignments=assignments)):
        id = snapshot.in_force.id_of(statement)
        if id is None:
            added.append(statement)
        else:
            kept.add(id)
    assigned = snapshot.in_force.assignments.count
    left = (assigned if assignments else len(snapshot.in_force) - assigned) - len(kept)
    removed = [
        (id, one)
        for id, one in (paced(snapshot.in_force.statements) if left else ())
        if isinstance(one, Assignment) is assignments and id not in kept
    ]
    if len(added) + len(removed) > MAX_CHANGED:
        text = f"more than {MAX_CHANGED} statements change at once: make the change in several steps"
        raise PolicyInvalid((LineError(0, text),))
    return _checked(request, snapshot, added, removed)


def plan_amendment(
    request: Request, snapshot: Snapshot, ceiling: Ceiling, add: Sequence[str], remove: Sequence[str]
) -> Change:
    """Plan a change that adds and removes single statements. Its cost does not depend on the size of the policy.

    The lines of errors count the statements of `add`, then those of `remove`.

    Raises:
        PolicyInvalid: a statement is invalid, is given twice, is already in the policy, is to be removed but not in
            the policy, or exceeds a limit.
        PolicyLockout: no person could change the policy afterwards.
    """
    statements = _parsed([*add, *remove])
    added, removed = statements[: len(add)], _removed(snapshot, statements, len(add))
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


def _removed(snapshot: Snapshot, statements: Sequence[Statement], adds: int) -> list[NumberedStatement]:
    """Return the statements after the first `adds`, which are to be removed, with their ids."""
    removed, errors, first = list[NumberedStatement](), list[LineError](), dict[str, int]()
    for line, one in enumerate(statements, 1):
        id = snapshot.in_force.id_of(one)
        # A statement that was added twice would still be in force after its removal.
        if first.setdefault(one.text, line) != line:
            errors.append(LineError(line, f"the same statement as in line {first[one.text]}: remove one of them"))
        elif line <= adds and id is not None:
            errors.append(LineError(line, "the statement is already in the policy: do not add it"))
        elif line > adds and id is None:
            errors.append(LineError(line, "the statement is not in the policy, so it cannot be removed"))
        elif id is not None:
            removed.append((id, one))
    if errors:
        raise PolicyInvalid(tuple(errors))
    return removed


def _numbered(snapshot: Snapshot, added: Sequence[Statement]) -> list[NumberedStatement]:
    return [(f"{snapshot.revision + 1}.{ordinal}", one) for ordinal, one in enumerate(added, 1)]


def _checked(
    request: Request, snapshot: Snapshot, added: Sequence[Statement], removed: Sequence[NumberedStatement]
) -> Change:
    check_tenant(request.tenant, added)
    if not request.allow_lockout:
        after = snapshot.changed(snapshot.revision + 1, b"", _numbered(snapshot, added), removed)
        require_change(after, request.tenant, request.now_us, request.subject)
    stored = tuple(StoredStatement(*parse_id(id), one.text) for id, one in removed)
    return Change(snapshot.revision, snapshot.hash, tuple(added), stored)
