"""The command `linewarden`.

For the operator: init, serve, tenant, key, worker, recover. For the administrator: policy. For the auditor: audit. As
a backend: check.

Data goes to stdout, messages to stderr. Exit codes: 0 done, or allowed; 1 denied, not verified, or a policy file is
wrong; 2 wrong usage or a request the server calls invalid; 3 unavailable; 4 refused for want of rights or trust; 141
the reader of the output went away.
"""

import os
import sys

import click

from linewarden.cli.audit import audit
from linewarden.cli.capture import capture
from linewarden.cli.check import check
from linewarden.cli.diagnostics import diagnostics, usage
from linewarden.cli.exit_codes import failing_clearly
from linewarden.cli.key import key
from linewarden.cli.output import Forgiving
from linewarden.cli.policy import policy
from linewarden.cli.recover import recover_command
from linewarden.cli.serve import housekeep, init, serve
from linewarden.cli.tenant import tenant
from linewarden.cli.worker import worker


@click.group(cls=failing_clearly(click.Group), context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="linewarden")
def main() -> None:
    """Who may listen, who did, and who was told."""
    # Databases, exports and evidence are for whoever runs the command, and for nobody else on the machine.
    os.umask(0o077)
    _hold_standard_files()
    if sys.stderr is not None:  # as it is where a process begins without one
        sys.stderr = Forgiving(sys.stderr)


def _hold_standard_files() -> None:
    """Open /dev/null in place of standard files that are closed: the next file opened would be written messages to."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest free number, which is this one


_OPERATOR = (init, serve, housekeep, key, tenant, worker, recover_command)
for command in (*_OPERATOR, check, policy, audit, diagnostics, capture, usage):
    main.add_command(command)
