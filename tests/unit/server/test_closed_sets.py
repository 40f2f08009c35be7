"""The server serves the whole contract, and reads every field of it that decisions depend on."""

from importlib import import_module
from inspect import getmembers, isclass
from pkgutil import iter_modules
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor import FieldDescriptor, ServiceDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

from linewarden import server, v1
from linewarden.server import access, diagnostics
from linewarden.server.bootstrap import SERVICES
from linewarden.server.messages import context_of
from linewarden.server.rpc import Rpcs
from linewarden.v1 import core_pb2

#: Served at an address of its own, to workers, which have certificates in place of keys.
_OF_WORKERS = {"CaptureWorkerService"}


def _services() -> dict[str, ServiceDescriptor]:
    """Every service of the contract."""
    modules = [import_module(f"{v1.__name__}.{one.name}") for one in iter_modules(v1.__path__)]
    return {
        name: service
        for module in modules
        if module.__name__.endswith("_pb2")
        for name, service in module.DESCRIPTOR.services_by_name.items()
    }


def _servicers() -> dict[str, type]:
    """The class that serves each service: `AuditServicer` serves AuditService."""
    modules = [
        import_module(f"{package.__name__}.{one.name}")
        for package in (server, diagnostics)
        for one in iter_modules(package.__path__)
    ]
    return {
        name.removesuffix("r"): kind
        for module in modules
        for name, kind in getmembers(module, isclass)
        if name.endswith("Servicer") and kind.__module__ == module.__name__
    }


def test_every_service_of_the_contract_is_served() -> None:
    """A service that a file of the contract adds is in the list of those that the server serves."""
    assert {service.name for service in SERVICES} == set(_services()) - _OF_WORKERS


@pytest.mark.parametrize("service", SERVICES, ids=lambda one: str(one.name))
async def test_every_rpc_of_the_contract_has_its_method(service: ServiceDescriptor) -> None:
    """A servicer has a method for each rpc of its service."""
    servicer = _servicers()[service.name]
    never: Any = None
    Rpcs(grpc.aio.server(), never, never, 1).add(service, object.__new__(servicer))


_CONTEXT = core_pb2.Context(
    purpose=core_pb2.PURPOSE_LEGAL, case_reference="T-1", network_zone="lab", consent=core_pb2.CONSENT_GIVEN
)
_RESOURCE = core_pb2.Resource(
    type=core_pb2.RESOURCE_TYPE_FAX,
    id="f-1",
    owner="owen",
    queue="sales",
    created_at=Timestamp(seconds=7),
    labels={"k": "v"},
    parties=["+4930"],
    tenant="globex",
)


@pytest.mark.parametrize("field", list(core_pb2.Context.DESCRIPTOR.fields), ids=lambda one: str(one.name))
def test_every_field_of_the_context_is_read(field: FieldDescriptor) -> None:
    """A field of the contract's context is a circumstance that the rules can take into account."""
    other = core_pb2.Context()
    other.CopyFrom(_CONTEXT)
    other.ClearField(field.name)
    assert other != _CONTEXT, "give the context of this test a value for the field"
    with_field, without = (context_of(core_pb2.RequestHeader(context=one), 9) for one in (_CONTEXT, other))
    assert with_field != without


@pytest.mark.parametrize("field", list(core_pb2.Resource.DESCRIPTOR.fields), ids=lambda one: str(one.name))
def test_every_field_of_the_resource_is_read(field: FieldDescriptor) -> None:
    """A field of the contract's resource is an attribute of the item that is decided on."""
    other = core_pb2.Resource()
    other.CopyFrom(_RESOURCE)
    other.ClearField(field.name)
    assert other != _RESOURCE, "give the resource of this test a value for the field"
    other.type = other.type or core_pb2.RESOURCE_TYPE_VOICEMAIL
    with_field, without = (access._access("acme", core_pb2.VERB_PLAY, one) for one in (_RESOURCE, other))
    assert with_field != without
