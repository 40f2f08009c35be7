from buf.validate import validate_pb2 as _validate_pb2
from linewarden.v1 import capture_pb2 as _capture_pb2
from linewarden.v1 import core_pb2 as _core_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ProbeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROBE_KIND_UNSPECIFIED: _ClassVar[ProbeKind]
    PROBE_KIND_SIP_OPTIONS: _ClassVar[ProbeKind]
    PROBE_KIND_DNS_SIP: _ClassVar[ProbeKind]
    PROBE_KIND_TLS_CERTIFICATE: _ClassVar[ProbeKind]
    PROBE_KIND_REACHABILITY: _ClassVar[ProbeKind]
    PROBE_KIND_CLOCK_OFFSET: _ClassVar[ProbeKind]
PROBE_KIND_UNSPECIFIED: ProbeKind
PROBE_KIND_SIP_OPTIONS: ProbeKind
PROBE_KIND_DNS_SIP: ProbeKind
PROBE_KIND_TLS_CERTIFICATE: ProbeKind
PROBE_KIND_REACHABILITY: ProbeKind
PROBE_KIND_CLOCK_OFFSET: ProbeKind

class RunProbeRequest(_message.Message):
    __slots__ = ("header", "kind", "target", "port", "transport", "timeout_ms", "worker")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    kind: ProbeKind
    target: str
    port: int
    transport: _capture_pb2.Transport
    timeout_ms: int
    worker: str
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., kind: _Optional[_Union[ProbeKind, str]] = ..., target: _Optional[str] = ..., port: _Optional[int] = ..., transport: _Optional[_Union[_capture_pb2.Transport, str]] = ..., timeout_ms: _Optional[int] = ..., worker: _Optional[str] = ...) -> None: ...

class RunProbeResponse(_message.Message):
    __slots__ = ("probe_id", "succeeded", "findings")
    class FindingsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    PROBE_ID_FIELD_NUMBER: _ClassVar[int]
    SUCCEEDED_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    probe_id: str
    succeeded: bool
    findings: _containers.ScalarMap[str, str]
    def __init__(self, probe_id: _Optional[str] = ..., succeeded: _Optional[bool] = ..., findings: _Optional[_Mapping[str, str]] = ...) -> None: ...
