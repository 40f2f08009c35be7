from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    ERROR_REASON_INVALID_REQUEST: _ClassVar[ErrorReason]
    ERROR_REASON_VERB_NOT_APPLICABLE: _ClassVar[ErrorReason]
    ERROR_REASON_TENANT_UNKNOWN: _ClassVar[ErrorReason]
    ERROR_REASON_CREDENTIALS_INVALID: _ClassVar[ErrorReason]
    ERROR_REASON_CALLER_NOT_PERMITTED: _ClassVar[ErrorReason]
    ERROR_REASON_SUBJECT_NOT_PERMITTED: _ClassVar[ErrorReason]
    ERROR_REASON_LOG_UNAVAILABLE: _ClassVar[ErrorReason]
    ERROR_REASON_OVERLOADED: _ClassVar[ErrorReason]
    ERROR_REASON_STREAM_LIMIT_EXCEEDED: _ClassVar[ErrorReason]
    ERROR_REASON_POLICY_INVALID: _ClassVar[ErrorReason]
    ERROR_REASON_POLICY_REVISION_MISMATCH: _ClassVar[ErrorReason]
    ERROR_REASON_PAGE_TOKEN_INVALID: _ClassVar[ErrorReason]
    ERROR_REASON_ENTRY_NOT_FOUND: _ClassVar[ErrorReason]
    ERROR_REASON_LOG_ROLLED_BACK: _ClassVar[ErrorReason]
    ERROR_REASON_INTERNAL: _ClassVar[ErrorReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
ERROR_REASON_INVALID_REQUEST: ErrorReason
ERROR_REASON_VERB_NOT_APPLICABLE: ErrorReason
ERROR_REASON_TENANT_UNKNOWN: ErrorReason
ERROR_REASON_CREDENTIALS_INVALID: ErrorReason
ERROR_REASON_CALLER_NOT_PERMITTED: ErrorReason
ERROR_REASON_SUBJECT_NOT_PERMITTED: ErrorReason
ERROR_REASON_LOG_UNAVAILABLE: ErrorReason
ERROR_REASON_OVERLOADED: ErrorReason
ERROR_REASON_STREAM_LIMIT_EXCEEDED: ErrorReason
ERROR_REASON_POLICY_INVALID: ErrorReason
ERROR_REASON_POLICY_REVISION_MISMATCH: ErrorReason
ERROR_REASON_PAGE_TOKEN_INVALID: ErrorReason
ERROR_REASON_ENTRY_NOT_FOUND: ErrorReason
ERROR_REASON_LOG_ROLLED_BACK: ErrorReason
ERROR_REASON_INTERNAL: ErrorReason
