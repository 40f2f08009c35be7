"""Messages of another server's contract, read from it by reflection."""

from typing import Any

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase


def messages(address: str, method: str) -> tuple[Any, Any]:
    """Return the classes of request and response of a method, which is written as `package.Service/Method`."""
    with grpc.insecure_channel(address) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        service, _, name = method.partition("/")
        found = pool.FindServiceByName(service).methods_by_name[name]
        return GetMessageClass(found.input_type), GetMessageClass(found.output_type)
