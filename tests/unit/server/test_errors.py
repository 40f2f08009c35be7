"""Statuses of errors: table, reasons and exceptions cover each other, and no value of a request comes back."""

import ast
import inspect
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from linewarden.audit import errors as audit
from linewarden.authz import errors as authz
from linewarden.server import errors as server
from linewarden.server.errors import TABLE, InvalidRequest, Violation, reason_of
from linewarden.server.grpc_status import DOMAIN, abort, refusal
from linewarden.v1.error_reason_pb2 import ErrorReason
from tests.deadlines import HANG_S

#: The metadata that callers and proxies allow by default, bytes.
_METADATA_LIMIT = 8 * 1024
#: Exceptions that no rpc answers with: a caller within the packages catches them, or they end a start or a command.
_CAUGHT_WITHIN = {
    *("Abandoned", "AddressTaken", "Malformed", "NotServed", "OddValue", "Refused", "SecretExposed", "TooLong"),
    *("AnalysisFailed", "AnalysisRefused", "CaptureError", "EvidenceLost", "FilterRefused", "SourceUnusable"),
    *("OrderInvalid", "OrderRefused", "TicketRefused"),
    *("DiskFull", "ReaderInvalid", "SealBroken", "SealFailed", "SealingError"),
    "CallerGone",  # no caller is there who could be told
    "PlainStatus",  # a status already
    "IndexDamaged",  # a search makes the index anew; if that does not help, it is told as a LogUnavailable
}
_CONTRACT = Path(__file__).parents[3] / "protos/linewarden/v1/error_reason.proto"


def _classes(module: ModuleType) -> Iterator[type[Exception]]:
    for _, kind in inspect.getmembers(module, inspect.isclass):
        if issubclass(kind, Exception) and kind.__module__ == module.__name__ and not kind.__name__.startswith("_"):
            yield kind


#: Every package that the table speaks of has all its exceptions in it.
_TREES = {sys.modules[kind.__module__] for kind in TABLE}
_OURS = {kind for module in _TREES for kind in _classes(module)}
#: Reasons with higher numbers are told for exceptions of diagnostics.
_DIAGNOSTICS_SERVED = any(module.__name__ == "linewarden.diagnostics.errors" for module in _TREES)
_LAST = ErrorReason.DESCRIPTOR.values[-1].number if _DIAGNOSTICS_SERVED else ErrorReason.ERROR_REASON_INTERNAL


def _made(kind: type[Exception]) -> Exception:
    """An exception of that class; its text and parts hold what must not come back."""
    made: dict[type[Exception], Exception] = {
        InvalidRequest: InvalidRequest((Violation("tenant", "string.min_len", "must have at least 1 character(s)"),)),
        authz.PolicyInvalid: authz.PolicyInvalid((authz.LineError(3, "not a verb"),)),
        authz.PolicyRevisionMismatch: authz.PolicyRevisionMismatch(42),
        audit.PersonsTooFast: audit.PersonsTooFast(1_000),
        audit.PersonsTooMany: audit.PersonsTooMany(1_000),
        audit.LogDamaged: audit.LogDamaged("of alice at 192.0.2.7", (7,)),
    }
    if kind in made:
        return made[kind]
    if hasattr(kind, "detail"):  # one word of the contract, told to anybody
        return kind("seconds")
    return kind("4711") if kind is authz.SubjectNotPermitted else kind("of alice at 192.0.2.7")


_EVERY = [pytest.param(_made(kind), id=kind.__name__) for kind in sorted(_OURS, key=lambda kind: kind.__name__)]


def test_table_reasons_and_exceptions_cover_each_other() -> None:
    """Each exception of ours has a row, each row is one, each reason of the contract is told, and no other."""
    assert {audit, authz, server} <= _TREES
    assert set(TABLE) == _OURS
    reasons = {name.removeprefix("ERROR_REASON_") for name, number in ErrorReason.items() if 0 < number <= _LAST}
    assert {told.reason for told in TABLE.values()} == reasons


def test_an_exception_of_ours_is_in_the_table_or_ends_below_the_rpcs() -> None:
    """Each class of exception of ours has a row of the table, or is known to be caught before an rpc answers."""
    known = {kind.__name__ for kind in _OURS} | _CAUGHT_WITHIN
    found = {name: path.name for path in _sources() for name in _exceptions_in(path)}
    assert len(found) > len(_CAUGHT_WITHIN)
    assert {name: file for name, file in found.items() if name not in known} == {}


def _sources() -> Iterator[Path]:
    for package in ("audit", "authz", "diagnostics", "server"):
        yield from (Path(__file__).parents[3] / package).rglob("*.py")


def _exceptions_in(path: Path) -> Iterator[str]:
    """The names of classes whose bases are named like exceptions, or are exceptions of the table."""
    known = {kind.__name__ for kind in _OURS} | _CAUGHT_WITHIN
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            bases = {ast.unparse(base).rpartition(".")[2] for base in node.bases}
            if any(base in known or base.endswith(("Error", "Exception")) for base in bases):
                yield node.name


def test_statuses_are_those_of_the_contract() -> None:
    """The status of each reason is the one its comment in the contract begins with."""
    text = _CONTRACT.read_text(encoding="utf-8")
    for told in TABLE.values():
        assert f"// ERROR_REASON_{told.reason} is {told.code}: " in text


@pytest.mark.parametrize("error", _EVERY)
def test_texts_are_fixed(error: Exception) -> None:
    """Texts are short, the same for every request, and hold nothing of the exception's own."""
    told = refusal(error)
    assert told.message == server.status_of(error).text
    assert len(told.message) < 100
    assert "alice" not in str(told)
    assert "192.0.2.7" not in str(told)


def test_reasons_stand_in_the_log_in_lower_case() -> None:
    """The record of a refusal has the reason in the spelling of other reasons."""
    assert reason_of(audit.TenantUnknown("x")) == "tenant_unknown"
    assert reason_of(KeyError("x")) == "internal"


def test_a_refusal_in_a_stream_says_what_a_status_would() -> None:
    """A refused request of a stream is told its code, reason, text and fields."""
    told = refusal(_made(InvalidRequest))
    assert (told.code, told.reason, list(told.fields)) == (3, ErrorReason.ERROR_REASON_INVALID_REQUEST, ["tenant"])


@pytest.fixture
async def service() -> AsyncIterator[tuple[list[Exception], "grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]"]]:
    """A real server that aborts with the exception in the list, and the call to it."""
    errors: list[Exception] = []

    async def fail(_request: bytes, context: Any) -> bytes:
        await abort(context, errors[0])

    handlers: dict[str, Any] = {"Fail": grpc.unary_unary_rpc_method_handler(fail)}
    one = grpc.aio.server()
    one.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Failing", handlers),))
    port = one.add_insecure_port("127.0.0.1:0")
    await one.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield errors, channel.unary_unary("/test.Failing/Fail")
    await one.stop(None)


async def _status(service: Any, error: Exception) -> tuple[grpc.aio.AioRpcError, status_pb2.Status]:
    errors, call = service
    errors[:] = [error]
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call(b"", timeout=HANG_S)
    status = status_pb2.Status()
    trailers = failed.value.trailing_metadata()
    status.ParseFromString(dict(trailers)[rpc_status.GRPC_DETAILS_METADATA_KEY])
    return failed.value, status


def _detail(status: status_pb2.Status, kind: Any) -> Any:
    found = kind()
    assert sum(detail.Unpack(found) for detail in status.details) <= 1
    return found


@pytest.mark.parametrize("error", [*_EVERY, pytest.param(KeyError("alice"), id="KeyError")])
async def test_a_caller_gets_a_rich_status(service: Any, error: Exception) -> None:
    """Code, text, reason and domain reach the caller; when to come again, if it may; nothing of the exception's own."""
    failed, status = await _status(service, error)
    told = server.status_of(error)
    assert (failed.code().name, failed.details()) == (told.code, told.text)
    assert (status.code, status.message) == (grpc.StatusCode[told.code].value[0], told.text)
    info = _detail(status, error_details_pb2.ErrorInfo)
    assert (info.reason, info.domain) == (told.reason, DOMAIN)
    wait = _detail(status, error_details_pb2.RetryInfo).retry_delay
    assert (wait.ToTimedelta().total_seconds() > 0) == (told.code is server.Code.UNAVAILABLE)
    assert "alice" not in str(status)
    assert "192.0.2.7" not in str(status)


@pytest.mark.parametrize(
    ("kind", "metadata"),
    [
        (authz.SubjectNotPermitted, {"decision": "4711"}),
        (authz.PolicyRevisionMismatch, {"revision": "42"}),
        (authz.PolicyInvalid, {"errors": "1"}),
        (audit.LogDamaged, {"entries": "7"}),
        (InvalidRequest, {}),
    ],
)
async def test_metadata_is_that_of_the_contract(service: Any, kind: type[Exception], metadata: dict[str, str]) -> None:
    """The ErrorInfo has the metadata of the worked examples in the contract."""
    _, status = await _status(service, _made(kind))
    assert dict(_detail(status, error_details_pb2.ErrorInfo).metadata) == metadata


async def test_wrong_fields_and_lines_are_named(service: Any) -> None:
    """A BadRequest names the fields of a request, and the lines of a policy, with what is wrong."""
    _, status = await _status(service, _made(InvalidRequest))
    (field,) = _detail(status, error_details_pb2.BadRequest).field_violations
    assert (field.field, field.description) == ("tenant", "must have at least 1 character(s)")
    _, status = await _status(service, _made(authz.PolicyInvalid))
    (line,) = _detail(status, error_details_pb2.BadRequest).field_violations
    assert (line.field, line.description) == ("line 3", "not a verb")


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequest(tuple(Violation(f"items[499].resource.parties[{n}]", "r", "x" * 90) for n in range(500))),
        InvalidRequest(tuple(Violation(f"items[499].resource.parties[{n}]", "r", "x" * 3_000) for n in range(500))),
        InvalidRequest((Violation("filter.kinds", "r", "x" * 30_000),)),
        authz.PolicyInvalid(tuple(authz.LineError(1_000_000 + n, "x" * 3_000) for n in range(500))),
    ],
    ids=["fields", "long fields", "one long field", "lines"],
)
async def test_a_status_always_fits(service: Any, error: Exception) -> None:
    """However much is wrong, the status stays within the metadata that callers take, and so reaches them."""
    failed, status = await _status(service, error)
    assert failed.code() is grpc.StatusCode.INVALID_ARGUMENT
    # Binary metadata travels as base64, the text of the status once more beside it.
    assert status.ByteSize() * 4 / 3 < _METADATA_LIMIT * 3 / 4
    assert _detail(status, error_details_pb2.BadRequest).field_violations


async def test_the_list_of_permitted_values_of_one_field_is_whole(service: Any) -> None:
    """A single wrong field has room for a list of what it permits."""
    listed = ", ".join(f"kind.number_{n}" for n in range(100))
    _, status = await _status(service, InvalidRequest((Violation("filter.kinds", "r", listed),)))
    (field,) = _detail(status, error_details_pb2.BadRequest).field_violations
    assert field.description == listed
