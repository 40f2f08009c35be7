import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from linewarden.v1 import core_pb2 as _core_pb2
from linewarden.v1 import error_reason_pb2 as _error_reason_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Effect(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EFFECT_UNSPECIFIED: _ClassVar[Effect]
    EFFECT_ALLOW: _ClassVar[Effect]
    EFFECT_DENY: _ClassVar[Effect]

class DecisionReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECISION_REASON_UNSPECIFIED: _ClassVar[DecisionReason]
    DECISION_REASON_ALLOWED_BY_RULE: _ClassVar[DecisionReason]
    DECISION_REASON_NO_MATCHING_RULE: _ClassVar[DecisionReason]
    DECISION_REASON_DENIED_BY_RULE: _ClassVar[DecisionReason]
    DECISION_REASON_CONDITION_FAILED: _ClassVar[DecisionReason]
    DECISION_REASON_CONDITION_ERROR: _ClassVar[DecisionReason]
    DECISION_REASON_SUBJECT_OF_OTHER_TENANT: _ClassVar[DecisionReason]
    DECISION_REASON_RESOURCE_OF_OTHER_TENANT: _ClassVar[DecisionReason]

class Obligation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OBLIGATION_UNSPECIFIED: _ClassVar[Obligation]
    OBLIGATION_MASK_NUMBERS: _ClassVar[Obligation]
    OBLIGATION_ANNOUNCE: _ClassVar[Obligation]
    OBLIGATION_NOTIFY_OWNER: _ClassVar[Obligation]
    OBLIGATION_WATERMARK: _ClassVar[Obligation]
    OBLIGATION_STREAM_ONLY: _ClassVar[Obligation]
    OBLIGATION_PART: _ClassVar[Obligation]
EFFECT_UNSPECIFIED: Effect
EFFECT_ALLOW: Effect
EFFECT_DENY: Effect
DECISION_REASON_UNSPECIFIED: DecisionReason
DECISION_REASON_ALLOWED_BY_RULE: DecisionReason
DECISION_REASON_NO_MATCHING_RULE: DecisionReason
DECISION_REASON_DENIED_BY_RULE: DecisionReason
DECISION_REASON_CONDITION_FAILED: DecisionReason
DECISION_REASON_CONDITION_ERROR: DecisionReason
DECISION_REASON_SUBJECT_OF_OTHER_TENANT: DecisionReason
DECISION_REASON_RESOURCE_OF_OTHER_TENANT: DecisionReason
OBLIGATION_UNSPECIFIED: Obligation
OBLIGATION_MASK_NUMBERS: Obligation
OBLIGATION_ANNOUNCE: Obligation
OBLIGATION_NOTIFY_OWNER: Obligation
OBLIGATION_WATERMARK: Obligation
OBLIGATION_STREAM_ONLY: Obligation
OBLIGATION_PART: Obligation

class CheckRequest(_message.Message):
    __slots__ = ("header", "verb", "resource")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    VERB_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    verb: _core_pb2.Verb
    resource: _core_pb2.Resource
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., verb: _Optional[_Union[_core_pb2.Verb, str]] = ..., resource: _Optional[_Union[_core_pb2.Resource, _Mapping]] = ...) -> None: ...

class CheckResponse(_message.Message):
    __slots__ = ("decision", "policy", "expires_at")
    DECISION_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    decision: Decision
    policy: _core_pb2.PolicyVersion
    expires_at: _timestamp_pb2.Timestamp
    def __init__(self, decision: _Optional[_Union[Decision, _Mapping]] = ..., policy: _Optional[_Union[_core_pb2.PolicyVersion, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class CheckItem(_message.Message):
    __slots__ = ("verb", "resource", "subject", "context", "request_id")
    VERB_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    verb: _core_pb2.Verb
    resource: _core_pb2.Resource
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    request_id: str
    def __init__(self, verb: _Optional[_Union[_core_pb2.Verb, str]] = ..., resource: _Optional[_Union[_core_pb2.Resource, _Mapping]] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., request_id: _Optional[str] = ...) -> None: ...

class CheckBatchRequest(_message.Message):
    __slots__ = ("header", "items")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    items: _containers.RepeatedCompositeFieldContainer[CheckItem]
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., items: _Optional[_Iterable[_Union[CheckItem, _Mapping]]] = ...) -> None: ...

class CheckBatchResponse(_message.Message):
    __slots__ = ("decisions", "policy", "expires_at", "own_requesters")
    DECISIONS_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_AT_FIELD_NUMBER: _ClassVar[int]
    OWN_REQUESTERS_FIELD_NUMBER: _ClassVar[int]
    decisions: _containers.RepeatedCompositeFieldContainer[Decision]
    policy: _core_pb2.PolicyVersion
    expires_at: _timestamp_pb2.Timestamp
    own_requesters: int
    def __init__(self, decisions: _Optional[_Iterable[_Union[Decision, _Mapping]]] = ..., policy: _Optional[_Union[_core_pb2.PolicyVersion, _Mapping]] = ..., expires_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., own_requesters: _Optional[int] = ...) -> None: ...

class CheckStreamRequest(_message.Message):
    __slots__ = ("check",)
    CHECK_FIELD_NUMBER: _ClassVar[int]
    check: CheckRequest
    def __init__(self, check: _Optional[_Union[CheckRequest, _Mapping]] = ...) -> None: ...

class CheckStreamResponse(_message.Message):
    __slots__ = ("check", "refusal")
    CHECK_FIELD_NUMBER: _ClassVar[int]
    REFUSAL_FIELD_NUMBER: _ClassVar[int]
    check: CheckResponse
    refusal: CheckRefusal
    def __init__(self, check: _Optional[_Union[CheckResponse, _Mapping]] = ..., refusal: _Optional[_Union[CheckRefusal, _Mapping]] = ...) -> None: ...

class CheckRefusal(_message.Message):
    __slots__ = ("code", "reason", "message", "fields")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    code: int
    reason: _error_reason_pb2.ErrorReason
    message: str
    fields: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, code: _Optional[int] = ..., reason: _Optional[_Union[_error_reason_pb2.ErrorReason, str]] = ..., message: _Optional[str] = ..., fields: _Optional[_Iterable[str]] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("id", "effect", "reason", "matched_rules", "failed_conditions", "obligations", "more_matched_rules", "more_failed_conditions", "parts")
    ID_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    MATCHED_RULES_FIELD_NUMBER: _ClassVar[int]
    FAILED_CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    OBLIGATIONS_FIELD_NUMBER: _ClassVar[int]
    MORE_MATCHED_RULES_FIELD_NUMBER: _ClassVar[int]
    MORE_FAILED_CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    id: str
    effect: Effect
    reason: DecisionReason
    matched_rules: _containers.RepeatedCompositeFieldContainer[MatchedRule]
    failed_conditions: _containers.RepeatedCompositeFieldContainer[FailedCondition]
    obligations: _containers.RepeatedScalarFieldContainer[Obligation]
    more_matched_rules: int
    more_failed_conditions: int
    parts: _containers.RepeatedCompositeFieldContainer[Part]
    def __init__(self, id: _Optional[str] = ..., effect: _Optional[_Union[Effect, str]] = ..., reason: _Optional[_Union[DecisionReason, str]] = ..., matched_rules: _Optional[_Iterable[_Union[MatchedRule, _Mapping]]] = ..., failed_conditions: _Optional[_Iterable[_Union[FailedCondition, _Mapping]]] = ..., obligations: _Optional[_Iterable[_Union[Obligation, str]]] = ..., more_matched_rules: _Optional[int] = ..., more_failed_conditions: _Optional[int] = ..., parts: _Optional[_Iterable[_Union[Part, _Mapping]]] = ...) -> None: ...

class Part(_message.Message):
    __slots__ = ("until",)
    FROM_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    until: _timestamp_pb2.Timestamp
    def __init__(self, until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., **kwargs) -> None: ...

class MatchedRule(_message.Message):
    __slots__ = ("rule_id", "effect", "role_path")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    ROLE_PATH_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    effect: Effect
    role_path: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, rule_id: _Optional[str] = ..., effect: _Optional[_Union[Effect, str]] = ..., role_path: _Optional[_Iterable[str]] = ...) -> None: ...

class FailedCondition(_message.Message):
    __slots__ = ("rule_id", "condition", "error")
    RULE_ID_FIELD_NUMBER: _ClassVar[int]
    CONDITION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    rule_id: str
    condition: str
    error: bool
    def __init__(self, rule_id: _Optional[str] = ..., condition: _Optional[str] = ..., error: _Optional[bool] = ...) -> None: ...
