"""The one way in: every rpc of the contract is served, through the wrapper, with a request that has a header."""

import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from linewarden.server.access import AccessServicer
from linewarden.server.audit import AuditServicer
from linewarden.server.bootstrap import SERVICES
from linewarden.server.diagnostics.attestations import AttestationServicer
from linewarden.server.diagnostics.captures import CaptureServicer
from linewarden.server.diagnostics.notices import NoticeServicer
from linewarden.server.diagnostics.probes import ProbeServicer
from linewarden.server.diagnostics.terms import TermsServicer
from linewarden.server.diagnostics.usage import UsageServicer
from linewarden.server.policy import PolicyServicer
from linewarden.server.rpc import NotServed, Rpc, served, snake_case

_CONTRACT = Path(__file__).parents[3] / "protos/linewarden/v1"
_SERVICERS: dict[str, Any] = {
    "AccessService": AccessServicer,
    "AttestationService": AttestationServicer,
    "AuditService": AuditServicer,
    "CaptureService": CaptureServicer,
    "NoticeService": NoticeServicer,
    "PolicyService": PolicyServicer,
    "ProbeService": ProbeServicer,
    "TermsService": TermsServicer,
    "UsageService": UsageServicer,
}
#: Served by itself: its callers are capture workers, whom their certificates name.
_OF_WORKERS = "CaptureWorkerService"
#: More rpcs than these are more than one noun.
_MOST_RPCS = 16


def _declared() -> Iterator[ServiceDescriptor]:
    for file in sorted(_CONTRACT.glob("*.proto")):
        yield from import_module(f"linewarden.v1.{file.stem}_pb2").DESCRIPTOR.services_by_name.values()


def _added(service: ServiceDescriptor, servicer: object) -> list[Rpc]:
    nothing: Any = object()  # nothing is called
    return served(service, servicer, nothing, nothing, 1)


def test_every_service_of_the_contract_is_served() -> None:
    """A service that is added to the contract is served, or the test of it fails."""
    assert {service.name for service in SERVICES} == {one.name for one in _declared()} - {_OF_WORKERS}
    assert set(_SERVICERS) == {service.name for service in SERVICES}


@pytest.mark.parametrize("service", SERVICES, ids=lambda service: service.name)
def test_every_rpc_is_served_by_its_method(service: ServiceDescriptor) -> None:
    """Each rpc has a handler of its kind, and its method takes and returns the messages of the contract."""
    servicer = _SERVICERS[service.name]
    rpcs = {rpc.path: rpc for rpc in _added(service, servicer.__new__(servicer))}
    assert len(rpcs) == len(service.methods)
    for method in service.methods:
        rpc = rpcs[f"/{service.full_name}/{method.name}"]
        assert (rpc.client_streaming, rpc.server_streaming) == (
            method.client_streaming,
            method.server_streaming,
        )
        hints = get_type_hints(getattr(servicer, snake_case(method.name)))
        answer = hints.pop("return")
        taken = [kind for kind in hints.values() if hasattr(kind, "DESCRIPTOR")]
        assert GetMessageClass(method.input_type) in {*taken, *_embedding(method, taken)}, method.full_name
        assert GetMessageClass(method.output_type) in {answer, *getattr(answer, "__args__", ())}, method.full_name


def _embedding(method: Any, taken: list[Any]) -> set[Any]:
    """The message of a stream of requests, where the method takes the request that is in each."""
    inside = {field.message_type for field in method.input_type.fields if field.message_type}
    both = method.client_streaming and method.server_streaming
    return {GetMessageClass(method.input_type)} if both and any(kind.DESCRIPTOR in inside for kind in taken) else set()


def test_a_forgotten_method_does_not_start() -> None:
    """A servicer without the method of an rpc is refused when it is added."""
    service = next(one for one in SERVICES if one.name == "AccessService")

    class Partial:
        """Answers Check alone."""

        async def check(self, _admitted: object, _request: object) -> None:
            """Nothing."""

    with pytest.raises(NotServed, match="check_batch for AccessService/CheckBatch"):
        _added(service, Partial())


def test_a_request_without_a_header_does_not_start() -> None:
    """An rpc whose request says nothing of tenant and subject is refused when it is added."""
    (worker,) = [one for one in _declared() if one.name == _OF_WORKERS]

    class Everything:
        """Has every method."""

        def __getattr__(self, name: str) -> Any:
            return lambda *_: None

    with pytest.raises(NotServed, match="without a header"):
        _added(worker, Everything())


def test_no_service_is_more_than_one_noun() -> None:
    """No service has more rpcs than one noun needs."""
    assert {one.name: len(one.methods) for one in _declared() if len(one.methods) > _MOST_RPCS} == {}


def test_no_servicer_sees_the_protocol() -> None:
    """A method of a servicer gets what was admitted, and no context of gRPC that could lead round the admission."""
    for service in SERVICES:
        for method in service.methods:
            names = inspect.signature(getattr(_SERVICERS[service.name], snake_case(method.name))).parameters
            assert next(iter([name for name in names if name != "self"])) == "admitted", method.full_name
            assert "context" not in names
