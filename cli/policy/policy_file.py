"""Policy files: read, checked without a server, and every fault written as FILE:LINE: KIND: TEXT."""

from pathlib import Path

import click

from linewarden.authz.errors import PolicyInvalid
from linewarden.authz.own_persons import check_tenant
from linewarden.authz.statements import lint, parse_document
from linewarden.cli.exit_codes import DENIED, Failure

REFUSAL = "the policy has errors, and is not used"


def read_policy(file: Path, tenant: str = "") -> str:
    """Read a policy file; warnings and errors go to stderr.

    The file is read byte for byte, because a reader that turns a lone CR into a new line would show other lines. With a
    `tenant`, the policy must also fit this tenant.

    Raises:
        Failure: a line has an error, or the file is not UTF-8.
    """
    text = checked(str(file), file.read_bytes(), tenant)
    if text is None:
        raise Failure(DENIED, REFUSAL)
    return text


def checked(name: str, content: bytes, tenant: str = "") -> str | None:
    """Write the warnings and errors of a policy file to stderr. Return its text, or None if it has errors."""
    try:
        text = content.decode("utf-8")
        warnings = lint(text)
        faults = _faults_for(tenant, text)
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


def _faults_for(tenant: str, text: str) -> list[tuple[int, str]]:
    """The errors of a policy for one tenant, by line."""
    try:
        check_tenant(tenant, parse_document(text))
    except PolicyInvalid as error:
        lines = [n for n, line in enumerate(text.split("\n"), 1) if line.strip() and not line.lstrip().startswith("#")]
        return [(lines[one.line - 1], one.message) for one in error.errors]
    return []


def report(name: str, line: int, kind: str, message: str) -> None:
    """Write one fault of a policy file to stderr."""
    click.echo(f"{name}:{line}: {kind}: {message}", err=True)
