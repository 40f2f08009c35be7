import datetime

from buf.validate import validate_pb2 as _validate_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from linewarden.v1 import capture_pb2 as _capture_pb2
from linewarden.v1 import core_pb2 as _core_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class NoticeChannel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    NOTICE_CHANNEL_UNSPECIFIED: _ClassVar[NoticeChannel]
    NOTICE_CHANNEL_EMAIL: _ClassVar[NoticeChannel]
    NOTICE_CHANNEL_INTRANET: _ClassVar[NoticeChannel]
    NOTICE_CHANNEL_CALL_ANNOUNCEMENT: _ClassVar[NoticeChannel]
    NOTICE_CHANNEL_DEVICE_DISPLAY: _ClassVar[NoticeChannel]
    NOTICE_CHANNEL_PAPER: _ClassVar[NoticeChannel]
    NOTICE_CHANNEL_IN_PERSON: _ClassVar[NoticeChannel]

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
NOTICE_CHANNEL_UNSPECIFIED: NoticeChannel
NOTICE_CHANNEL_EMAIL: NoticeChannel
NOTICE_CHANNEL_INTRANET: NoticeChannel
NOTICE_CHANNEL_CALL_ANNOUNCEMENT: NoticeChannel
NOTICE_CHANNEL_DEVICE_DISPLAY: NoticeChannel
NOTICE_CHANNEL_PAPER: NoticeChannel
NOTICE_CHANNEL_IN_PERSON: NoticeChannel
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

class PublishNoticeRequest(_message.Message):
    __slots__ = ("header", "notice_id", "texts", "channels", "audience")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    NOTICE_ID_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    AUDIENCE_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    notice_id: str
    texts: _containers.RepeatedCompositeFieldContainer[NoticeText]
    channels: _containers.RepeatedScalarFieldContainer[NoticeChannel]
    audience: str
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., notice_id: _Optional[str] = ..., texts: _Optional[_Iterable[_Union[NoticeText, _Mapping]]] = ..., channels: _Optional[_Iterable[_Union[NoticeChannel, str]]] = ..., audience: _Optional[str] = ...) -> None: ...

class PublishNoticeResponse(_message.Message):
    __slots__ = ("notice",)
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    notice: Notice
    def __init__(self, notice: _Optional[_Union[Notice, _Mapping]] = ...) -> None: ...

class ListNoticesRequest(_message.Message):
    __slots__ = ("header", "page_size", "page_token")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    page_size: int
    page_token: str
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListNoticesResponse(_message.Message):
    __slots__ = ("notices", "next_page_token")
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    notices: _containers.RepeatedCompositeFieldContainer[Notice]
    next_page_token: str
    def __init__(self, notices: _Optional[_Iterable[_Union[Notice, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetNoticeRequest(_message.Message):
    __slots__ = ("header", "notice_id", "notice_version", "language")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    NOTICE_ID_FIELD_NUMBER: _ClassVar[int]
    NOTICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    notice_id: str
    notice_version: int
    language: str
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., notice_id: _Optional[str] = ..., notice_version: _Optional[int] = ..., language: _Optional[str] = ...) -> None: ...

class GetNoticeResponse(_message.Message):
    __slots__ = ("notice", "current_version")
    NOTICE_FIELD_NUMBER: _ClassVar[int]
    CURRENT_VERSION_FIELD_NUMBER: _ClassVar[int]
    notice: Notice
    current_version: int
    def __init__(self, notice: _Optional[_Union[Notice, _Mapping]] = ..., current_version: _Optional[int] = ...) -> None: ...

class ListActiveNoticesRequest(_message.Message):
    __slots__ = ("header", "extensions", "language")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    EXTENSIONS_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    extensions: _containers.RepeatedScalarFieldContainer[str]
    language: str
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., extensions: _Optional[_Iterable[str]] = ..., language: _Optional[str] = ...) -> None: ...

class ListActiveNoticesResponse(_message.Message):
    __slots__ = ("notices",)
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    notices: _containers.RepeatedCompositeFieldContainer[ActiveNotice]
    def __init__(self, notices: _Optional[_Iterable[_Union[ActiveNotice, _Mapping]]] = ...) -> None: ...

class ActiveNotice(_message.Message):
    __slots__ = ("capture_id", "coverage", "profile", "purpose", "started_at", "ends_before", "notice_id", "notice_version", "texts")
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    COVERAGE_FIELD_NUMBER: _ClassVar[int]
    PROFILE_FIELD_NUMBER: _ClassVar[int]
    PURPOSE_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    ENDS_BEFORE_FIELD_NUMBER: _ClassVar[int]
    NOTICE_ID_FIELD_NUMBER: _ClassVar[int]
    NOTICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    TEXTS_FIELD_NUMBER: _ClassVar[int]
    capture_id: str
    coverage: Coverage
    profile: _capture_pb2.CaptureProfile
    purpose: _core_pb2.Purpose
    started_at: _timestamp_pb2.Timestamp
    ends_before: _timestamp_pb2.Timestamp
    notice_id: str
    notice_version: int
    texts: _containers.RepeatedCompositeFieldContainer[NoticeText]
    def __init__(self, capture_id: _Optional[str] = ..., coverage: _Optional[_Union[Coverage, str]] = ..., profile: _Optional[_Union[_capture_pb2.CaptureProfile, str]] = ..., purpose: _Optional[_Union[_core_pb2.Purpose, str]] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ends_before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., notice_id: _Optional[str] = ..., notice_version: _Optional[int] = ..., texts: _Optional[_Iterable[_Union[NoticeText, _Mapping]]] = ...) -> None: ...

class ConfirmNoticeRequest(_message.Message):
    __slots__ = ("header", "notice_id", "notice_version", "capture_id")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    NOTICE_ID_FIELD_NUMBER: _ClassVar[int]
    NOTICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    notice_id: str
    notice_version: int
    capture_id: str
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., notice_id: _Optional[str] = ..., notice_version: _Optional[int] = ..., capture_id: _Optional[str] = ...) -> None: ...

class ConfirmNoticeResponse(_message.Message):
    __slots__ = ("confirmed_at",)
    CONFIRMED_AT_FIELD_NUMBER: _ClassVar[int]
    confirmed_at: _timestamp_pb2.Timestamp
    def __init__(self, confirmed_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class RecordReceiptsRequest(_message.Message):
    __slots__ = ("header", "notice_id", "notice_version", "capture_id", "channel", "receipts")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    NOTICE_ID_FIELD_NUMBER: _ClassVar[int]
    NOTICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    RECEIPTS_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    notice_id: str
    notice_version: int
    capture_id: str
    channel: NoticeChannel
    receipts: _containers.RepeatedCompositeFieldContainer[Receipt]
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., notice_id: _Optional[str] = ..., notice_version: _Optional[int] = ..., capture_id: _Optional[str] = ..., channel: _Optional[_Union[NoticeChannel, str]] = ..., receipts: _Optional[_Iterable[_Union[Receipt, _Mapping]]] = ...) -> None: ...

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
    __slots__ = ("header", "notice_id", "notice_version", "capture_id", "language", "recipients")
    HEADER_FIELD_NUMBER: _ClassVar[int]
    NOTICE_ID_FIELD_NUMBER: _ClassVar[int]
    NOTICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    CAPTURE_ID_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    RECIPIENTS_FIELD_NUMBER: _ClassVar[int]
    header: _core_pb2.RequestHeader
    notice_id: str
    notice_version: int
    capture_id: str
    language: str
    recipients: _containers.RepeatedCompositeFieldContainer[Recipient]
    def __init__(self, header: _Optional[_Union[_core_pb2.RequestHeader, _Mapping]] = ..., notice_id: _Optional[str] = ..., notice_version: _Optional[int] = ..., capture_id: _Optional[str] = ..., language: _Optional[str] = ..., recipients: _Optional[_Iterable[_Union[Recipient, _Mapping]]] = ...) -> None: ...

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
