import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from linewarden.v1 import access_pb2 as _access_pb2
from linewarden.v1 import core_pb2 as _core_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Interval(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    INTERVAL_UNSPECIFIED: _ClassVar[Interval]
    INTERVAL_HOUR: _ClassVar[Interval]
    INTERVAL_DAY: _ClassVar[Interval]
    INTERVAL_WEEK: _ClassVar[Interval]
    INTERVAL_MONTH: _ClassVar[Interval]
INTERVAL_UNSPECIFIED: Interval
INTERVAL_HOUR: Interval
INTERVAL_DAY: Interval
INTERVAL_WEEK: Interval
INTERVAL_MONTH: Interval

class EntryFilter(_message.Message):
    __slots__ = ("until", "kinds", "caller", "subject", "data_subject", "resource_type", "resource_id", "verb", "effect", "purpose", "request_id")
    FROM_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    KINDS_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    DATA_SUBJECT_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_TYPE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    VERB_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    until: _timestamp_pb2.Timestamp
    kinds: _containers.RepeatedScalarFieldContainer[str]
    caller: str
    subject: str
    data_subject: str
    resource_type: _core_pb2.ResourceType
    resource_id: str
    verb: _core_pb2.Verb
    effect: _access_pb2.Effect
    purpose: _core_pb2.Purpose
    request_id: str
    def __init__(self, until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., kinds: _Optional[_Iterable[str]] = ..., caller: _Optional[str] = ..., subject: _Optional[str] = ..., data_subject: _Optional[str] = ..., resource_type: _Optional[_Union[_core_pb2.ResourceType, str]] = ..., resource_id: _Optional[str] = ..., verb: _Optional[_Union[_core_pb2.Verb, str]] = ..., effect: _Optional[_Union[_access_pb2.Effect, str]] = ..., purpose: _Optional[_Union[_core_pb2.Purpose, str]] = ..., request_id: _Optional[str] = ..., **kwargs) -> None: ...

class QueryEntriesRequest(_message.Message):
    __slots__ = ("header", "filter", "page_size", "page_token", "oldest_first")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    OLDEST_FIRST_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    filter: EntryFilter
    page_size: int
    page_token: str
    oldest_first: bool
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., filter: _Optional[_Union[EntryFilter, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., oldest_first: _Optional[bool] = ...) -> None: ...

class QueryEntriesResponse(_message.Message):
    __slots__ = ("rows", "next_page_token", "log_size", "completeness")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    LOG_SIZE_FIELD_NUMBER: _ClassVar[int]
    COMPLETENESS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[EntryRow]
    next_page_token: str
    log_size: int
    completeness: Completeness
    def __init__(self, rows: _Optional[_Iterable[_Union[EntryRow, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., log_size: _Optional[int] = ..., completeness: _Optional[_Union[Completeness, _Mapping]] = ...) -> None: ...

class Completeness(_message.Message):
    __slots__ = ("unsearched_entries", "damaged_entries", "missing_persons", "unknown_persons", "unchecked_items")
    UNSEARCHED_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    DAMAGED_ENTRIES_FIELD_NUMBER: _ClassVar[int]
    MISSING_PERSONS_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_PERSONS_FIELD_NUMBER: _ClassVar[int]
    UNCHECKED_ITEMS_FIELD_NUMBER: _ClassVar[int]
    unsearched_entries: int
    damaged_entries: _containers.RepeatedScalarFieldContainer[int]
    missing_persons: _containers.RepeatedScalarFieldContainer[str]
    unknown_persons: _containers.RepeatedScalarFieldContainer[str]
    unchecked_items: int
    def __init__(self, unsearched_entries: _Optional[int] = ..., damaged_entries: _Optional[_Iterable[int]] = ..., missing_persons: _Optional[_Iterable[str]] = ..., unknown_persons: _Optional[_Iterable[str]] = ..., unchecked_items: _Optional[int] = ...) -> None: ...

class CountEntriesRequest(_message.Message):
    __slots__ = ("header", "filter", "interval")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    FILTER_FIELD_NUMBER: _ClassVar[int]
    INTERVAL_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    filter: EntryFilter
    interval: Interval
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., filter: _Optional[_Union[EntryFilter, _Mapping]] = ..., interval: _Optional[_Union[Interval, str]] = ...) -> None: ...

class CountEntriesResponse(_message.Message):
    __slots__ = ("total", "buckets", "log_size", "completeness")
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    BUCKETS_FIELD_NUMBER: _ClassVar[int]
    LOG_SIZE_FIELD_NUMBER: _ClassVar[int]
    COMPLETENESS_FIELD_NUMBER: _ClassVar[int]
    total: int
    buckets: _containers.RepeatedCompositeFieldContainer[CountBucket]
    log_size: int
    completeness: Completeness
    def __init__(self, total: _Optional[int] = ..., buckets: _Optional[_Iterable[_Union[CountBucket, _Mapping]]] = ..., log_size: _Optional[int] = ..., completeness: _Optional[_Union[Completeness, _Mapping]] = ...) -> None: ...

class CountBucket(_message.Message):
    __slots__ = ("start", "count")
    START_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    start: _timestamp_pb2.Timestamp
    count: int
    def __init__(self, start: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., count: _Optional[int] = ...) -> None: ...

class EntryRow(_message.Message):
    __slots__ = ("index", "item", "time", "kind", "request_id", "caller", "subject_sid", "subject", "owner_sid", "owner", "resource_type", "resource_ref", "resource_id", "verb", "effect", "reason", "purpose", "policy_revision", "details")
    INDEX_FIELD_NUMBER: _ClassVar[int]
    ITEM_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_SID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    OWNER_SID_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_TYPE_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_REF_FIELD_NUMBER: _ClassVar[int]
    RESOURCE_ID_FIELD_NUMBER: _ClassVar[int]
    VERB_FIELD_NUMBER: _ClassVar[int]
    EFFECT_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    index: int
    item: int
    time: _timestamp_pb2.Timestamp
    kind: str
    request_id: str
    caller: str
    subject_sid: str
    subject: str
    owner_sid: str
    owner: str
    resource_type: _core_pb2.ResourceType
    resource_ref: str
    resource_id: str
    verb: _core_pb2.Verb
    effect: _access_pb2.Effect
    reason: str
    purpose: _core_pb2.Purpose
    policy_revision: int
    details: str
    def __init__(self, index: _Optional[int] = ..., item: _Optional[int] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., kind: _Optional[str] = ..., request_id: _Optional[str] = ..., caller: _Optional[str] = ..., subject_sid: _Optional[str] = ..., subject: _Optional[str] = ..., owner_sid: _Optional[str] = ..., owner: _Optional[str] = ..., resource_type: _Optional[_Union[_core_pb2.ResourceType, str]] = ..., resource_ref: _Optional[str] = ..., resource_id: _Optional[str] = ..., verb: _Optional[_Union[_core_pb2.Verb, str]] = ..., effect: _Optional[_Union[_access_pb2.Effect, str]] = ..., reason: _Optional[str] = ..., purpose: _Optional[_Union[_core_pb2.Purpose, str]] = ..., policy_revision: _Optional[int] = ..., details: _Optional[str] = ...) -> None: ...

class GetEntryRequest(_message.Message):
    __slots__ = ("header", "index")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    INDEX_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    index: int
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., index: _Optional[int] = ...) -> None: ...

class GetEntryResponse(_message.Message):
    __slots__ = ("entry", "proof", "verifier_key", "disclosed")
    class DisclosedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    PROOF_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_KEY_FIELD_NUMBER: _ClassVar[int]
    DISCLOSED_FIELD_NUMBER: _ClassVar[int]
    entry: bytes
    proof: str
    verifier_key: str
    disclosed: _containers.ScalarMap[str, str]
    def __init__(self, entry: _Optional[bytes] = ..., proof: _Optional[str] = ..., verifier_key: _Optional[str] = ..., disclosed: _Optional[_Mapping[str, str]] = ...) -> None: ...

class GetCheckpointRequest(_message.Message):
    __slots__ = ("header", "old_size")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    OLD_SIZE_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    old_size: int
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., old_size: _Optional[int] = ...) -> None: ...

class GetCheckpointResponse(_message.Message):
    __slots__ = ("checkpoint", "verifier_key", "consistency")
    CHECKPOINT_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_KEY_FIELD_NUMBER: _ClassVar[int]
    CONSISTENCY_FIELD_NUMBER: _ClassVar[int]
    checkpoint: str
    verifier_key: str
    consistency: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, checkpoint: _Optional[str] = ..., verifier_key: _Optional[str] = ..., consistency: _Optional[_Iterable[bytes]] = ...) -> None: ...

class ExportLogRequest(_message.Message):
    __slots__ = ("header",)
    HEADER_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ...) -> None: ...

class ExportLogResponse(_message.Message):
    __slots__ = ("path", "content", "log_size", "entries_sent", "verifier_key", "continues")
    PATH_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    LOG_SIZE_FIELD_NUMBER: _ClassVar[int]
    ENTRIES_SENT_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_KEY_FIELD_NUMBER: _ClassVar[int]
    CONTINUES_FIELD_NUMBER: _ClassVar[int]
    path: str
    content: bytes
    log_size: int
    entries_sent: int
    verifier_key: str
    continues: bool
    def __init__(self, path: _Optional[str] = ..., content: _Optional[bytes] = ..., log_size: _Optional[int] = ..., entries_sent: _Optional[int] = ..., verifier_key: _Optional[str] = ..., continues: _Optional[bool] = ...) -> None: ...
