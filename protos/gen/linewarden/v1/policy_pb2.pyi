from buf.validate import validate_pb2 as _validate_pb2
from linewarden.v1 import core_pb2 as _core_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LoadPolicyRequest(_message.Message):
    __slots__ = ("header", "document", "expected_revision", "dry_run", "allow_lockout", "assignments")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_REVISION_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    ALLOW_LOCKOUT_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    document: str
    expected_revision: int
    dry_run: bool
    allow_lockout: bool
    assignments: bool
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., document: _Optional[str] = ..., expected_revision: _Optional[int] = ..., dry_run: _Optional[bool] = ..., allow_lockout: _Optional[bool] = ..., assignments: _Optional[bool] = ...) -> None: ...

class LoadPolicyResponse(_message.Message):
    __slots__ = ("policy", "statements_added", "statements_removed")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    STATEMENTS_ADDED_FIELD_NUMBER: _ClassVar[int]
    STATEMENTS_REMOVED_FIELD_NUMBER: _ClassVar[int]
    policy: _core_pb2.PolicyVersion
    statements_added: int
    statements_removed: int
    def __init__(self, policy: _Optional[_Union[_core_pb2.PolicyVersion, _Mapping]] = ..., statements_added: _Optional[int] = ..., statements_removed: _Optional[int] = ...) -> None: ...

class ChangePolicyRequest(_message.Message):
    __slots__ = ("header", "add", "remove", "expected_revision", "allow_lockout")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    ADD_FIELD_NUMBER: _ClassVar[int]
    REMOVE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_REVISION_FIELD_NUMBER: _ClassVar[int]
    ALLOW_LOCKOUT_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    add: _containers.RepeatedScalarFieldContainer[str]
    remove: _containers.RepeatedScalarFieldContainer[str]
    expected_revision: int
    allow_lockout: bool
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., add: _Optional[_Iterable[str]] = ..., remove: _Optional[_Iterable[str]] = ..., expected_revision: _Optional[int] = ..., allow_lockout: _Optional[bool] = ...) -> None: ...

class ChangePolicyResponse(_message.Message):
    __slots__ = ("policy", "statements_added", "statements_removed")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    STATEMENTS_ADDED_FIELD_NUMBER: _ClassVar[int]
    STATEMENTS_REMOVED_FIELD_NUMBER: _ClassVar[int]
    policy: _core_pb2.PolicyVersion
    statements_added: int
    statements_removed: int
    def __init__(self, policy: _Optional[_Union[_core_pb2.PolicyVersion, _Mapping]] = ..., statements_added: _Optional[int] = ..., statements_removed: _Optional[int] = ...) -> None: ...

class GetPolicyRequest(_message.Message):
    __slots__ = ("header", "page_size", "page_token", "assignments")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ASSIGNMENTS_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    page_size: int
    page_token: str
    assignments: bool
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., assignments: _Optional[bool] = ...) -> None: ...

class GetPolicyResponse(_message.Message):
    __slots__ = ("policy", "statements", "next_page_token")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    STATEMENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    policy: _core_pb2.PolicyVersion
    statements: _containers.RepeatedCompositeFieldContainer[PolicyStatement]
    next_page_token: str
    def __init__(self, policy: _Optional[_Union[_core_pb2.PolicyVersion, _Mapping]] = ..., statements: _Optional[_Iterable[_Union[PolicyStatement, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class PolicyStatement(_message.Message):
    __slots__ = ("id", "text", "added_in")
    ID_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ADDED_IN_FIELD_NUMBER: _ClassVar[int]
    id: str
    text: str
    added_in: int
    def __init__(self, id: _Optional[str] = ..., text: _Optional[str] = ..., added_in: _Optional[int] = ...) -> None: ...
