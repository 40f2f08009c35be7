"""The command `linewarden`.

For the operator: init, serve, tenant, key, worker, recover. For the administrator: policy, assignments, diagnostics,
capture. For the auditor: audit. As a backend: check.

Data goes to stdout, messages to stderr; `exit_codes` lists the exit codes. A module holds commands with the same
needs, and imports at its head only what they need. `tree` is the table of all commands.
"""

import os
import sys

import click

from linewarden.cli.lazy_group import GroupEntry, LazyGroup
from linewarden.cli.output import Forgiving
from linewarden.cli.tree import COMMANDS


def _prepare() -> None:
    """Prepare the process for any command."""
    # Databases, exports and evidence can be read by the user who runs the command, and by no other one.
    os.umask(0o077)
    _hold_standard_files()
    if sys.stderr is not None:  # a process may begin without one
        sys.stderr = Forgiving(sys.stderr)


def _hold_standard_files() -> None:
    """Open /dev/null in place of closed standard files, because messages would be written to the next file opened."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one


main = LazyGroup(
    "linewarden",
    GroupEntry("Control and record access to telephony recordings, and capture packets with consent.", COMMANDS),
    callback=_prepare,
    context_settings={"help_option_names": ["-h", "--help"]},
)
click.version_option(package_name="linewarden")(main)
