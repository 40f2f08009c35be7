"""`linewarden usage`: anonymous counts, and the choice to share them."""

import click

from linewarden.cli.client import Connection, connecting, subject_option, tenant_option
from linewarden.cli.rpc import rpc


@click.command()
@connecting
@tenant_option
@subject_option
@click.argument("choice", type=click.Choice(["on", "off"]))
def share(connection: Connection, tenant: str, subject: str, choice: str) -> None:
    """Share anonymous counts, or stop sharing them. Captures do not depend on it."""
    answer = rpc(connection, "ShareUsage", tenant, subject, share=choice == "on")
    click.echo(f"linewarden: shared: {'yes' if answer.shares_usage else 'no'}", err=True)


@click.command()
@connecting
@tenant_option
@subject_option
def show(connection: Connection, tenant: str, subject: str) -> None:
    """Print the document that would be sent, byte for byte."""
    click.echo(rpc(connection, "GetUsage", tenant, subject).document, nl=False)
