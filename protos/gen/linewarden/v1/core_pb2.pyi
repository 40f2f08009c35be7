import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ResourceType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESOURCE_TYPE_UNSPECIFIED: _ClassVar[ResourceType]
    RESOURCE_TYPE_RECORDING: _ClassVar[ResourceType]
    RESOURCE_TYPE_VOICEMAIL: _ClassVar[ResourceType]
    RESOURCE_TYPE_FAX: _ClassVar[ResourceType]
    RESOURCE_TYPE_CDR: _ClassVar[ResourceType]
    RESOURCE_TYPE_CAPTURE: _ClassVar[ResourceType]
    RESOURCE_TYPE_CONTACT: _ClassVar[ResourceType]
    RESOURCE_TYPE_MEDIA: _ClassVar[ResourceType]
    RESOURCE_TYPE_POLICY: _ClassVar[ResourceType]
    RESOURCE_TYPE_AUDIT_LOG: _ClassVar[ResourceType]
    RESOURCE_TYPE_DIAGNOSTICS: _ClassVar[ResourceType]

class Verb(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERB_UNSPECIFIED: _ClassVar[Verb]
    VERB_VIEW_METADATA: _ClassVar[Verb]
    VERB_VIEW_PARTY_NUMBERS: _ClassVar[Verb]
    VERB_SEARCH: _ClassVar[Verb]
    VERB_PLAY: _ClassVar[Verb]
    VERB_DOWNLOAD: _ClassVar[Verb]
    VERB_EXPORT: _ClassVar[Verb]
    VERB_SHARE: _ClassVar[Verb]
    VERB_TRANSCRIBE: _ClassVar[Verb]
    VERB_READ_TRANSCRIPT: _ClassVar[Verb]
    VERB_DELETE: _ClassVar[Verb]
    VERB_RESTORE: _ClassVar[Verb]
    VERB_ARCHIVE: _ClassVar[Verb]
    VERB_HOLD: _ClassVar[Verb]
    VERB_RELEASE_HOLD: _ClassVar[Verb]
    VERB_ERASE_SUBJECT: _ClassVar[Verb]
    VERB_RECORD_START: _ClassVar[Verb]
    VERB_RECORD_STOP: _ClassVar[Verb]
    VERB_RECORD_PAUSE: _ClassVar[Verb]
    VERB_RECORD_RESUME: _ClassVar[Verb]
    VERB_LISTEN_LIVE: _ClassVar[Verb]
    VERB_CAPTURE_START: _ClassVar[Verb]
    VERB_CAPTURE_STOP: _ClassVar[Verb]
    VERB_CAPTURE_READ: _ClassVar[Verb]
    VERB_READ_ACCESS_LOG: _ClassVar[Verb]
    VERB_EXPORT_ACCESS_LOG: _ClassVar[Verb]
    VERB_READ_POLICY: _ClassVar[Verb]
    VERB_CHANGE_POLICY: _ClassVar[Verb]
    VERB_CAPTURE_REQUEST: _ClassVar[Verb]
    VERB_CAPTURE_APPROVE: _ClassVar[Verb]
    VERB_CAPTURE_MEDIA: _ClassVar[Verb]
    VERB_CAPTURE_RAW_FILTER: _ClassVar[Verb]
    VERB_ENABLE_DIAGNOSTICS: _ClassVar[Verb]
    VERB_PUBLISH_NOTICE: _ClassVar[Verb]
    VERB_SEND_NOTICE: _ClassVar[Verb]
    VERB_ATTEST_NOTICE: _ClassVar[Verb]
    VERB_RUN_PROBE: _ClassVar[Verb]
    VERB_SHARE_USAGE: _ClassVar[Verb]

class Purpose(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PURPOSE_UNSPECIFIED: _ClassVar[Purpose]
    PURPOSE_ACCOUNTING: _ClassVar[Purpose]
    PURPOSE_BILLING: _ClassVar[Purpose]
    PURPOSE_QUALITY: _ClassVar[Purpose]
    PURPOSE_FRAUD: _ClassVar[Purpose]
    PURPOSE_SUPPORT: _ClassVar[Purpose]
    PURPOSE_LEGAL: _ClassVar[Purpose]
    PURPOSE_TRAINING: _ClassVar[Purpose]

class Consent(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONSENT_UNSPECIFIED: _ClassVar[Consent]
    CONSENT_GIVEN: _ClassVar[Consent]
    CONSENT_REFUSED: _ClassVar[Consent]

class ParticipantRole(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PARTICIPANT_ROLE_UNSPECIFIED: _ClassVar[ParticipantRole]
    PARTICIPANT_ROLE_CALLER: _ClassVar[ParticipantRole]
    PARTICIPANT_ROLE_CALLEE: _ClassVar[ParticipantRole]
    PARTICIPANT_ROLE_ANSWERED: _ClassVar[ParticipantRole]
    PARTICIPANT_ROLE_TRANSFERRED_TO: _ClassVar[ParticipantRole]
    PARTICIPANT_ROLE_TRANSFERRED_FROM: _ClassVar[ParticipantRole]
    PARTICIPANT_ROLE_CONFERENCE: _ClassVar[ParticipantRole]
    PARTICIPANT_ROLE_AGENT: _ClassVar[ParticipantRole]
    PARTICIPANT_ROLE_MAILBOX_HOLDER: _ClassVar[ParticipantRole]
    PARTICIPANT_ROLE_FORWARDED_TO: _ClassVar[ParticipantRole]
    PARTICIPANT_ROLE_LISTENER: _ClassVar[ParticipantRole]
RESOURCE_TYPE_UNSPECIFIED: ResourceType
RESOURCE_TYPE_RECORDING: ResourceType
RESOURCE_TYPE_VOICEMAIL: ResourceType
RESOURCE_TYPE_FAX: ResourceType
RESOURCE_TYPE_CDR: ResourceType
RESOURCE_TYPE_CAPTURE: ResourceType
RESOURCE_TYPE_CONTACT: ResourceType
RESOURCE_TYPE_MEDIA: ResourceType
RESOURCE_TYPE_POLICY: ResourceType
RESOURCE_TYPE_AUDIT_LOG: ResourceType
RESOURCE_TYPE_DIAGNOSTICS: ResourceType
VERB_UNSPECIFIED: Verb
VERB_VIEW_METADATA: Verb
VERB_VIEW_PARTY_NUMBERS: Verb
VERB_SEARCH: Verb
VERB_PLAY: Verb
VERB_DOWNLOAD: Verb
VERB_EXPORT: Verb
VERB_SHARE: Verb
VERB_TRANSCRIBE: Verb
VERB_READ_TRANSCRIPT: Verb
VERB_DELETE: Verb
VERB_RESTORE: Verb
VERB_ARCHIVE: Verb
VERB_HOLD: Verb
VERB_RELEASE_HOLD: Verb
VERB_ERASE_SUBJECT: Verb
VERB_RECORD_START: Verb
VERB_RECORD_STOP: Verb
VERB_RECORD_PAUSE: Verb
VERB_RECORD_RESUME: Verb
VERB_LISTEN_LIVE: Verb
VERB_CAPTURE_START: Verb
VERB_CAPTURE_STOP: Verb
VERB_CAPTURE_READ: Verb
VERB_READ_ACCESS_LOG: Verb
VERB_EXPORT_ACCESS_LOG: Verb
VERB_READ_POLICY: Verb
VERB_CHANGE_POLICY: Verb
VERB_CAPTURE_REQUEST: Verb
VERB_CAPTURE_APPROVE: Verb
VERB_CAPTURE_MEDIA: Verb
VERB_CAPTURE_RAW_FILTER: Verb
VERB_ENABLE_DIAGNOSTICS: Verb
VERB_PUBLISH_NOTICE: Verb
VERB_SEND_NOTICE: Verb
VERB_ATTEST_NOTICE: Verb
VERB_RUN_PROBE: Verb
VERB_SHARE_USAGE: Verb
PURPOSE_UNSPECIFIED: Purpose
PURPOSE_ACCOUNTING: Purpose
PURPOSE_BILLING: Purpose
PURPOSE_QUALITY: Purpose
PURPOSE_FRAUD: Purpose
PURPOSE_SUPPORT: Purpose
PURPOSE_LEGAL: Purpose
PURPOSE_TRAINING: Purpose
CONSENT_UNSPECIFIED: Consent
CONSENT_GIVEN: Consent
CONSENT_REFUSED: Consent
PARTICIPANT_ROLE_UNSPECIFIED: ParticipantRole
PARTICIPANT_ROLE_CALLER: ParticipantRole
PARTICIPANT_ROLE_CALLEE: ParticipantRole
PARTICIPANT_ROLE_ANSWERED: ParticipantRole
PARTICIPANT_ROLE_TRANSFERRED_TO: ParticipantRole
PARTICIPANT_ROLE_TRANSFERRED_FROM: ParticipantRole
PARTICIPANT_ROLE_CONFERENCE: ParticipantRole
PARTICIPANT_ROLE_AGENT: ParticipantRole
PARTICIPANT_ROLE_MAILBOX_HOLDER: ParticipantRole
PARTICIPANT_ROLE_FORWARDED_TO: ParticipantRole
PARTICIPANT_ROLE_LISTENER: ParticipantRole

class Participant(_message.Message):
    __slots__ = ("person", "address", "role", "until")
    PERSON_FIELD_NUMBER: _ClassVar[int]
    ADDRESS_FIELD_NUMBER: _ClassVar[int]
    ROLE_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    person: str
    address: str
    role: ParticipantRole
    until: _timestamp_pb2.Timestamp
    def __init__(self, person: _Optional[str] = ..., address: _Optional[str] = ..., role: _Optional[_Union[ParticipantRole, str]] = ..., until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., **kwargs) -> None: ...

class Subject(_message.Message):
    __slots__ = ("id", "tenant")
    ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    id: str
    tenant: str
    def __init__(self, id: _Optional[str] = ..., tenant: _Optional[str] = ...) -> None: ...

class Resource(_message.Message):
    __slots__ = ("type", "id", "tenant", "owner", "queue", "parties", "created_at", "labels", "participants", "call_id", "duration_s")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TYPE_FIELD_NUMBER: _ClassVar[int]
    ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    QUEUE_FIELD_NUMBER: _ClassVar[int]
    PARTIES_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PARTICIPANTS_FIELD_NUMBER: _ClassVar[int]
    CALL_ID_FIELD_NUMBER: _ClassVar[int]
    DURATION_S_FIELD_NUMBER: _ClassVar[int]
    type: ResourceType
    id: str
    tenant: str
    owner: str
    queue: str
    parties: _containers.RepeatedScalarFieldContainer[str]
    created_at: _timestamp_pb2.Timestamp
    labels: _containers.ScalarMap[str, str]
    participants: _containers.RepeatedCompositeFieldContainer[Participant]
    call_id: str
    duration_s: int
    def __init__(self, type: _Optional[_Union[ResourceType, str]] = ..., id: _Optional[str] = ..., tenant: _Optional[str] = ..., owner: _Optional[str] = ..., queue: _Optional[str] = ..., parties: _Optional[_Iterable[str]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., labels: _Optional[_Mapping[str, str]] = ..., participants: _Optional[_Iterable[_Union[Participant, _Mapping]]] = ..., call_id: _Optional[str] = ..., duration_s: _Optional[int] = ...) -> None: ...

class Context(_message.Message):
    __slots__ = ("purpose", "case_reference", "network_zone", "consent")
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    CASE_REFERENCE_FIELD_NUMBER: _ClassVar[int]
    NETWORK_ZONE_FIELD_NUMBER: _ClassVar[int]
    CONSENT_FIELD_NUMBER: _ClassVar[int]
    purpose: Purpose
    case_reference: str
    network_zone: str
    consent: Consent
    def __init__(self, purpose: _Optional[_Union[Purpose, str]] = ..., case_reference: _Optional[str] = ..., network_zone: _Optional[str] = ..., consent: _Optional[_Union[Consent, str]] = ...) -> None: ...

class RequestHeader(_message.Message):
    __slots__ = ("tenant", "request_id", "subject", "context")
    TENANT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FIELD_NUMBER: _ClassVar[int]
    tenant: str
    request_id: str
    subject: Subject
    context: Context
    def __init__(self, tenant: _Optional[str] = ..., request_id: _Optional[str] = ..., subject: _Optional[_Union[Subject, _Mapping]] = ..., context: _Optional[_Union[Context, _Mapping]] = ...) -> None: ...

class PolicyVersion(_message.Message):
    __slots__ = ("revision", "hash")
    REVISION_FIELD_NUMBER: _ClassVar[int]
    HASH_FIELD_NUMBER: _ClassVar[int]
    revision: int
    hash: bytes
    def __init__(self, revision: _Optional[int] = ..., hash: _Optional[bytes] = ...) -> None: ...
