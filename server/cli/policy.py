"""`linewarden policy`: check, load and show rules and role bindings."""

from pathlib import Path
from typing import BinaryIO

import click

from linewarden.authz.errors import PolicyInvalid
from linewarden.authz.statements import lint, parse_document
from linewarden.server.cli.client import DEADLINE_S, Connection, connecting, person, subject_option, tenant_option
from linewarden.server.cli.failures import DENIED, USAGE
from linewarden.server.cli.output import output_option, write_rows
from linewarden.v1 import policy_pb2 as pb
from linewarden.v1.policy_pb2_grpc import PolicyServiceStub


def policy_text(file: Path) -> str:
    """The text of a policy file, byte for byte: a reader that turns a lone CR into a new line would show other lines.

    Raises:
        ValueError: it is not UTF-8.
    """
    return file.read_bytes().decode("utf-8")


@click.group()
def policy() -> None:
    """Check, load and show policies."""


@policy.command("lint")
@click.argument("files", nargs=-1, required=True, type=click.File("rb"))
@click.pass_context
def lint_files(ctx: click.Context, files: tuple[BinaryIO, ...]) -> None:
    """Check policy FILES without a server. Exit code 1: a line is wrong."""
    wrong = False
    for file in files:
        try:
            text = file.read().decode("utf-8")
            parse_document(text)
            for warning in lint(text):
                click.echo(f"{file.name}:{warning.line}: warning: {warning.message}", err=True)
        except PolicyInvalid as error:
            wrong = True
            _show_errors(file.name, error)
        except UnicodeDecodeError:
            wrong = True
            click.echo(f"{file.name}: error: not UTF-8", err=True)
    ctx.exit(DENIED if wrong else 0)


@policy.command()
@connecting
@tenant_option
@subject_option
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--allow-lockout", is_flag=True, help="Accept a policy that lets no person change it any more.")
@click.option("--expected-revision", type=click.IntRange(0), help="Refuse if the policy is at another revision.")
@output_option
def load(
    connection: Connection,
    tenant: str,
    subject: str,
    file: Path,
    dry_run: bool,
    allow_lockout: bool,
    expected_revision: int | None,
    output: str,
) -> None:
    """Replace the policy of a tenant by FILE, whole or not at all."""
    text = policy_text(file)
    try:
        parse_document(text)
    except PolicyInvalid as error:
        _show_errors(str(file), error)
        raise click.exceptions.Exit(USAGE) from None
    request = pb.LoadPolicyRequest(
        tenant=tenant,
        subject=person(subject),
        document=text,
        dry_run=dry_run,
        allow_lockout=allow_lockout,
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
    write_rows(rows, ("id", "statement"), output)
    click.echo(f"linewarden: revision {page.policy.revision}, {len(rows)} statements", err=True)


def _show_errors(name: str, error: PolicyInvalid) -> None:
    for line in error.errors:
        click.echo(f"{name}:{line.line}: error: {line.message}", err=True)
