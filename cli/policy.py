"""`linewarden policy`: check, load and show rules and role bindings."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import click
import grpc

from linewarden.authz.administration import check_tenant
from linewarden.authz.errors import PolicyInvalid
from linewarden.authz.statements import lint, parse_document
from linewarden.cli.client import DEADLINE_S, Connection, connecting, person, subject_option, tenant_option
from linewarden.cli.exit_codes import DENIED, Failure, policy_faults
from linewarden.cli.output import output_option, write_rows
from linewarden.v1 import core_pb2
from linewarden.v1 import policy_pb2 as pb
from linewarden.v1.policy_pb2_grpc import PolicyServiceStub

_REFUSED = "the policy has errors and was not used"


def read_policy(file: Path, tenant: str = "") -> str:
    """The text of a policy file that is right; warnings and errors go to stderr, each as FILE:LINE: KIND: TEXT.

    It is read byte for byte: a reader that turns a lone CR into a new line would show other lines. With a `tenant`, it
    must also be one that this tenant can have.

    Raises:
        Failure: a line is wrong, or the file is not UTF-8.
    """
    text = checked(str(file), file.read_bytes(), tenant)
    if text is None:
        raise Failure(DENIED, _REFUSED)
    return text


def checked(name: str, content: bytes, tenant: str = "") -> str | None:
    """The text of a policy file, with what is to be said of it on stderr; None if it is wrong."""
    try:
        text = content.decode("utf-8")
        warnings = lint(text)
        faults = _faults_for(tenant, text)
    except UnicodeDecodeError as error:
        _say(name, content.count(b"\n", 0, error.start) + 1, "error", "not UTF-8")
        return None
    except PolicyInvalid as error:
        faults, warnings = [(one.line, one.message) for one in error.errors], ()
    for line, message in faults:
        _say(name, line, "error", message)
    for warning in warnings:
        _say(name, warning.line, "warning", warning.message)
    return None if faults else text


def _faults_for(tenant: str, text: str) -> list[tuple[int, str]]:
    """What is wrong with a policy for one tenant, by line."""
    try:
        check_tenant(tenant, parse_document(text))
    except PolicyInvalid as error:
        lines = [n for n, line in enumerate(text.split("\n"), 1) if line.strip() and not line.lstrip().startswith("#")]
        return [(lines[one.line - 1], one.message) for one in error.errors]
    return []


def _say(name: str, line: int, kind: str, message: str) -> None:
    click.echo(f"{name}:{line}: {kind}: {message}", err=True)


@contextmanager
def _faults_of(name: str) -> Iterator[None]:
    """Say what a server finds wrong with a policy file as it is said without one."""
    try:
        yield
    except grpc.RpcError as error:
        found = policy_faults(error)
        if not found:
            raise
        for line, message in found:
            _say(name, line, "error", message)
        raise Failure(DENIED, _REFUSED) from error


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
    text = read_policy(file, tenant)
    request = pb.LoadPolicyRequest(
        header=core_pb2.RequestHeader(tenant=tenant, subject=person(subject)),
        document=text,
        dry_run=dry_run,
        allow_lockout=allow_lockout,
        expected_revision=expected_revision,
    )
    with _faults_of(str(file)), connection.channel() as channel:
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
    request = pb.GetPolicyRequest(header=core_pb2.RequestHeader(tenant=tenant, subject=person(subject)))
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
