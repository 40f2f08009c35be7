"""`linewarden policy`: check, load and show rules and role bindings."""

from pathlib import Path
from typing import BinaryIO

import click

from linewarden.authz.errors import PolicyInvalid
from linewarden.authz.statements import lint
from linewarden.server.cli.client import DEADLINE_S, Connection, connecting, person, subject_option, tenant_option
from linewarden.server.cli.failures import DENIED, Failure
from linewarden.server.cli.output import output_option, write_rows
from linewarden.v1 import policy_pb2 as pb
from linewarden.v1.policy_pb2_grpc import PolicyServiceStub


def read_policy(file: Path) -> str:
    """The text of a policy file that is right; warnings and errors go to stderr, each as FILE:LINE: KIND: TEXT.

    It is read byte for byte: a reader that turns a lone CR into a new line would show other lines.

    Raises:
        Failure: a line is wrong, or the file is not UTF-8.
    """
    text = checked(str(file), file.read_bytes())
    if text is None:
        raise Failure(DENIED, "the policy has errors and was not used")
    return text


def checked(name: str, content: bytes) -> str | None:
    """The text of a policy file, with what is to be said of it on stderr; None if it is wrong."""
    try:
        text = content.decode("utf-8")
        warnings = lint(text)
    except UnicodeDecodeError as error:
        _say(name, content.count(b"\n", 0, error.start) + 1, "error", "not UTF-8")
        return None
    except PolicyInvalid as error:
        for one in error.errors:
            _say(name, one.line, "error", one.message)
        return None
    for warning in warnings:
        _say(name, warning.line, "warning", warning.message)
    return text


def _say(name: str, line: int, kind: str, message: str) -> None:
    click.echo(f"{name}:{line}: {kind}: {message}", err=True)


@click.group()
def policy() -> None:
    """Check, load and show policies."""


@policy.command("lint")
@click.argument("files", nargs=-1, required=True, type=click.File("rb"))
@click.pass_context
def lint_files(ctx: click.Context, files: tuple[BinaryIO, ...]) -> None:
    """Check policy FILES without a server. Exit code 1: a line is wrong."""
    wrong = [file.name for file in files if checked(file.name, file.read()) is None]
    ctx.exit(DENIED if wrong else 0)


@policy.command()
@connecting
@tenant_option
@subject_option
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--expected-revision", type=click.IntRange(0), help="Refuse if the policy is at another revision.")
@output_option
def load(
    connection: Connection,
    tenant: str,
    subject: str,
    file: Path,
    dry_run: bool,
    expected_revision: int | None,
    output: str,
) -> None:
    """Replace the policy of a tenant by FILE, whole or not at all."""
    text = read_policy(file)
    request = pb.LoadPolicyRequest(
        tenant=tenant,
        subject=person(subject),
        document=text,
        dry_run=dry_run,
        expected_revision=expected_revision,
    )
    with connection.channel() as channel:
        answer = PolicyServiceStub(channel).LoadPolicy(request, metadata=connection.metadata, timeout=DEADLINE_S)
    row = {
        "revision": answer.policy.revision,
        "added": answer.statements_added,
        "removed": answer.statements_removed,
        "hash": answer.policy.hash.hex(),
    }
    write_rows([row], tuple(row), output)


@policy.command()
@connecting
@tenant_option
@subject_option
@output_option
def show(connection: Connection, tenant: str, subject: str, output: str) -> None:
    """Show the policy of a tenant as the statements of a policy file."""
    request = pb.GetPolicyRequest(tenant=tenant, subject=person(subject))
    rows = []
    with connection.channel() as channel:
        stub = PolicyServiceStub(channel)
        while True:
            page = stub.GetPolicy(request, metadata=connection.metadata, timeout=DEADLINE_S)
            rows += [{"id": one.id, "added_in": one.added_in, "statement": one.text} for one in page.statements]
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
    write_rows(rows, ("id", "statement"), output, fields=("added_in",))
    click.echo(f"linewarden: revision {page.policy.revision}, {len(rows)} statements", err=True)
