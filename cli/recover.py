"""`linewarden recover`: accept a log that is older than it was seen before, or a clock that was set back."""

from collections.abc import Collection
from pathlib import Path

import click

from linewarden.cli.operator import configured, opened_storage
from linewarden.cli.output import output_option, write_rows
from linewarden.server.bootstrap import now_us
from linewarden.server.operator_actions import check_reason
from linewarden.server.recovery import correct_clock, recover, rolled_back
from linewarden.server.storage import Storage

_SYSTEM = "(system log)"


@click.command(name="recover")
@configured
@click.option("--tenant", "tenants", multiple=True, help="Accept the log of this tenant; may be repeated.")
@click.option("--system", is_flag=True, help="Accept the system log, with the API keys as they are.")
@click.option("--all", "everything", is_flag=True, help="Accept every log that is refused.")
@click.option("--clock", is_flag=True, help="Set the time of all logs back to the clock of this machine.")
@click.option("--reason", default="", help="The reason, recorded in the log in clear text: name no person.")
@output_option
def recover_command(
    config: Path | None,
    output: str,
    tenants: tuple[str, ...],
    reason: str,
    *,
    system: bool,
    everything: bool,
    clock: bool,
) -> None:
    """Show the logs that are older than they were seen before, or accept them as they are.

    Servers refuse such logs. Restore the newest database instead, if there is one: entries that are missing here are
    lost otherwise. An accepted log continues under a new origin. Its first entry records the loss, the reason and the
    account that accepted it. Running servers notice at once. After --clock, start the servers again.
    """
    acts = bool(tenants) or system or everything or clock
    if acts:
        try:
            check_reason(reason)
        except ValueError as error:
            raise click.UsageError(f"--reason: {error}") from error
    with opened_storage(config) as storage:
        if clock:
            for tenant in correct_clock(storage, reason, now_us()):
                click.echo(f"linewarden: the time of {tenant or _SYSTEM} is set to the clock of this machine", err=True)
        wrong = rolled_back(storage)
        names = {head.log: head.tenant or _SYSTEM for head in storage.log.heads()}
        if not acts:
            rows = [
                {"log": names[log], "expected": error.expected, "found": error.found, "because": str(error)}
                for log, error in wrong.items()
            ]
            write_rows(rows, ("log", "expected", "found", "because"), output)
            return
        chosen = _chosen(names, wrong.keys(), tenants, system=system, everything=everything)
        for log in chosen:
            _accept(storage, log, names[log], reason)


def _chosen(
    names: dict[int, str], wrong: Collection[int], tenants: tuple[str, ...], *, system: bool, everything: bool
) -> list[int]:
    """The numbers of the logs to accept; a log that is as it was seen before is refused."""
    logs = {name: log for log, name in names.items()}
    if everything:
        return sorted(wrong)
    chosen = [*([_SYSTEM] if system else []), *tenants]
    for name in chosen:
        if name not in logs:
            raise click.UsageError(f"there is no tenant {name!r}: see `linewarden tenant list`")
        if logs[name] not in wrong:
            raise click.UsageError(f"the log of {name} is as it was seen before: there is nothing to recover")
    return [logs[name] for name in chosen]


def _accept(storage: Storage, log: int, name: str, reason: str) -> None:
    done = recover(storage, log, reason, now_us())
    lost = max(0, done.anchored - done.size)
    click.echo(
        f"linewarden: {name} continues after {done.size} entries under the origin {done.origin}; "
        f"of the last checkpoint {lost} entries are lost",
        err=True,
    )
