"""The server reads every field of the contract that decisions depend on."""

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

from linewarden.server import access
from linewarden.server.messages import context_of
from linewarden.v1 import core_pb2

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
    participants=[core_pb2.Participant(role=core_pb2.PARTICIPANT_ROLE_CALLER, person="owen")],
    call_id="c-1",
    duration_s=0,
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
    with_field, without = (access._access("acme", core_pb2.VERB_PLAY, one, "") for one in (_RESOURCE, other))
    assert with_field != without
