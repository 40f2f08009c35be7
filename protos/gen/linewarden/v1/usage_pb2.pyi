from buf.validate import validate_pb2 as _validate_pb2
from linewarden.v1 import core_pb2 as _core_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ShareUsageRequest(_message.Message):
    __slots__ = ("header", "share")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    share: bool
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., share: _Optional[bool] = ...) -> None: ...

class ShareUsageResponse(_message.Message):
    __slots__ = ("shares_usage",)
    SHARES_USAGE_FIELD_NUMBER: _ClassVar[int]
    shares_usage: bool
    def __init__(self, shares_usage: _Optional[bool] = ...) -> None: ...

class GetUsageRequest(_message.Message):
    __slots__ = ("header",)
    HEADER_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ...) -> None: ...

class GetUsageResponse(_message.Message):
    __slots__ = ("document",)
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    document: str
    def __init__(self, document: _Optional[str] = ...) -> None: ...
