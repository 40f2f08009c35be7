"""Policy files: read, checked without a server, and every fault written as FILE:LINE: KIND: TEXT."""

from pathlib import Path

import click

from linewarden.authz.errors import PolicyInvalid
from linewarden.authz.own_persons import check_tenant
from linewarden.authz.statements import canonical_document, lint, parse_document
from linewarden.cli.exit_codes import DENIED, Failure

REFUSAL = "the policy has errors, and is not used"


def read_policy(file: Path, tenant: str = "") -> str:
    """Read a policy file; warnings and errors go to stderr.

    The file is read byte for byte, because a reader that turns a lone CR into a new line would show other lines. With a
    `tenant`, the policy must also fit this tenant.

    Raises:
        Failure: a line has an error, or the file is not UTF-8.
    """
    return _required(checked(str(file), file.read_bytes(), tenant))


def read_assignments(file: Path, tenant: str, region: str) -> str:
    """Read a file of assignments as `read_policy` does. National telephone numbers get the region's country code.

    Raises:
        Failure: a line has an error, or the file is not UTF-8.
    """
    content = file.read_bytes()
    try:
        content = canonical_document(content.decode("utf-8"), region).encode()
    except UnicodeDecodeError:
        pass  # `checked` reports it
    except PolicyInvalid as error:
        for one in error.errors:
            report(str(file), one.line, "error", one.message)
        raise Failure(DENIED, REFUSAL) from error
    return _required(checked(str(file), content, tenant, assignments=True))


def checked(name: str, content: bytes, tenant: str = "", *, assignments: bool = False) -> str | None:
    """Write the warnings and errors of a policy file to stderr. Return its text, or None if it has errors.

    With a `tenant`, the file must fit this tenant, and must have assignments if `assignments` is true.
    """
    try:
        text = content.decode("utf-8")
        warnings = lint(text)
        faults = _faults_for(tenant, text, assignments=assignments) if tenant else []
    except UnicodeDecodeError as error:
        report(name, content.count(b"\n", 0, error.start) + 1, "error", "not UTF-8")
        return None
    except PolicyInvalid as error:
        faults, warnings = [(one.line, one.message) for one in error.errors], ()
    for line, message in faults:
        report(name, line, "error", message)
    for warning in warnings:
        report(name, warning.line, "warning", warning.message)
    return None if faults else text


def _required(text: str | None) -> str:
    if text is None:
        raise Failure(DENIED, REFUSAL)
    return text


def _faults_for(tenant: str, text: str, *, assignments: bool) -> list[tuple[int, str]]:
    """The errors of a file for one tenant, by line. Raises PolicyInvalid if the file is one of the other kind."""
    statements = parse_document(text, assignments=assignments)
    try:
        check_tenant(tenant, statements)
    except PolicyInvalid as error:
        lines = [n for n, line in enumerate(text.split("\n"), 1) if line.strip() and not line.lstrip().startswith("#")]
        return [(lines[one.line - 1], one.message) for one in error.errors]
    return []


def report(name: str, line: int, kind: str, message: str) -> None:
    """Write one fault of a policy file to stderr."""
    click.echo(f"{name}:{line}: {kind}: {message}", err=True)
