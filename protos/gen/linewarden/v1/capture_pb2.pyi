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

class CaptureProfile(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAPTURE_PROFILE_UNSPECIFIED: _ClassVar[CaptureProfile]
    CAPTURE_PROFILE_HEADERS: _ClassVar[CaptureProfile]
    CAPTURE_PROFILE_SIGNALLING: _ClassVar[CaptureProfile]
    CAPTURE_PROFILE_MEDIA: _ClassVar[CaptureProfile]

class CaptureState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAPTURE_STATE_UNSPECIFIED: _ClassVar[CaptureState]
    CAPTURE_STATE_DRAFT: _ClassVar[CaptureState]
    CAPTURE_STATE_PENDING_ATTESTATION: _ClassVar[CaptureState]
    CAPTURE_STATE_PENDING_APPROVAL: _ClassVar[CaptureState]
    CAPTURE_STATE_ARMED: _ClassVar[CaptureState]
    CAPTURE_STATE_RUNNING: _ClassVar[CaptureState]
    CAPTURE_STATE_PAUSED: _ClassVar[CaptureState]
    CAPTURE_STATE_STOPPING: _ClassVar[CaptureState]
    CAPTURE_STATE_SEALED: _ClassVar[CaptureState]
    CAPTURE_STATE_DELETED: _ClassVar[CaptureState]
    CAPTURE_STATE_REJECTED: _ClassVar[CaptureState]
    CAPTURE_STATE_FAILED: _ClassVar[CaptureState]

class CaptureStopReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAPTURE_STOP_REASON_UNSPECIFIED: _ClassVar[CaptureStopReason]
    CAPTURE_STOP_REASON_REQUESTED: _ClassVar[CaptureStopReason]
    CAPTURE_STOP_REASON_TIME: _ClassVar[CaptureStopReason]
    CAPTURE_STOP_REASON_BYTES: _ClassVar[CaptureStopReason]
    CAPTURE_STOP_REASON_PACKETS: _ClassVar[CaptureStopReason]
    CAPTURE_STOP_REASON_DISK_LOW: _ClassVar[CaptureStopReason]
    CAPTURE_STOP_REASON_LOSS_BUDGET: _ClassVar[CaptureStopReason]
    CAPTURE_STOP_REASON_ATTESTATION_WITHDRAWN: _ClassVar[CaptureStopReason]
    CAPTURE_STOP_REASON_ATTESTATION_EXPIRED: _ClassVar[CaptureStopReason]
    CAPTURE_STOP_REASON_APPROVER_LEFT: _ClassVar[CaptureStopReason]
    CAPTURE_STOP_REASON_LEASE_LOST: _ClassVar[CaptureStopReason]
    CAPTURE_STOP_REASON_WORKER_LOST: _ClassVar[CaptureStopReason]
    CAPTURE_STOP_REASON_POLICY_CHANGED: _ClassVar[CaptureStopReason]
    CAPTURE_STOP_REASON_ERROR: _ClassVar[CaptureStopReason]
    CAPTURE_STOP_REASON_NOTICE_REPLACED: _ClassVar[CaptureStopReason]

class Transport(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TRANSPORT_UNSPECIFIED: _ClassVar[Transport]
    TRANSPORT_ANY: _ClassVar[Transport]
    TRANSPORT_UDP: _ClassVar[Transport]
    TRANSPORT_TCP: _ClassVar[Transport]
CAPTURE_PROFILE_UNSPECIFIED: CaptureProfile
CAPTURE_PROFILE_HEADERS: CaptureProfile
CAPTURE_PROFILE_SIGNALLING: CaptureProfile
CAPTURE_PROFILE_MEDIA: CaptureProfile
CAPTURE_STATE_UNSPECIFIED: CaptureState
CAPTURE_STATE_DRAFT: CaptureState
CAPTURE_STATE_PENDING_ATTESTATION: CaptureState
CAPTURE_STATE_PENDING_APPROVAL: CaptureState
CAPTURE_STATE_ARMED: CaptureState
CAPTURE_STATE_RUNNING: CaptureState
CAPTURE_STATE_PAUSED: CaptureState
CAPTURE_STATE_STOPPING: CaptureState
CAPTURE_STATE_SEALED: CaptureState
CAPTURE_STATE_DELETED: CaptureState
CAPTURE_STATE_REJECTED: CaptureState
CAPTURE_STATE_FAILED: CaptureState
CAPTURE_STOP_REASON_UNSPECIFIED: CaptureStopReason
CAPTURE_STOP_REASON_REQUESTED: CaptureStopReason
CAPTURE_STOP_REASON_TIME: CaptureStopReason
CAPTURE_STOP_REASON_BYTES: CaptureStopReason
CAPTURE_STOP_REASON_PACKETS: CaptureStopReason
CAPTURE_STOP_REASON_DISK_LOW: CaptureStopReason
CAPTURE_STOP_REASON_LOSS_BUDGET: CaptureStopReason
CAPTURE_STOP_REASON_ATTESTATION_WITHDRAWN: CaptureStopReason
CAPTURE_STOP_REASON_ATTESTATION_EXPIRED: CaptureStopReason
CAPTURE_STOP_REASON_APPROVER_LEFT: CaptureStopReason
CAPTURE_STOP_REASON_LEASE_LOST: CaptureStopReason
CAPTURE_STOP_REASON_WORKER_LOST: CaptureStopReason
CAPTURE_STOP_REASON_POLICY_CHANGED: CaptureStopReason
CAPTURE_STOP_REASON_ERROR: CaptureStopReason
CAPTURE_STOP_REASON_NOTICE_REPLACED: CaptureStopReason
TRANSPORT_UNSPECIFIED: Transport
TRANSPORT_ANY: Transport
TRANSPORT_UDP: Transport
TRANSPORT_TCP: Transport

class CaptureLimits(_message.Message):
    __slots__ = ("seconds", "bytes", "packets", "snaplen", "disk_free_min", "loss_budget")
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    PACKETS_FIELD_NUMBER: _ClassVar[int]
    SNAPLEN_FIELD_NUMBER: _ClassVar[int]
    DISK_FREE_MIN_FIELD_NUMBER: _ClassVar[int]
    LOSS_BUDGET_FIELD_NUMBER: _ClassVar[int]
    seconds: int
    bytes: int
    packets: int
    snaplen: int
    disk_free_min: int
    loss_budget: int
    def __init__(self, seconds: _Optional[int] = ..., bytes: _Optional[int] = ..., packets: _Optional[int] = ..., snaplen: _Optional[int] = ..., disk_free_min: _Optional[int] = ..., loss_budget: _Optional[int] = ...) -> None: ...

class PortRange(_message.Message):
    __slots__ = ("low", "high")
    LOW_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    low: int
    high: int
    def __init__(self, low: _Optional[int] = ..., high: _Optional[int] = ...) -> None: ...

class CaptureSelector(_message.Message):
    __slots__ = ("extensions", "call_ids", "trunks", "hosts", "ports", "transport", "raw_filter")
    EXTENSIONS_FIELD_NUMBER: _ClassVar[int]
    CALL_IDS_FIELD_NUMBER: _ClassVar[int]
    TRUNKS_FIELD_NUMBER: _ClassVar[int]
    HOSTS_FIELD_NUMBER: _ClassVar[int]
    PORTS_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_FIELD_NUMBER: _ClassVar[int]
    RAW_FILTER_FIELD_NUMBER: _ClassVar[int]
    extensions: _containers.RepeatedScalarFieldContainer[str]
    call_ids: _containers.RepeatedScalarFieldContainer[str]
    trunks: _containers.RepeatedScalarFieldContainer[str]
    hosts: _containers.RepeatedScalarFieldContainer[str]
    ports: _containers.RepeatedCompositeFieldContainer[PortRange]
    transport: Transport
    raw_filter: str
    def __init__(self, extensions: _Optional[_Iterable[str]] = ..., call_ids: _Optional[_Iterable[str]] = ..., trunks: _Optional[_Iterable[str]] = ..., hosts: _Optional[_Iterable[str]] = ..., ports: _Optional[_Iterable[_Union[PortRange, _Mapping]]] = ..., transport: _Optional[_Union[Transport, str]] = ..., raw_filter: _Optional[str] = ...) -> None: ...

class EvidenceReader(_message.Message):
    __slots__ = ("name", "public_key")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PUBLIC_KEY_FIELD_NUMBER: _ClassVar[int]
    name: str
    public_key: str
    def __init__(self, name: _Optional[str] = ..., public_key: _Optional[str] = ...) -> None: ...

class CaptureCounters(_message.Message):
    __slots__ = ("received", "dropped", "delivered", "written", "not_selected", "over_limit", "unparsed", "bytes", "rules")
    class RulesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    RECEIVED_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    DELIVERED_FIELD_NUMBER: _ClassVar[int]
    WRITTEN_FIELD_NUMBER: _ClassVar[int]
    NOT_SELECTED_FIELD_NUMBER: _ClassVar[int]
    OVER_LIMIT_FIELD_NUMBER: _ClassVar[int]
    UNPARSED_FIELD_NUMBER: _ClassVar[int]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    received: int
    dropped: int
    delivered: int
    written: int
    not_selected: int
    over_limit: int
    unparsed: int
    bytes: int
    rules: _containers.ScalarMap[str, int]
    def __init__(self, received: _Optional[int] = ..., dropped: _Optional[int] = ..., delivered: _Optional[int] = ..., written: _Optional[int] = ..., not_selected: _Optional[int] = ..., over_limit: _Optional[int] = ..., unparsed: _Optional[int] = ..., bytes: _Optional[int] = ..., rules: _Optional[_Mapping[str, int]] = ...) -> None: ...

class Evidence(_message.Message):
    __slots__ = ("plain_bytes", "plain_sha256", "chain", "ticket_digest", "sealed_bytes", "sealed_sha256")
    PLAIN_BYTES_FIELD_NUMBER: _ClassVar[int]
    PLAIN_SHA256_FIELD_NUMBER: _ClassVar[int]
    CHAIN_FIELD_NUMBER: _ClassVar[int]
    TICKET_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SEALED_BYTES_FIELD_NUMBER: _ClassVar[int]
    SEALED_SHA256_FIELD_NUMBER: _ClassVar[int]
    plain_bytes: int
    plain_sha256: str
    chain: str
    ticket_digest: str
    sealed_bytes: int
    sealed_sha256: str
    def __init__(self, plain_bytes: _Optional[int] = ..., plain_sha256: _Optional[str] = ..., chain: _Optional[str] = ..., ticket_digest: _Optional[str] = ..., sealed_bytes: _Optional[int] = ..., sealed_sha256: _Optional[str] = ...) -> None: ...

class Capture(_message.Message):
    __slots__ = ("id", "state", "purpose", "case_reference", "profile", "selector", "limits", "interface", "requested_by", "approved_by", "started_by", "attestation_id", "extends_capture", "reader_names", "requested_at", "approved_at", "start_before", "started_at", "ended_at", "delete_at", "stop_reason", "counters", "evidence", "lossy", "file", "worker", "lacking", "cause", "readers")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    CASE_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    APPROVED_BY_FIELD_NUMBER: _ClassVar[int]
    STARTED_BY_FIELD_NUMBER: _ClassVar[int]
    ATTESTATION_ID_FIELD_NUMBER: _ClassVar[int]
    EXTENDS_CAPTURE_FIELD_NUMBER: _ClassVar[int]
    READER_NAMES_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_AT_FIELD_NUMBER: _ClassVar[int]
    APPROVED_AT_FIELD_NUMBER: _ClassVar[int]
    START_BEFORE_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDED_AT_FIELD_NUMBER: _ClassVar[int]
    DELETE_AT_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    LOSSY_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    LACKING_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    READERS_FIELD_NUMBER: _ClassVar[int]
    id: str
    state: CaptureState
    purpose: _core_pb2.Purpose
    case_reference: str
    profile: CaptureProfile
    selector: CaptureSelector
    limits: CaptureLimits
    interface: str
    requested_by: str
    approved_by: str
    started_by: str
    attestation_id: str
    extends_capture: str
    reader_names: _containers.RepeatedScalarFieldContainer[str]
    requested_at: _timestamp_pb2.Timestamp
    approved_at: _timestamp_pb2.Timestamp
    start_before: _timestamp_pb2.Timestamp
    started_at: _timestamp_pb2.Timestamp
    ended_at: _timestamp_pb2.Timestamp
    delete_at: _timestamp_pb2.Timestamp
    stop_reason: CaptureStopReason
    counters: CaptureCounters
    evidence: Evidence
    lossy: bool
    file: str
    worker: str
    lacking: _containers.RepeatedScalarFieldContainer[str]
    cause: str
    readers: _containers.RepeatedCompositeFieldContainer[EvidenceReader]
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[CaptureState, str]] = ..., purpose: _Optional[_Union[_core_pb2.Purpose, str]] = ..., case_reference: _Optional[str] = ..., profile: _Optional[_Union[CaptureProfile, str]] = ..., selector: _Optional[_Union[CaptureSelector, _Mapping]] = ..., limits: _Optional[_Union[CaptureLimits, _Mapping]] = ..., interface: _Optional[str] = ..., requested_by: _Optional[str] = ..., approved_by: _Optional[str] = ..., started_by: _Optional[str] = ..., attestation_id: _Optional[str] = ..., extends_capture: _Optional[str] = ..., reader_names: _Optional[_Iterable[str]] = ..., requested_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., approved_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., delete_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., stop_reason: _Optional[_Union[CaptureStopReason, str]] = ..., counters: _Optional[_Union[CaptureCounters, _Mapping]] = ..., evidence: _Optional[_Union[Evidence, _Mapping]] = ..., lossy: _Optional[bool] = ..., file: _Optional[str] = ..., worker: _Optional[str] = ..., lacking: _Optional[_Iterable[str]] = ..., cause: _Optional[str] = ..., readers: _Optional[_Iterable[_Union[EvidenceReader, _Mapping]]] = ...) -> None: ...

class RequestCaptureRequest(_message.Message):
    __slots__ = ("header", "profile", "selector", "limits", "interface", "readers", "extends_capture", "file", "worker")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    READERS_FIELD_NUMBER: _ClassVar[int]
    EXTENDS_CAPTURE_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    profile: CaptureProfile
    selector: CaptureSelector
    limits: CaptureLimits
    interface: str
    readers: _containers.RepeatedCompositeFieldContainer[EvidenceReader]
    extends_capture: str
    file: str
    worker: str
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., profile: _Optional[_Union[CaptureProfile, str]] = ..., selector: _Optional[_Union[CaptureSelector, _Mapping]] = ..., limits: _Optional[_Union[CaptureLimits, _Mapping]] = ..., interface: _Optional[str] = ..., readers: _Optional[_Iterable[_Union[EvidenceReader, _Mapping]]] = ..., extends_capture: _Optional[str] = ..., file: _Optional[str] = ..., worker: _Optional[str] = ...) -> None: ...

class RequestCaptureResponse(_message.Message):
    __slots__ = ("capture",)
    CAPTURE_FIELD_NUMBER: _ClassVar[int]
    capture: Capture
    def __init__(self, capture: _Optional[_Union[Capture, _Mapping]] = ...) -> None: ...

class ApproveCaptureRequest(_message.Message):
    __slots__ = ("header", "capture_id")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    capture_id: str
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., capture_id: _Optional[str] = ...) -> None: ...

class ApproveCaptureResponse(_message.Message):
    __slots__ = ("capture",)
    CAPTURE_FIELD_NUMBER: _ClassVar[int]
    capture: Capture
    def __init__(self, capture: _Optional[_Union[Capture, _Mapping]] = ...) -> None: ...

class RejectCaptureRequest(_message.Message):
    __slots__ = ("header", "capture_id")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    capture_id: str
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., capture_id: _Optional[str] = ...) -> None: ...

class RejectCaptureResponse(_message.Message):
    __slots__ = ("capture",)
    CAPTURE_FIELD_NUMBER: _ClassVar[int]
    capture: Capture
    def __init__(self, capture: _Optional[_Union[Capture, _Mapping]] = ...) -> None: ...

class StartCaptureRequest(_message.Message):
    __slots__ = ("header", "capture_id")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    capture_id: str
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., capture_id: _Optional[str] = ...) -> None: ...

class StartCaptureResponse(_message.Message):
    __slots__ = ("capture",)
    CAPTURE_FIELD_NUMBER: _ClassVar[int]
    capture: Capture
    def __init__(self, capture: _Optional[_Union[Capture, _Mapping]] = ...) -> None: ...

class UploadCaptureRequest(_message.Message):
    __slots__ = ("start", "content", "last")
    START_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    start: StartCaptureRequest
    content: bytes
    last: bool
    def __init__(self, start: _Optional[_Union[StartCaptureRequest, _Mapping]] = ..., content: _Optional[bytes] = ..., last: _Optional[bool] = ...) -> None: ...

class UploadCaptureResponse(_message.Message):
    __slots__ = ("capture",)
    CAPTURE_FIELD_NUMBER: _ClassVar[int]
    capture: Capture
    def __init__(self, capture: _Optional[_Union[Capture, _Mapping]] = ...) -> None: ...

class StopCaptureRequest(_message.Message):
    __slots__ = ("header", "capture_id")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    capture_id: str
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., capture_id: _Optional[str] = ...) -> None: ...

class StopCaptureResponse(_message.Message):
    __slots__ = ("capture",)
    CAPTURE_FIELD_NUMBER: _ClassVar[int]
    capture: Capture
    def __init__(self, capture: _Optional[_Union[Capture, _Mapping]] = ...) -> None: ...

class PauseCaptureRequest(_message.Message):
    __slots__ = ("header", "capture_id")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    capture_id: str
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., capture_id: _Optional[str] = ...) -> None: ...

class PauseCaptureResponse(_message.Message):
    __slots__ = ("capture",)
    CAPTURE_FIELD_NUMBER: _ClassVar[int]
    capture: Capture
    def __init__(self, capture: _Optional[_Union[Capture, _Mapping]] = ...) -> None: ...

class ResumeCaptureRequest(_message.Message):
    __slots__ = ("header", "capture_id")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    capture_id: str
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., capture_id: _Optional[str] = ...) -> None: ...

class ResumeCaptureResponse(_message.Message):
    __slots__ = ("capture",)
    CAPTURE_FIELD_NUMBER: _ClassVar[int]
    capture: Capture
    def __init__(self, capture: _Optional[_Union[Capture, _Mapping]] = ...) -> None: ...

class GetCaptureRequest(_message.Message):
    __slots__ = ("header", "capture_id")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    capture_id: str
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., capture_id: _Optional[str] = ...) -> None: ...

class GetCaptureResponse(_message.Message):
    __slots__ = ("capture",)
    CAPTURE_FIELD_NUMBER: _ClassVar[int]
    capture: Capture
    def __init__(self, capture: _Optional[_Union[Capture, _Mapping]] = ...) -> None: ...

class DeleteCaptureRequest(_message.Message):
    __slots__ = ("header", "capture_id")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    capture_id: str
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., capture_id: _Optional[str] = ...) -> None: ...

class DeleteCaptureResponse(_message.Message):
    __slots__ = ("capture",)
    CAPTURE_FIELD_NUMBER: _ClassVar[int]
    capture: Capture
    def __init__(self, capture: _Optional[_Union[Capture, _Mapping]] = ...) -> None: ...

class ListCapturesRequest(_message.Message):
    __slots__ = ("header", "page_size", "page_token")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    page_size: int
    page_token: str
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListCapturesResponse(_message.Message):
    __slots__ = ("captures", "next_page_token")
    CAPTURES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    captures: _containers.RepeatedCompositeFieldContainer[Capture]
    next_page_token: str
    def __init__(self, captures: _Optional[_Iterable[_Union[Capture, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchCaptureRequest(_message.Message):
    __slots__ = ("header", "capture_id")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    capture_id: str
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., capture_id: _Optional[str] = ...) -> None: ...

class WatchCaptureResponse(_message.Message):
    __slots__ = ("state", "counters", "stop_reason")
    STATE_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    state: CaptureState
    counters: CaptureCounters
    stop_reason: CaptureStopReason
    def __init__(self, state: _Optional[_Union[CaptureState, str]] = ..., counters: _Optional[_Union[CaptureCounters, _Mapping]] = ..., stop_reason: _Optional[_Union[CaptureStopReason, str]] = ...) -> None: ...

class ReadEvidenceRequest(_message.Message):
    __slots__ = ("header", "capture_id")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    capture_id: str
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., capture_id: _Optional[str] = ...) -> None: ...

class ReadEvidenceResponse(_message.Message):
    __slots__ = ("content", "total_bytes")
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    total_bytes: int
    def __init__(self, content: _Optional[bytes] = ..., total_bytes: _Optional[int] = ...) -> None: ...
