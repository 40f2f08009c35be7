"""The policy file: one statement a line, with comments, written by hand and compared with diff.

    # Sales supervisors listen to the recordings of their queue, for a reason.
    bind  alice@acme.example  role:supervisor
    allow role:supervisor play recording queue:sales if purpose=quality,training if age<90d then announce

`rules` has the grammar of a statement, `scopes` and `conditions` that of its parts, and `lexer` that of words. A file
with an invalid line is refused as a whole. Blanks, comments and the order of lines have no meaning.

Assignments stand in a file of their own, and rules and bindings in another. *Instead of* one file for both: persons
write rules by hand, and a telephone system exports assignments. Loading one file must not remove the statements of the
other.
"""

from collections.abc import Iterator

from linewarden.audit.pace import paced
from linewarden.authz.assignments import Assignment
from linewarden.authz.errors import LineError, PolicyInvalid
from linewarden.authz.lexer import MAX_LINE_BYTES, Malformed, fields, too_long
from linewarden.authz.limits import limit_faults
from linewarden.authz.lint import LineWarning, warnings_of
from linewarden.authz.roles import role_faults
from linewarden.authz.rules import Binding, Rule, Statement, statement_of

__all__ = ["MAX_ERRORS", "Binding", "LineWarning", "Rule", "Statement", "lint", "parse_document", "parse_statement"]

#: Errors after which the rest of a file is not read.
MAX_ERRORS = 1000

_MIXED = "assignments stand in a file of their own: move this line, or the others, to another file"
_NOT_ASSIGNED = "rules and bindings are no assignments: load them with `linewarden policy load`"
_ASSIGNED = "assignments are no part of this file: load them with `linewarden assignments load`"

_BYTE_ORDER_MARK = "\ufeff"


def parse_statement(line: str) -> Statement:
    """Parse the statement on one line.

    Raises:
        PolicyInvalid: the line has no statement, or an invalid one. The error's line is 1.
    """
    try:
        statement = _parse(line)
    except Malformed as malformed:
        raise PolicyInvalid((LineError(1, str(malformed)),)) from malformed
    if statement is None:
        raise PolicyInvalid((LineError(1, "the line has no statement: write one"),))
    return statement


def parse_document(text: str, *, assignments: bool = False) -> tuple[Statement, ...]:
    """Parse a file of rules and bindings, or one of assignments. The statements are in the order of its lines.

    Raises:
        PolicyInvalid: the file is invalid, or is one of the other kind. The error has every invalid line, up to
            MAX_ERRORS.
    """
    read = _read(text)
    if read and isinstance(read[0][1], Assignment) is not assignments:
        raise PolicyInvalid((LineError(read[0][0], _NOT_ASSIGNED if assignments else _ASSIGNED),))
    return tuple([statement for _, statement in read])


def canonical_document(text: str, region: str) -> str:
    """Return a file with the canonical text of each statement in its line. Comments become blank lines.

    `region` is that of national telephone numbers (see `canonical_address`).

    Raises:
        PolicyInvalid: the file is invalid.
    """
    by_line = {line: statement.text for line, statement in _read(text, region)}
    return "\n".join(by_line.get(line, "") for line in range(1, max(by_line, default=0) + 1))


def lint(text: str) -> tuple[LineWarning, ...]:
    """Return warnings, by line, about valid statements that are hardly meant.

    Raises:
        PolicyInvalid: the file is invalid.
    """
    return warnings_of(_read(text))


def _read(text: str, region: str = "") -> list[tuple[int, Statement]]:
    read: list[tuple[int, Statement]] = []
    first: dict[str, int] = {}
    errors: list[LineError] = []
    for number, line in paced(_lines(text)):
        try:
            statement = _parse(line, region)
            if statement is not None:
                _check_new(statement, number, first)
                if read and isinstance(statement, Assignment) is not isinstance(read[0][1], Assignment):
                    raise Malformed(_MIXED)  # noqa: TRY301 - one place collects the errors of all lines
                read.append((number, statement))
        except Malformed as malformed:
            errors.append(LineError(number, str(malformed)))
            if len(errors) == MAX_ERRORS:
                errors.append(LineError(number, "too many invalid lines: the rest of the file was not read"))
                raise PolicyInvalid(tuple(errors)) from malformed
    faults = role_faults((number, one) for number, one in read if type(one) is Binding)
    # Roles in a loop would exceed the limits too, so the limits are checked only without a loop.
    errors += (faults or limit_faults(read))[:MAX_ERRORS]
    if errors:
        raise PolicyInvalid(tuple(sorted(errors, key=lambda error: error.line)))
    return read


def _check_new(statement: Statement, number: int, first: dict[str, int]) -> None:
    earlier = first.setdefault(statement.text, number)
    if earlier != number:
        raise Malformed(f"the same statement as in line {earlier}: remove one of them")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    # Not splitlines(), because it also ends a line at characters that other programs show inside a line.
    return enumerate((line.removesuffix("\r") for line in text.removeprefix(_BYTE_ORDER_MARK).split("\n")), 1)


def _parse(line: str, region: str = "") -> Statement | None:
    split = fields(line)
    if not split:
        return None
    statement = statement_of(split, region)
    # Escapes can make the canonical text longer than the line. It is what is stored, so the same limit applies.
    if line.find('"') >= 0 and too_long(statement.text, MAX_LINE_BYTES):
        raise Malformed(f"the canonical text of the line is longer than {MAX_LINE_BYTES} bytes: shorten the line")
    return statement
