"""From exceptions to exit codes and one clear line on stderr."""

import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from typing import Any

import click
import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from pydantic import ValidationError

from linewarden.audit.errors import AuditError, LogUnavailable, VerificationFailed
from linewarden.audit.secret_files import SecretExposed
from linewarden.authz.errors import PolicyInvalid, PolicyLockout
from linewarden.server.addresses import AddressTaken

DENIED = 1
USAGE = 2
UNAVAILABLE = 3
REFUSED = 4
#: What a shell says of a process that SIGPIPE ended: whoever read the output went away.
OUTPUT_CLOSED = 141

#: What a detail of an error may look like: a word of the contract or a number, and nothing that a terminal obeys.
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_CHOSEN = re.compile(r"'(.*)' is not one of ", re.DOTALL)
#: More choices than these are not listed in an error.
_FEW = 8

_EXIT_CODES = {
    grpc.StatusCode.INVALID_ARGUMENT: USAGE,
    grpc.StatusCode.NOT_FOUND: USAGE,
    grpc.StatusCode.ABORTED: USAGE,
    grpc.StatusCode.FAILED_PRECONDITION: DENIED,
    grpc.StatusCode.UNAUTHENTICATED: REFUSED,
    grpc.StatusCode.PERMISSION_DENIED: REFUSED,
    grpc.StatusCode.DATA_LOSS: DENIED,
}


class Failure(Exception):
    """A command cannot go on; the text says what is wrong, where, and what to do."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def failing_clearly(kind: type[click.Group]) -> type[click.Group]:
    """The group with failures of its commands turned into messages and exit codes."""

    class Failing(kind):  # type: ignore[misc, valid-type]
        def make_context(self, *args: Any, **more: Any) -> click.Context:
            with _failures_told():
                return super().make_context(*args, **more)  # type: ignore[no-any-return]

        def invoke(self, ctx: click.Context) -> Any:
            with _failures_told():
                return super().invoke(ctx)

    return Failing


def fail(code: int, message: str) -> None:
    """End with a message on stderr."""
    with suppress(OSError, ValueError):  # who cannot be told still gets the exit code
        click.echo(f"linewarden: {message}", err=True)
    raise click.exceptions.Exit(code)


@contextmanager
def _failures_told() -> Iterator[None]:
    try:
        yield
    except click.exceptions.NoArgsIsHelpError:
        raise
    except BrokenPipeError:
        _abandon_output()
        raise click.exceptions.Exit(OUTPUT_CLOSED) from None
    except tuple(kind for kind, _ in _TOLD) as error:
        if isinstance(error, OSError):
            _abandon_output()
        fail(*next(tell for kind, tell in _TOLD if isinstance(error, kind))(error))


def cause_of(error: BaseException) -> str:
    """What a database or the system says went wrong, in one line."""
    error = getattr(error, "orig", None) or error  # SQLAlchemy's own text is longer
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def _of_system(error: OSError) -> str:
    if error.filename is not None and error.strerror:
        names = " and ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
        return f"{names}: {error.strerror}"
    return error.strerror or str(error)


def _abandon_output() -> None:
    """Let what cannot be written be lost: Python would complain of it once more when the process ends."""
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _usage(error: click.UsageError) -> str:
    """What is wrong with the words of a command, and where its help is, in two lines."""
    text = _parameter_fault(error) if isinstance(error, click.BadParameter) else error.format_message()
    text = " ".join(text.split()).removesuffix(".")
    return text if error.ctx is None else f"{text}\nTry '{error.ctx.command_path} --help'."


def _parameter_fault(error: click.BadParameter) -> str:
    hint = error.param_hint if error.param is None else _name_of(error.param)
    name = " ".join([hint] if isinstance(hint, str) else hint or ())
    if isinstance(error, click.MissingParameter):
        variable = getattr(error.param, "envvar", None) if getattr(error.param, "show_envvar", False) else None
        return f"{name} is missing" + (f"; give it, or set {variable}" if isinstance(variable, str) else "")
    message = error.message
    if isinstance(error.param and error.param.type, click.Choice) and (chosen := _CHOSEN.match(message)):
        message = _not_one_of(chosen[1], [str(one) for one in error.param.type.choices])  # type: ignore[union-attr]
    return f"{name}: {message}" if name else message


def _not_one_of(value: str, choices: list[str]) -> str:
    close = get_close_matches(value, choices, 3)
    if close:
        return f"there is no {value}; did you mean {' or '.join(close)}?"
    few = f": {', '.join(choices)}" if len(choices) <= _FEW else ""
    return f"{value} is not one of its values{few}"


def _name_of(parameter: click.Parameter) -> str:
    return max(parameter.opts, key=len) if isinstance(parameter, click.Option) else (parameter.name or "").upper()


def _rpc_failure(error: grpc.RpcError) -> tuple[int, str]:
    if not isinstance(error, grpc.Call):
        return UNAVAILABLE, "the call failed"
    code = error.code()
    status = rpc_status.from_call(error)
    message = error.details() or code.name
    if status is None:  # not from Linewarden: nobody answers there, or something else does
        return _EXIT_CODES.get(code, UNAVAILABLE), f"{code.name.lower()}: {message}"
    message += _named(status.details)
    for detail in status.details:
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            for violation in bad.field_violations:
                message += f"\n  {violation.field}: {violation.description}"
    return _EXIT_CODES.get(code, UNAVAILABLE), message


def policy_faults(error: grpc.RpcError) -> list[tuple[int, str]]:
    """What a server finds wrong with a policy, by line; empty if the error is another one."""
    if not isinstance(error, grpc.Call):
        return []
    status = rpc_status.from_call(error)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    if status is None or not any(one.Unpack(info) and info.reason == "POLICY_INVALID" for one in status.details):
        return []
    violations = [one for detail in status.details if detail.Unpack(bad) for one in bad.field_violations]
    lines = ((one.field.removeprefix("line "), one.description) for one in violations)
    return [(int(line), message) for line, message in lines if line.isdecimal()]


def _named(details: Iterable[Any]) -> str:
    """What the error is about, as its ErrorInfo names it: ` (limit: seconds)`."""
    info = error_details_pb2.ErrorInfo()
    pairs = [pair for detail in details if detail.Unpack(info) for pair in sorted(info.metadata.items())]
    shown = [f"{name}: {value}" for name, value in pairs if _WORD.fullmatch(name) and _WORD.fullmatch(value)]
    return f" ({', '.join(shown)})" if shown else ""


def _unavailable(error: LogUnavailable) -> tuple[int, str]:
    return UNAVAILABLE, f"{error}: {cause_of(error.__cause__)}" if error.__cause__ else str(error)


def _policy(error: PolicyInvalid) -> tuple[int, str]:
    return DENIED, "; ".join([str(error), *(f"line {one.line}: {one.message}" for one in error.errors[:_FEW])])


def _settings(error: ValidationError) -> tuple[int, str]:
    faults = (f"{'.'.join(map(str, one['loc'])) or 'settings'}: {one['msg']}" for one in error.errors())
    return USAGE, "; ".join(faults)


#: Exceptions, what becomes of them: an exit code and a text. The first class that fits is taken.
_TOLD: tuple[tuple[type[BaseException], Callable[[Any], tuple[int, str]]], ...] = (
    (click.UsageError, lambda error: (USAGE, _usage(error))),
    (click.ClickException, lambda error: (USAGE, error.format_message())),
    (grpc.RpcError, _rpc_failure),
    (Failure, lambda error: (error.code, str(error))),
    (PolicyInvalid, _policy),
    (PolicyLockout, lambda error: (DENIED, f"{error}, which is --allow-lockout")),
    (ValidationError, _settings),
    (VerificationFailed, lambda error: (DENIED, str(error))),
    (LogUnavailable, _unavailable),
    (SecretExposed, lambda error: (REFUSED, str(error))),
    (AddressTaken, lambda error: (UNAVAILABLE, str(error))),
    (OSError, lambda error: (USAGE, _of_system(error))),
    (AuditError, lambda error: (USAGE, str(error))),
    (ValueError, lambda error: (USAGE, str(error))),
)
