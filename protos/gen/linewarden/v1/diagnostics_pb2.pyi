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

class SessionState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SESSION_STATE_UNSPECIFIED: _ClassVar[SessionState]
    SESSION_STATE_DRAFT: _ClassVar[SessionState]
    SESSION_STATE_PENDING_ATTESTATION: _ClassVar[SessionState]
    SESSION_STATE_PENDING_APPROVAL: _ClassVar[SessionState]
    SESSION_STATE_ARMED: _ClassVar[SessionState]
    SESSION_STATE_RUNNING: _ClassVar[SessionState]
    SESSION_STATE_PAUSED: _ClassVar[SessionState]
    SESSION_STATE_STOPPING: _ClassVar[SessionState]
    SESSION_STATE_SEALED: _ClassVar[SessionState]
    SESSION_STATE_DELETED: _ClassVar[SessionState]
    SESSION_STATE_REJECTED: _ClassVar[SessionState]
    SESSION_STATE_FAILED: _ClassVar[SessionState]

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

class Responsibility(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESPONSIBILITY_UNSPECIFIED: _ClassVar[Responsibility]
    RESPONSIBILITY_INFORM_USERS: _ClassVar[Responsibility]
    RESPONSIBILITY_LAWFUL_BASIS: _ClassVar[Responsibility]
    RESPONSIBILITY_CONSULT_REPRESENTATIVES: _ClassVar[Responsibility]
    RESPONSIBILITY_LIMIT_READERS: _ClassVar[Responsibility]
    RESPONSIBILITY_DELETE_IN_TIME: _ClassVar[Responsibility]

class NoticeChannel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NOTICE_CHANNEL_UNSPECIFIED: _ClassVar[NoticeChannel]
    NOTICE_CHANNEL_EMAIL: _ClassVar[NoticeChannel]
    NOTICE_CHANNEL_INTRANET: _ClassVar[NoticeChannel]
    NOTICE_CHANNEL_CALL_ANNOUNCEMENT: _ClassVar[NoticeChannel]
    NOTICE_CHANNEL_DEVICE_DISPLAY: _ClassVar[NoticeChannel]
    NOTICE_CHANNEL_PAPER: _ClassVar[NoticeChannel]
    NOTICE_CHANNEL_IN_PERSON: _ClassVar[NoticeChannel]

class LegalBasis(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LEGAL_BASIS_UNSPECIFIED: _ClassVar[LegalBasis]
    LEGAL_BASIS_CONSENT: _ClassVar[LegalBasis]
    LEGAL_BASIS_CONTRACT: _ClassVar[LegalBasis]
    LEGAL_BASIS_LEGAL_OBLIGATION: _ClassVar[LegalBasis]
    LEGAL_BASIS_VITAL_INTERESTS: _ClassVar[LegalBasis]
    LEGAL_BASIS_PUBLIC_TASK: _ClassVar[LegalBasis]
    LEGAL_BASIS_LEGITIMATE_INTERESTS: _ClassVar[LegalBasis]

class ConsentMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONSENT_MODE_UNSPECIFIED: _ClassVar[ConsentMode]
    CONSENT_MODE_NONE: _ClassVar[ConsentMode]
    CONSENT_MODE_ONE_PARTY: _ClassVar[ConsentMode]
    CONSENT_MODE_ALL_PARTIES: _ClassVar[ConsentMode]

class ReceiptFact(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RECEIPT_FACT_UNSPECIFIED: _ClassVar[ReceiptFact]
    RECEIPT_FACT_INFORMED: _ClassVar[ReceiptFact]
    RECEIPT_FACT_CONFIRMED: _ClassVar[ReceiptFact]
    RECEIPT_FACT_FAILED: _ClassVar[ReceiptFact]
    RECEIPT_FACT_REPORTED: _ClassVar[ReceiptFact]

class DeliveryOutcome(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DELIVERY_OUTCOME_UNSPECIFIED: _ClassVar[DeliveryOutcome]
    DELIVERY_OUTCOME_TAKEN: _ClassVar[DeliveryOutcome]
    DELIVERY_OUTCOME_REFUSED: _ClassVar[DeliveryOutcome]
    DELIVERY_OUTCOME_UNANSWERED: _ClassVar[DeliveryOutcome]
    DELIVERY_OUTCOME_DOMAIN_NOT_PERMITTED: _ClassVar[DeliveryOutcome]
    DELIVERY_OUTCOME_NOT_TRIED: _ClassVar[DeliveryOutcome]

class Coverage(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    COVERAGE_UNSPECIFIED: _ClassVar[Coverage]
    COVERAGE_CERTAIN: _ClassVar[Coverage]
    COVERAGE_POSSIBLE: _ClassVar[Coverage]

class ProbeKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PROBE_KIND_UNSPECIFIED: _ClassVar[ProbeKind]
    PROBE_KIND_SIP_OPTIONS: _ClassVar[ProbeKind]
    PROBE_KIND_DNS_SIP: _ClassVar[ProbeKind]
    PROBE_KIND_TLS_CERTIFICATE: _ClassVar[ProbeKind]
    PROBE_KIND_REACHABILITY: _ClassVar[ProbeKind]
    PROBE_KIND_CLOCK_OFFSET: _ClassVar[ProbeKind]
CAPTURE_PROFILE_UNSPECIFIED: CaptureProfile
CAPTURE_PROFILE_HEADERS: CaptureProfile
CAPTURE_PROFILE_SIGNALLING: CaptureProfile
CAPTURE_PROFILE_MEDIA: CaptureProfile
SESSION_STATE_UNSPECIFIED: SessionState
SESSION_STATE_DRAFT: SessionState
SESSION_STATE_PENDING_ATTESTATION: SessionState
SESSION_STATE_PENDING_APPROVAL: SessionState
SESSION_STATE_ARMED: SessionState
SESSION_STATE_RUNNING: SessionState
SESSION_STATE_PAUSED: SessionState
SESSION_STATE_STOPPING: SessionState
SESSION_STATE_SEALED: SessionState
SESSION_STATE_DELETED: SessionState
SESSION_STATE_REJECTED: SessionState
SESSION_STATE_FAILED: SessionState
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
RESPONSIBILITY_UNSPECIFIED: Responsibility
RESPONSIBILITY_INFORM_USERS: Responsibility
RESPONSIBILITY_LAWFUL_BASIS: Responsibility
RESPONSIBILITY_CONSULT_REPRESENTATIVES: Responsibility
RESPONSIBILITY_LIMIT_READERS: Responsibility
RESPONSIBILITY_DELETE_IN_TIME: Responsibility
NOTICE_CHANNEL_UNSPECIFIED: NoticeChannel
NOTICE_CHANNEL_EMAIL: NoticeChannel
NOTICE_CHANNEL_INTRANET: NoticeChannel
NOTICE_CHANNEL_CALL_ANNOUNCEMENT: NoticeChannel
NOTICE_CHANNEL_DEVICE_DISPLAY: NoticeChannel
NOTICE_CHANNEL_PAPER: NoticeChannel
NOTICE_CHANNEL_IN_PERSON: NoticeChannel
LEGAL_BASIS_UNSPECIFIED: LegalBasis
LEGAL_BASIS_CONSENT: LegalBasis
LEGAL_BASIS_CONTRACT: LegalBasis
LEGAL_BASIS_LEGAL_OBLIGATION: LegalBasis
LEGAL_BASIS_VITAL_INTERESTS: LegalBasis
LEGAL_BASIS_PUBLIC_TASK: LegalBasis
LEGAL_BASIS_LEGITIMATE_INTERESTS: LegalBasis
CONSENT_MODE_UNSPECIFIED: ConsentMode
CONSENT_MODE_NONE: ConsentMode
CONSENT_MODE_ONE_PARTY: ConsentMode
CONSENT_MODE_ALL_PARTIES: ConsentMode
RECEIPT_FACT_UNSPECIFIED: ReceiptFact
RECEIPT_FACT_INFORMED: ReceiptFact
RECEIPT_FACT_CONFIRMED: ReceiptFact
RECEIPT_FACT_FAILED: ReceiptFact
RECEIPT_FACT_REPORTED: ReceiptFact
DELIVERY_OUTCOME_UNSPECIFIED: DeliveryOutcome
DELIVERY_OUTCOME_TAKEN: DeliveryOutcome
DELIVERY_OUTCOME_REFUSED: DeliveryOutcome
DELIVERY_OUTCOME_UNANSWERED: DeliveryOutcome
DELIVERY_OUTCOME_DOMAIN_NOT_PERMITTED: DeliveryOutcome
DELIVERY_OUTCOME_NOT_TRIED: DeliveryOutcome
COVERAGE_UNSPECIFIED: Coverage
COVERAGE_CERTAIN: Coverage
COVERAGE_POSSIBLE: Coverage
PROBE_KIND_UNSPECIFIED: ProbeKind
PROBE_KIND_SIP_OPTIONS: ProbeKind
PROBE_KIND_DNS_SIP: ProbeKind
PROBE_KIND_TLS_CERTIFICATE: ProbeKind
PROBE_KIND_REACHABILITY: ProbeKind
PROBE_KIND_CLOCK_OFFSET: ProbeKind

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

class Session(_message.Message):
    __slots__ = ("id", "state", "purpose", "case_reference", "profile", "selector", "limits", "interface", "requested_by", "approved_by", "started_by", "attestation_id", "extends_session", "reader_names", "requested_at", "approved_at", "start_before", "started_at", "ended_at", "delete_at", "stop_reason", "counters", "evidence", "lossy", "file", "worker", "lacking", "cause", "readers")
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
    EXTENDS_SESSION_FIELD_NUMBER: _ClassVar[int]
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
    state: SessionState
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
    extends_session: str
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
    def __init__(self, id: _Optional[str] = ..., state: _Optional[_Union[SessionState, str]] = ..., purpose: _Optional[_Union[_core_pb2.Purpose, str]] = ..., case_reference: _Optional[str] = ..., profile: _Optional[_Union[CaptureProfile, str]] = ..., selector: _Optional[_Union[CaptureSelector, _Mapping]] = ..., limits: _Optional[_Union[CaptureLimits, _Mapping]] = ..., interface: _Optional[str] = ..., requested_by: _Optional[str] = ..., approved_by: _Optional[str] = ..., started_by: _Optional[str] = ..., attestation_id: _Optional[str] = ..., extends_session: _Optional[str] = ..., reader_names: _Optional[_Iterable[str]] = ..., requested_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., approved_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., start_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ended_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., delete_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., stop_reason: _Optional[_Union[CaptureStopReason, str]] = ..., counters: _Optional[_Union[CaptureCounters, _Mapping]] = ..., evidence: _Optional[_Union[Evidence, _Mapping]] = ..., lossy: _Optional[bool] = ..., file: _Optional[str] = ..., worker: _Optional[str] = ..., lacking: _Optional[_Iterable[str]] = ..., cause: _Optional[str] = ..., readers: _Optional[_Iterable[_Union[EvidenceReader, _Mapping]]] = ...) -> None: ...

class NoticeText(_message.Message):
    __slots__ = ("language", "text")
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    language: str
    text: str
    def __init__(self, language: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class Notice(_message.Message):
    __slots__ = ("id", "version", "texts", "hash", "channels", "audience", "published_at", "informed", "confirmed", "failed", "reported")
    ID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_AT_FIELD_NUMBER: _ClassVar[int]
    INFORMED_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_FIELD_NUMBER: _ClassVar[int]
    FAILED_FIELD_NUMBER: _ClassVar[int]
    REPORTED_FIELD_NUMBER: _ClassVar[int]
    id: str
    version: int
    texts: _containers.RepeatedCompositeFieldContainer[NoticeText]
    hash: bytes
    channels: _containers.RepeatedScalarFieldContainer[NoticeChannel]
    audience: str
    published_at: _timestamp_pb2.Timestamp
    informed: int
    confirmed: int
    failed: int
    reported: int
    def __init__(self, id: _Optional[str] = ..., version: _Optional[int] = ..., texts: _Optional[_Iterable[_Union[NoticeText, _Mapping]]] = ..., hash: _Optional[bytes] = ..., channels: _Optional[_Iterable[_Union[NoticeChannel, str]]] = ..., audience: _Optional[str] = ..., published_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., informed: _Optional[int] = ..., confirmed: _Optional[int] = ..., failed: _Optional[int] = ..., reported: _Optional[int] = ...) -> None: ...

class ChannelEvidence(_message.Message):
    __slots__ = ("channel", "evidence_sha256")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    channel: NoticeChannel
    evidence_sha256: bytes
    def __init__(self, channel: _Optional[_Union[NoticeChannel, str]] = ..., evidence_sha256: _Optional[bytes] = ...) -> None: ...

class PromisedLimits(_message.Message):
    __slots__ = ("profile", "seconds", "retention_days")
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    profile: CaptureProfile
    seconds: int
    retention_days: int
    def __init__(self, profile: _Optional[_Union[CaptureProfile, str]] = ..., seconds: _Optional[int] = ..., retention_days: _Optional[int] = ...) -> None: ...

class Attestation(_message.Message):
    __slots__ = ("id", "statement", "attestor", "made_at", "withdrawn_at", "notice_hash", "signed_note", "verifier_key")
    ID_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    ATTESTOR_FIELD_NUMBER: _ClassVar[int]
    MADE_AT_FIELD_NUMBER: _ClassVar[int]
    WITHDRAWN_AT_FIELD_NUMBER: _ClassVar[int]
    NOTICE_HASH_FIELD_NUMBER: _ClassVar[int]
    SIGNED_NOTE_FIELD_NUMBER: _ClassVar[int]
    VERIFIER_KEY_FIELD_NUMBER: _ClassVar[int]
    id: str
    statement: AttestationStatement
    attestor: str
    made_at: _timestamp_pb2.Timestamp
    withdrawn_at: _timestamp_pb2.Timestamp
    notice_hash: bytes
    signed_note: str
    verifier_key: str
    def __init__(self, id: _Optional[str] = ..., statement: _Optional[_Union[AttestationStatement, _Mapping]] = ..., attestor: _Optional[str] = ..., made_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., withdrawn_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., notice_hash: _Optional[bytes] = ..., signed_note: _Optional[str] = ..., verifier_key: _Optional[str] = ...) -> None: ...

class AttestationStatement(_message.Message):
    __slots__ = ("notice_id", "notice_version", "role", "authority", "channels", "audience", "informed_count", "confirmed_count", "notified_from", "notified_until", "valid_until", "purpose", "legal_basis", "jurisdictions", "exception", "consent_mode", "necessity", "dpia_reference", "promised")
    NOTICE_ID_FIELD_NUMBER: _ClassVar[int]
    NOTICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    AUTHORITY_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    INFORMED_COUNT_FIELD_NUMBER: _ClassVar[int]
    CONFIRMED_COUNT_FIELD_NUMBER: _ClassVar[int]
    NOTIFIED_FROM_FIELD_NUMBER: _ClassVar[int]
    NOTIFIED_UNTIL_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    LEGAL_BASIS_FIELD_NUMBER: _ClassVar[int]
    JURISDICTIONS_FIELD_NUMBER: _ClassVar[int]
    EXCEPTION_FIELD_NUMBER: _ClassVar[int]
    CONSENT_MODE_FIELD_NUMBER: _ClassVar[int]
    NECESSITY_FIELD_NUMBER: _ClassVar[int]
    DPIA_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    PROMISED_FIELD_NUMBER: _ClassVar[int]
    notice_id: str
    notice_version: int
    role: str
    authority: str
    channels: _containers.RepeatedCompositeFieldContainer[ChannelEvidence]
    audience: str
    informed_count: int
    confirmed_count: int
    notified_from: _timestamp_pb2.Timestamp
    notified_until: _timestamp_pb2.Timestamp
    valid_until: _timestamp_pb2.Timestamp
    purpose: _core_pb2.Purpose
    legal_basis: LegalBasis
    jurisdictions: _containers.RepeatedScalarFieldContainer[str]
    exception: str
    consent_mode: ConsentMode
    necessity: str
    dpia_reference: str
    promised: PromisedLimits
    def __init__(self, notice_id: _Optional[str] = ..., notice_version: _Optional[int] = ..., role: _Optional[str] = ..., authority: _Optional[str] = ..., channels: _Optional[_Iterable[_Union[ChannelEvidence, _Mapping]]] = ..., audience: _Optional[str] = ..., informed_count: _Optional[int] = ..., confirmed_count: _Optional[int] = ..., notified_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., notified_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., valid_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., purpose: _Optional[_Union[_core_pb2.Purpose, str]] = ..., legal_basis: _Optional[_Union[LegalBasis, str]] = ..., jurisdictions: _Optional[_Iterable[str]] = ..., exception: _Optional[str] = ..., consent_mode: _Optional[_Union[ConsentMode, str]] = ..., necessity: _Optional[str] = ..., dpia_reference: _Optional[str] = ..., promised: _Optional[_Union[PromisedLimits, _Mapping]] = ...) -> None: ...

class EnableDiagnosticsRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "accepted", "approval_waived", "retention_days")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    APPROVAL_WAIVED_FIELD_NUMBER: _ClassVar[int]
    RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    accepted: _containers.RepeatedScalarFieldContainer[Responsibility]
    approval_waived: bool
    retention_days: int
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., accepted: _Optional[_Iterable[_Union[Responsibility, str]]] = ..., approval_waived: _Optional[bool] = ..., retention_days: _Optional[int] = ...) -> None: ...

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
    __slots__ = ("tenant", "request_id", "subject", "context")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ...) -> None: ...

class DisableDiagnosticsResponse(_message.Message):
    __slots__ = ("diagnostics", "sessions_ended")
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_ENDED_FIELD_NUMBER: _ClassVar[int]
    diagnostics: Diagnostics
    sessions_ended: int
    def __init__(self, diagnostics: _Optional[_Union[Diagnostics, _Mapping]] = ..., sessions_ended: _Optional[int] = ...) -> None: ...

class GetDiagnosticsRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ...) -> None: ...

class GetDiagnosticsResponse(_message.Message):
    __slots__ = ("diagnostics",)
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    diagnostics: Diagnostics
    def __init__(self, diagnostics: _Optional[_Union[Diagnostics, _Mapping]] = ...) -> None: ...

class PublishNoticeRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "notice_id", "texts", "channels", "audience")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    NOTICE_ID_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    notice_id: str
    texts: _containers.RepeatedCompositeFieldContainer[NoticeText]
    channels: _containers.RepeatedScalarFieldContainer[NoticeChannel]
    audience: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., notice_id: _Optional[str] = ..., texts: _Optional[_Iterable[_Union[NoticeText, _Mapping]]] = ..., channels: _Optional[_Iterable[_Union[NoticeChannel, str]]] = ..., audience: _Optional[str] = ...) -> None: ...

class PublishNoticeResponse(_message.Message):
    __slots__ = ("notice",)
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    notice: Notice
    def __init__(self, notice: _Optional[_Union[Notice, _Mapping]] = ...) -> None: ...

class ListNoticesRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "page_size", "page_token")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    page_size: int
    page_token: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListNoticesResponse(_message.Message):
    __slots__ = ("notices", "next_page_token")
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    notices: _containers.RepeatedCompositeFieldContainer[Notice]
    next_page_token: str
    def __init__(self, notices: _Optional[_Iterable[_Union[Notice, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetNoticeRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "notice_id", "notice_version", "language")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    NOTICE_ID_FIELD_NUMBER: _ClassVar[int]
    NOTICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    notice_id: str
    notice_version: int
    language: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., notice_id: _Optional[str] = ..., notice_version: _Optional[int] = ..., language: _Optional[str] = ...) -> None: ...

class GetNoticeResponse(_message.Message):
    __slots__ = ("notice", "current_version")
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    CURRENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    notice: Notice
    current_version: int
    def __init__(self, notice: _Optional[_Union[Notice, _Mapping]] = ..., current_version: _Optional[int] = ...) -> None: ...

class ListActiveNoticesRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "extensions", "language")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    EXTENSIONS_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    extensions: _containers.RepeatedScalarFieldContainer[str]
    language: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., extensions: _Optional[_Iterable[str]] = ..., language: _Optional[str] = ...) -> None: ...

class ListActiveNoticesResponse(_message.Message):
    __slots__ = ("notices",)
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    notices: _containers.RepeatedCompositeFieldContainer[ActiveNotice]
    def __init__(self, notices: _Optional[_Iterable[_Union[ActiveNotice, _Mapping]]] = ...) -> None: ...

class ActiveNotice(_message.Message):
    __slots__ = ("session_id", "coverage", "profile", "purpose", "started_at", "ends_before", "notice_id", "notice_version", "texts")
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    NOTICE_ID_FIELD_NUMBER: _ClassVar[int]
    NOTICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    coverage: Coverage
    profile: CaptureProfile
    purpose: _core_pb2.Purpose
    started_at: _timestamp_pb2.Timestamp
    ends_before: _timestamp_pb2.Timestamp
    notice_id: str
    notice_version: int
    texts: _containers.RepeatedCompositeFieldContainer[NoticeText]
    def __init__(self, session_id: _Optional[str] = ..., coverage: _Optional[_Union[Coverage, str]] = ..., profile: _Optional[_Union[CaptureProfile, str]] = ..., purpose: _Optional[_Union[_core_pb2.Purpose, str]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ends_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., notice_id: _Optional[str] = ..., notice_version: _Optional[int] = ..., texts: _Optional[_Iterable[_Union[NoticeText, _Mapping]]] = ...) -> None: ...

class ConfirmNoticeRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "notice_id", "notice_version", "session_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    NOTICE_ID_FIELD_NUMBER: _ClassVar[int]
    NOTICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    notice_id: str
    notice_version: int
    session_id: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., notice_id: _Optional[str] = ..., notice_version: _Optional[int] = ..., session_id: _Optional[str] = ...) -> None: ...

class ConfirmNoticeResponse(_message.Message):
    __slots__ = ("confirmed_at",)
    CONFIRMED_AT_FIELD_NUMBER: _ClassVar[int]
    confirmed_at: _timestamp_pb2.Timestamp
    def __init__(self, confirmed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RecordReceiptsRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "notice_id", "notice_version", "session_id", "channel", "receipts")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    NOTICE_ID_FIELD_NUMBER: _ClassVar[int]
    NOTICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    notice_id: str
    notice_version: int
    session_id: str
    channel: NoticeChannel
    receipts: _containers.RepeatedCompositeFieldContainer[Receipt]
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., notice_id: _Optional[str] = ..., notice_version: _Optional[int] = ..., session_id: _Optional[str] = ..., channel: _Optional[_Union[NoticeChannel, str]] = ..., receipts: _Optional[_Iterable[_Union[Receipt, _Mapping]]] = ...) -> None: ...

class RecordReceiptsResponse(_message.Message):
    __slots__ = ("recorded", "notice")
    RECORDED_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    recorded: int
    notice: Notice
    def __init__(self, recorded: _Optional[int] = ..., notice: _Optional[_Union[Notice, _Mapping]] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("person", "fact", "at")
    PERSON_FIELD_NUMBER: _ClassVar[int]
    FACT_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    person: str
    fact: ReceiptFact
    at: _timestamp_pb2.Timestamp
    def __init__(self, person: _Optional[str] = ..., fact: _Optional[_Union[ReceiptFact, str]] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SendNoticeRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "notice_id", "notice_version", "session_id", "language", "recipients")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    NOTICE_ID_FIELD_NUMBER: _ClassVar[int]
    NOTICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    notice_id: str
    notice_version: int
    session_id: str
    language: str
    recipients: _containers.RepeatedCompositeFieldContainer[Recipient]
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., notice_id: _Optional[str] = ..., notice_version: _Optional[int] = ..., session_id: _Optional[str] = ..., language: _Optional[str] = ..., recipients: _Optional[_Iterable[_Union[Recipient, _Mapping]]] = ...) -> None: ...

class SendNoticeResponse(_message.Message):
    __slots__ = ("results", "notice")
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    results: _containers.RepeatedCompositeFieldContainer[Delivery]
    notice: Notice
    def __init__(self, results: _Optional[_Iterable[_Union[Delivery, _Mapping]]] = ..., notice: _Optional[_Union[Notice, _Mapping]] = ...) -> None: ...

class Recipient(_message.Message):
    __slots__ = ("person", "address")
    PERSON_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    person: str
    address: str
    def __init__(self, person: _Optional[str] = ..., address: _Optional[str] = ...) -> None: ...

class Delivery(_message.Message):
    __slots__ = ("person", "fact", "reply_code", "outcome")
    PERSON_FIELD_NUMBER: _ClassVar[int]
    FACT_FIELD_NUMBER: _ClassVar[int]
    REPLY_CODE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    person: str
    fact: ReceiptFact
    reply_code: int
    outcome: DeliveryOutcome
    def __init__(self, person: _Optional[str] = ..., fact: _Optional[_Union[ReceiptFact, str]] = ..., reply_code: _Optional[int] = ..., outcome: _Optional[_Union[DeliveryOutcome, str]] = ...) -> None: ...

class MakeAttestationRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "statement")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    statement: AttestationStatement
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., statement: _Optional[_Union[AttestationStatement, _Mapping]] = ...) -> None: ...

class MakeAttestationResponse(_message.Message):
    __slots__ = ("attestation", "sessions_advanced")
    ATTESTATION_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_ADVANCED_FIELD_NUMBER: _ClassVar[int]
    attestation: Attestation
    sessions_advanced: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, attestation: _Optional[_Union[Attestation, _Mapping]] = ..., sessions_advanced: _Optional[_Iterable[str]] = ...) -> None: ...

class WithdrawAttestationRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "attestation_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    ATTESTATION_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    attestation_id: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., attestation_id: _Optional[str] = ...) -> None: ...

class WithdrawAttestationResponse(_message.Message):
    __slots__ = ("attestation", "sessions_ended")
    ATTESTATION_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_ENDED_FIELD_NUMBER: _ClassVar[int]
    attestation: Attestation
    sessions_ended: int
    def __init__(self, attestation: _Optional[_Union[Attestation, _Mapping]] = ..., sessions_ended: _Optional[int] = ...) -> None: ...

class ListAttestationsRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "page_size", "page_token")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    page_size: int
    page_token: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAttestationsResponse(_message.Message):
    __slots__ = ("attestations", "next_page_token")
    ATTESTATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    attestations: _containers.RepeatedCompositeFieldContainer[Attestation]
    next_page_token: str
    def __init__(self, attestations: _Optional[_Iterable[_Union[Attestation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class RequestSessionRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "profile", "selector", "limits", "interface", "readers", "extends_session", "file", "worker")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    SELECTOR_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    INTERFACE_FIELD_NUMBER: _ClassVar[int]
    READERS_FIELD_NUMBER: _ClassVar[int]
    EXTENDS_SESSION_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    profile: CaptureProfile
    selector: CaptureSelector
    limits: CaptureLimits
    interface: str
    readers: _containers.RepeatedCompositeFieldContainer[EvidenceReader]
    extends_session: str
    file: str
    worker: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., profile: _Optional[_Union[CaptureProfile, str]] = ..., selector: _Optional[_Union[CaptureSelector, _Mapping]] = ..., limits: _Optional[_Union[CaptureLimits, _Mapping]] = ..., interface: _Optional[str] = ..., readers: _Optional[_Iterable[_Union[EvidenceReader, _Mapping]]] = ..., extends_session: _Optional[str] = ..., file: _Optional[str] = ..., worker: _Optional[str] = ...) -> None: ...

class RequestSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class ApproveSessionRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "session_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    session_id: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., session_id: _Optional[str] = ...) -> None: ...

class ApproveSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class RejectSessionRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "session_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    session_id: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., session_id: _Optional[str] = ...) -> None: ...

class RejectSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class StartSessionRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "session_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    session_id: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., session_id: _Optional[str] = ...) -> None: ...

class StartSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class UploadCaptureRequest(_message.Message):
    __slots__ = ("start", "content", "last")
    START_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    start: StartSessionRequest
    content: bytes
    last: bool
    def __init__(self, start: _Optional[_Union[StartSessionRequest, _Mapping]] = ..., content: _Optional[bytes] = ..., last: _Optional[bool] = ...) -> None: ...

class UploadCaptureResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class StopSessionRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "session_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    session_id: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., session_id: _Optional[str] = ...) -> None: ...

class StopSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class PauseSessionRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "session_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    session_id: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., session_id: _Optional[str] = ...) -> None: ...

class PauseSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class ResumeSessionRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "session_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    session_id: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., session_id: _Optional[str] = ...) -> None: ...

class ResumeSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class GetSessionRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "session_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    session_id: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., session_id: _Optional[str] = ...) -> None: ...

class GetSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class DeleteSessionRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "session_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    session_id: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., session_id: _Optional[str] = ...) -> None: ...

class DeleteSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class ListSessionsRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "page_size", "page_token")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    page_size: int
    page_token: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListSessionsResponse(_message.Message):
    __slots__ = ("sessions", "next_page_token")
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    sessions: _containers.RepeatedCompositeFieldContainer[Session]
    next_page_token: str
    def __init__(self, sessions: _Optional[_Iterable[_Union[Session, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class WatchSessionRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "session_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    session_id: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., session_id: _Optional[str] = ...) -> None: ...

class WatchSessionResponse(_message.Message):
    __slots__ = ("state", "counters", "stop_reason")
    STATE_FIELD_NUMBER: _ClassVar[int]
    COUNTERS_FIELD_NUMBER: _ClassVar[int]
    STOP_REASON_FIELD_NUMBER: _ClassVar[int]
    state: SessionState
    counters: CaptureCounters
    stop_reason: CaptureStopReason
    def __init__(self, state: _Optional[_Union[SessionState, str]] = ..., counters: _Optional[_Union[CaptureCounters, _Mapping]] = ..., stop_reason: _Optional[_Union[CaptureStopReason, str]] = ...) -> None: ...

class ReadEvidenceRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "session_id")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    session_id: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., session_id: _Optional[str] = ...) -> None: ...

class ReadEvidenceResponse(_message.Message):
    __slots__ = ("content", "total_bytes")
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    TOTAL_BYTES_FIELD_NUMBER: _ClassVar[int]
    content: bytes
    total_bytes: int
    def __init__(self, content: _Optional[bytes] = ..., total_bytes: _Optional[int] = ...) -> None: ...

class RunProbeRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "kind", "target", "port", "transport", "timeout_ms", "worker")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    PORT_FIELD_NUMBER: _ClassVar[int]
    TRANSPORT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    WORKER_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    kind: ProbeKind
    target: str
    port: int
    transport: Transport
    timeout_ms: int
    worker: str
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., kind: _Optional[_Union[ProbeKind, str]] = ..., target: _Optional[str] = ..., port: _Optional[int] = ..., transport: _Optional[_Union[Transport, str]] = ..., timeout_ms: _Optional[int] = ..., worker: _Optional[str] = ...) -> None: ...

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

class ShareUsageRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context", "share")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    share: bool
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ..., share: _Optional[bool] = ...) -> None: ...

class ShareUsageResponse(_message.Message):
    __slots__ = ("shares_usage",)
    SHARES_USAGE_FIELD_NUMBER: _ClassVar[int]
    shares_usage: bool
    def __init__(self, shares_usage: _Optional[bool] = ...) -> None: ...

class GetUsageRequest(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: _core_pb2.Subject
    context: _core_pb2.Context
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[_core_pb2.Subject, _Mapping]] = ..., context: _Optional[_Union[_core_pb2.Context, _Mapping]] = ...) -> None: ...

class GetUsageResponse(_message.Message):
    __slots__ = ("document",)
    DOCUMENT_FIELD_NUMBER: _ClassVar[int]
    document: str
    def __init__(self, document: _Optional[str] = ...) -> None: ...
