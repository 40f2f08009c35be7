"""From exceptions to exit codes and one clear line on stderr.

0 done, or allowed; 1 denied, not verified, or a policy file is wrong; 2 wrong usage or a request the server calls
invalid; 3 unavailable; 4 refused for want of rights or trust; 5 done, but the answer is incomplete; 141 the reader of
the output went away.
"""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import click

DENIED = 1
USAGE = 2
UNAVAILABLE = 3
REFUSED = 4
INCOMPLETE = 5
#: The code that a shell states for a process that SIGPIPE ended: the reader of the output went away.
OUTPUT_CLOSED = 141

#: More values than these are not listed in an error.
FEW = 8

Report = tuple[int, str]


class Failure(Exception):
    """A command cannot go on; the text says what is wrong, where, and what to do."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class ReportingGroup(click.Group):
    """A group that turns failures of its commands into messages and exit codes."""

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        """Read the words of the command line."""
        with _failures_reported():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _failures_reported():
            return super().invoke(ctx)


def fail(code: int, message: str) -> None:
    """End with a message on stderr."""
    with suppress(OSError, ValueError):  # the exit code is right even where stderr cannot be written
        click.echo(f"linewarden: {message}", err=True)
    raise click.exceptions.Exit(code)


@contextmanager
def _failures_reported() -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except BrokenPipeError:
        _abandon_output()
        raise click.exceptions.Exit(OUTPUT_CLOSED) from None
    except Exception as error:
        report = _report_of(type(error))
        if report is None:
            raise
        if isinstance(error, OSError):
            _abandon_output()
        fail(*report(error))


def _report_of(kind: type[BaseException]) -> Callable[[Any], Report] | None:
    """The report on exceptions of a class: that of the class itself, or of the nearest class it is derived from."""
    names = (f"{one.__module__}.{one.__qualname__}" for one in kind.__mro__)
    return next((REPORTS[name] for name in names if name in REPORTS), None)


def cause_of(error: BaseException) -> str:
    """The first line of what a database or the system says went wrong."""
    error = getattr(error, "orig", None) or error  # SQLAlchemy's own text is longer
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _of_system(error: OSError) -> str:
    if error.filename is not None and error.strerror:
        names = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
        return f"{names}: {error.strerror}"
    return error.strerror or str(error)


def _abandon_output() -> None:
    """Discard what cannot be written, because Python would report it once more when the process ends."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _usage(error: click.UsageError) -> Report:
    from linewarden.cli.usage_errors import explain  # noqa: PLC0415 - only where an error is reported

    return USAGE, explain(error)


def _rpc_failure(error: Any) -> Report:
    from linewarden.cli.rpc_errors import explain  # noqa: PLC0415 - gRPC is loaded where its error was raised

    return explain(error)


def _unavailable(error: BaseException) -> Report:
    return UNAVAILABLE, f"{error}: {cause_of(error.__cause__)}" if error.__cause__ else str(error)


def _policy(error: Any) -> Report:
    return DENIED, "; ".join([str(error), *(f"line {one.line}: {one.message}" for one in error.errors[:FEW])])


def _settings(error: Any) -> Report:
    faults = (f"{'.'.join(map(str, one['loc'])) or 'settings'}: {one['msg']}" for one in error.errors())
    return USAGE, "; ".join(faults)


#: Reports on exceptions, by the full names of their classes: to name a class imports no library and no room of ours.
REPORTS: dict[str, Callable[[Any], Report]] = {
    "click.exceptions.UsageError": _usage,
    "click.exceptions.ClickException": lambda error: (USAGE, error.format_message()),
    "grpc.RpcError": _rpc_failure,
    "linewarden.cli.exit_codes.Failure": lambda error: (error.code, str(error)),
    "linewarden.authz.errors.PolicyInvalid": _policy,
    "linewarden.authz.errors.AddressInvalid": lambda error: (USAGE, str(error)),
    "linewarden.authz.errors.PolicyLockout": lambda error: (DENIED, f"{error}, which is --allow-lockout"),
    "pydantic_core._pydantic_core.ValidationError": _settings,
    "linewarden.audit.errors.VerificationFailed": lambda error: (DENIED, str(error)),
    "linewarden.audit.errors.LogUnavailable": _unavailable,
    "linewarden.audit.secret_files.SecretExposed": lambda error: (REFUSED, str(error)),
    "linewarden.server.addresses.AddressTaken": lambda error: (UNAVAILABLE, str(error)),
    "builtins.OSError": lambda error: (USAGE, _of_system(error)),
    "linewarden.audit.errors.AuditError": lambda error: (USAGE, str(error)),
    "builtins.ValueError": lambda error: (USAGE, str(error)),
}
