import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from linewarden.v1 import capture_pb2 as _capture_pb2
from linewarden.v1 import core_pb2 as _core_pb2
from linewarden.v1 import notice_pb2 as _notice_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

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

class ChannelEvidence(_message.Message):
    __slots__ = ("channel", "evidence_sha256")
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    EVIDENCE_SHA256_FIELD_NUMBER: _ClassVar[int]
    channel: _notice_pb2.NoticeChannel
    evidence_sha256: bytes
    def __init__(self, channel: _Optional[_Union[_notice_pb2.NoticeChannel, str]] = ..., evidence_sha256: _Optional[bytes] = ...) -> None: ...

class PromisedLimits(_message.Message):
    __slots__ = ("profile", "seconds", "retention_days")
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    profile: _capture_pb2.CaptureProfile
    seconds: int
    retention_days: int
    def __init__(self, profile: _Optional[_Union[_capture_pb2.CaptureProfile, str]] = ..., seconds: _Optional[int] = ..., retention_days: _Optional[int] = ...) -> None: ...

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

class MakeAttestationRequest(_message.Message):
    __slots__ = ("header", "statement")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    STATEMENT_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    statement: AttestationStatement
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., statement: _Optional[_Union[AttestationStatement, _Mapping]] = ...) -> None: ...

class MakeAttestationResponse(_message.Message):
    __slots__ = ("attestation", "captures_advanced")
    ATTESTATION_FIELD_NUMBER: _ClassVar[int]
    CAPTURES_ADVANCED_FIELD_NUMBER: _ClassVar[int]
    attestation: Attestation
    captures_advanced: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, attestation: _Optional[_Union[Attestation, _Mapping]] = ..., captures_advanced: _Optional[_Iterable[str]] = ...) -> None: ...

class WithdrawAttestationRequest(_message.Message):
    __slots__ = ("header", "attestation_id")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    ATTESTATION_ID_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    attestation_id: str
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., attestation_id: _Optional[str] = ...) -> None: ...

class WithdrawAttestationResponse(_message.Message):
    __slots__ = ("attestation", "captures_ended")
    ATTESTATION_FIELD_NUMBER: _ClassVar[int]
    CAPTURES_ENDED_FIELD_NUMBER: _ClassVar[int]
    attestation: Attestation
    captures_ended: int
    def __init__(self, attestation: _Optional[_Union[Attestation, _Mapping]] = ..., captures_ended: _Optional[int] = ...) -> None: ...

class ListAttestationsRequest(_message.Message):
    __slots__ = ("header", "page_size", "page_token")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    page_size: int
    page_token: str
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAttestationsResponse(_message.Message):
    __slots__ = ("attestations", "next_page_token")
    ATTESTATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    attestations: _containers.RepeatedCompositeFieldContainer[Attestation]
    next_page_token: str
    def __init__(self, attestations: _Optional[_Iterable[_Union[Attestation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
