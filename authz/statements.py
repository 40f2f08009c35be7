"""The policy file: one statement a line, commented, written by hand, compared with diff.

    # Sales supervisors listen to the recordings of their queue, for a reason.
    bind  alice@acme.example  role:supervisor
    allow role:supervisor play recording queue:sales if purpose=quality,training if age<90d then announce

`rules` has the grammar of a statement, `scopes` and `conditions` those of their parts, `words` the spelling. A file is
refused whole: one wrong line, and nothing of it is in force. Blanks and comments carry no meaning, nor does the order
of lines.
"""

from collections.abc import Iterator

from linewarden.audit.pace import paced
from linewarden.authz.errors import LineError, PolicyInvalid
from linewarden.authz.lexer import MAX_LINE_BYTES, Malformed, fields, too_long
from linewarden.authz.limits import limit_faults
from linewarden.authz.lint import LineWarning, warnings_of
from linewarden.authz.roles import role_faults
from linewarden.authz.rules import Binding, Rule, Statement, statement_of

__all__ = ["MAX_ERRORS", "Binding", "LineWarning", "Rule", "Statement", "lint", "parse_document", "parse_statement"]

#: A file this wrong is no policy file; the rest of it is not read.
MAX_ERRORS = 1000

_BYTE_ORDER_MARK = "\ufeff"


def parse_statement(line: str) -> Statement:
    """The statement on one line.

    Raises:
        PolicyInvalid: there is none, or it is wrong; the error's line is 1.
    """
    try:
        statement = _parse(line)
    except Malformed as malformed:
        raise PolicyInvalid((LineError(1, str(malformed)),)) from malformed
    if statement is None:
        raise PolicyInvalid((LineError(1, "no statement"),))
    return statement


def parse_document(text: str) -> tuple[Statement, ...]:
    """The statements of a policy file, in the order of its lines.

    Raises:
        PolicyInvalid: with every wrong line, up to MAX_ERRORS.
    """
    return tuple([statement for _, statement in _read(text)])


def lint(text: str) -> tuple[LineWarning, ...]:
    """What is allowed in a policy file but hardly meant, by line.

    Raises:
        PolicyInvalid: the file is wrong.
    """
    return warnings_of(_read(text))


def _read(text: str) -> list[tuple[int, Statement]]:
    read: list[tuple[int, Statement]] = []
    first: dict[str, int] = {}
    errors: list[LineError] = []
    for number, line in paced(_lines(text)):
        try:
            statement = _parse(line)
            if statement is not None:
                _check_new(statement, number, first)
                read.append((number, statement))
        except Malformed as malformed:
            errors.append(LineError(number, str(malformed)))
            if len(errors) == MAX_ERRORS:
                errors.append(LineError(number, "too many wrong lines; the rest was not read"))
                raise PolicyInvalid(tuple(errors)) from malformed
    faults = role_faults((number, one) for number, one in read if type(one) is Binding)
    # Roles that inherit one another without end would all be too many, too: one fault is named once.
    errors += (faults or limit_faults(read))[:MAX_ERRORS]
    if errors:
        raise PolicyInvalid(tuple(sorted(errors, key=lambda error: error.line)))
    return read


def _check_new(statement: Statement, number: int, first: dict[str, int]) -> None:
    earlier = first.setdefault(statement.text, number)
    if earlier != number:
        raise Malformed(f"the same statement as in line {earlier}")


def _lines(text: str) -> Iterator[tuple[int, str]]:
    # Not splitlines(): it also ends lines at characters that other programs show as part of a line.
    return enumerate((line.removesuffix("\r") for line in text.removeprefix(_BYTE_ORDER_MARK).split("\n")), 1)


def _parse(line: str) -> Statement | None:
    found = fields(line)
    if not found:
        return None
    statement = statement_of(found)
    # Escapes can make the canonical spelling longer than the line; it is what is stored, so it must be a line too.
    if line.find('"') >= 0 and too_long(statement.text, MAX_LINE_BYTES):
        raise Malformed(f"its canonical spelling is longer than {MAX_LINE_BYTES} bytes")
    return statement
