from buf.validate import validate_pb2 as _validate_pb2
from linewarden.v1 import capture_pb2 as _capture_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConnectRequest(_message.Message):
    __slots__ = ("hello", "begun", "refused", "progress", "ended", "probed")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    BEGUN_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    PROBED_FIELD_NUMBER: _ClassVar[int]
    hello: WorkerHello
    begun: CaptureBegun
    refused: CaptureRefused
    progress: CaptureProgress
    ended: CaptureEnded
    probed: ProbeDone
    def __init__(self, hello: _Optional[_Union[WorkerHello, _Mapping]] = ..., begun: _Optional[_Union[CaptureBegun, _Mapping]] = ..., refused: _Optional[_Union[CaptureRefused, _Mapping]] = ..., progress: _Optional[_Union[CaptureProgress, _Mapping]] = ..., ended: _Optional[_Union[CaptureEnded, _Mapping]] = ..., probed: _Optional[_Union[ProbeDone, _Mapping]] = ...) -> None: ...

class ConnectResponse(_message.Message):
    __slots__ = ("welcome", "start", "heartbeat", "stop", "probe")
    WELCOME_FIELD_NUMBER: _ClassVar[int]
    START_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    STOP_FIELD_NUMBER: _ClassVar[int]
    PROBE_FIELD_NUMBER: _ClassVar[int]
    welcome: WorkerWelcome
    start: SignedOrder
    heartbeat: CaptureHeartbeat
    stop: StopCapture
    probe: SignedOrder
    def __init__(self, welcome: _Optional[_Union[WorkerWelcome, _Mapping]] = ..., start: _Optional[_Union[SignedOrder, _Mapping]] = ..., heartbeat: _Optional[_Union[CaptureHeartbeat, _Mapping]] = ..., stop: _Optional[_Union[StopCapture, _Mapping]] = ..., probe: _Optional[_Union[SignedOrder, _Mapping]] = ...) -> None: ...

class WorkerHello(_message.Message):
    __slots__ = ("protocol",)
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    def __init__(self, protocol: _Optional[int] = ...) -> None: ...

class WorkerWelcome(_message.Message):
    __slots__ = ("protocol",)
    PROTOCOL_FIELD_NUMBER: _ClassVar[int]
    protocol: int
    def __init__(self, protocol: _Optional[int] = ...) -> None: ...

class SignedOrder(_message.Message):
    __slots__ = ("note", "id")
    NOTE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    note: str
    id: str
    def __init__(self, note: _Optional[str] = ..., id: _Optional[str] = ...) -> None: ...

class CaptureHeartbeat(_message.Message):
    __slots__ = ("capture_id", "paused")
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    PAUSED_FIELD_NUMBER: _ClassVar[int]
    capture_id: str
    paused: bool
    def __init__(self, capture_id: _Optional[str] = ..., paused: _Optional[bool] = ...) -> None: ...

class StopCapture(_message.Message):
    __slots__ = ("capture_id", "reason")
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    capture_id: str
    reason: _capture_pb2.CaptureStopReason
    def __init__(self, capture_id: _Optional[str] = ..., reason: _Optional[_Union[_capture_pb2.CaptureStopReason, str]] = ...) -> None: ...

class CaptureBegun(_message.Message):
    __slots__ = ("capture_id",)
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    capture_id: str
    def __init__(self, capture_id: _Optional[str] = ...) -> None: ...

class CaptureRefused(_message.Message):
    __slots__ = ("capture_id",)
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    capture_id: str
    def __init__(self, capture_id: _Optional[str] = ...) -> None: ...

class CaptureProgress(_message.Message):
    __slots__ = ("capture_id", "counters")
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    capture_id: str
    counters: _capture_pb2.CaptureCounters
    def __init__(self, capture_id: _Optional[str] = ..., counters: _Optional[_Union[_capture_pb2.CaptureCounters, _Mapping]] = ...) -> None: ...

class CaptureEnded(_message.Message):
    __slots__ = ("capture_id", "stop_reason", "counters", "evidence", "cause")
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    capture_id: str
    stop_reason: _capture_pb2.CaptureStopReason
    counters: _capture_pb2.CaptureCounters
    evidence: _capture_pb2.Evidence
    cause: str
    def __init__(self, capture_id: _Optional[str] = ..., stop_reason: _Optional[_Union[_capture_pb2.CaptureStopReason, str]] = ..., counters: _Optional[_Union[_capture_pb2.CaptureCounters, _Mapping]] = ..., evidence: _Optional[_Union[_capture_pb2.Evidence, _Mapping]] = ..., cause: _Optional[str] = ...) -> None: ...

class ProbeDone(_message.Message):
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

class DeliverEvidenceRequest(_message.Message):
    __slots__ = ("capture_id", "content")
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    capture_id: str
    content: bytes
    def __init__(self, capture_id: _Optional[str] = ..., content: _Optional[bytes] = ...) -> None: ...

class DeliverEvidenceResponse(_message.Message):
    __slots__ = ("sealed_bytes", "sealed_sha256")
    SEALED_BYTES_FIELD_NUMBER: _ClassVar[int]
    SEALED_SHA256_FIELD_NUMBER: _ClassVar[int]
    sealed_bytes: int
    sealed_sha256: str
    def __init__(self, sealed_bytes: _Optional[int] = ..., sealed_sha256: _Optional[str] = ...) -> None: ...
