import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from linewarden.v1 import core_pb2 as _core_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Responsibility(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESPONSIBILITY_UNSPECIFIED: _ClassVar[Responsibility]
    RESPONSIBILITY_INFORM_USERS: _ClassVar[Responsibility]
    RESPONSIBILITY_LAWFUL_BASIS: _ClassVar[Responsibility]
    RESPONSIBILITY_CONSULT_REPRESENTATIVES: _ClassVar[Responsibility]
    RESPONSIBILITY_LIMIT_READERS: _ClassVar[Responsibility]
    RESPONSIBILITY_DELETE_IN_TIME: _ClassVar[Responsibility]
RESPONSIBILITY_UNSPECIFIED: Responsibility
RESPONSIBILITY_INFORM_USERS: Responsibility
RESPONSIBILITY_LAWFUL_BASIS: Responsibility
RESPONSIBILITY_CONSULT_REPRESENTATIVES: Responsibility
RESPONSIBILITY_LIMIT_READERS: Responsibility
RESPONSIBILITY_DELETE_IN_TIME: Responsibility

class EnableDiagnosticsRequest(_message.Message):
    __slots__ = ("header", "accepted", "approval_waived", "retention_days")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_WAIVED_FIELD_NUMBER: _ClassVar[int]
    RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    accepted: _containers.RepeatedScalarFieldContainer[Responsibility]
    approval_waived: bool
    retention_days: int
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., accepted: _Optional[_Iterable[_Union[Responsibility, str]]] = ..., approval_waived: _Optional[bool] = ..., retention_days: _Optional[int] = ...) -> None: ...

class EnableDiagnosticsResponse(_message.Message):
    __slots__ = ("diagnostics",)
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    diagnostics: Diagnostics
    def __init__(self, diagnostics: _Optional[_Union[Diagnostics, _Mapping]] = ...) -> None: ...

class Diagnostics(_message.Message):
    __slots__ = ("enabled", "accepted", "approval_waived", "retention_days", "changed_at", "changed_by", "shares_usage")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_WAIVED_FIELD_NUMBER: _ClassVar[int]
    RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_AT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_BY_FIELD_NUMBER: _ClassVar[int]
    SHARES_USAGE_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    accepted: _containers.RepeatedScalarFieldContainer[Responsibility]
    approval_waived: bool
    retention_days: int
    changed_at: _timestamp_pb2.Timestamp
    changed_by: str
    shares_usage: bool
    def __init__(self, enabled: _Optional[bool] = ..., accepted: _Optional[_Iterable[_Union[Responsibility, str]]] = ..., approval_waived: _Optional[bool] = ..., retention_days: _Optional[int] = ..., changed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., changed_by: _Optional[str] = ..., shares_usage: _Optional[bool] = ...) -> None: ...

class DisableDiagnosticsRequest(_message.Message):
    __slots__ = ("header",)
    HEADER_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ...) -> None: ...

class DisableDiagnosticsResponse(_message.Message):
    __slots__ = ("diagnostics", "captures_ended")
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    CAPTURES_ENDED_FIELD_NUMBER: _ClassVar[int]
    diagnostics: Diagnostics
    captures_ended: int
    def __init__(self, diagnostics: _Optional[_Union[Diagnostics, _Mapping]] = ..., captures_ended: _Optional[int] = ...) -> None: ...

class GetDiagnosticsRequest(_message.Message):
    __slots__ = ("header",)
    HEADER_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ...) -> None: ...

class GetDiagnosticsResponse(_message.Message):
    __slots__ = ("diagnostics",)
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    diagnostics: Diagnostics
    def __init__(self, diagnostics: _Optional[_Union[Diagnostics, _Mapping]] = ...) -> None: ...
