"""Translation between the messages of the diagnostics services and the records."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from linewarden.diagnostics import capture_model as capture
from linewarden.diagnostics import consent_model as model
from linewarden.diagnostics.agent.messages import tally_message
from linewarden.diagnostics.captures.ports import LEASE_S
from linewarden.diagnostics.captures.requests import CaptureRequest
from linewarden.diagnostics.packets.model import CaptureLimits, Profile, StopReason, Transport
from linewarden.diagnostics.probes.model import ProbeKind
from linewarden.server.messages import microseconds, timestamp
from linewarden.server.names import PURPOSE_NUMBERS, PURPOSES, by_number
from linewarden.v1 import attestation_pb2, capture_pb2, notice_pb2, probe_pb2, terms_pb2

PROFILES = by_number(capture_pb2.CaptureProfile, "CAPTURE_PROFILE_", Profile)
STATES = by_number(capture_pb2.CaptureState, "CAPTURE_STATE_", capture.CaptureState)
STOP_REASONS = by_number(capture_pb2.CaptureStopReason, "CAPTURE_STOP_REASON_", StopReason)
TRANSPORTS = by_number(capture_pb2.Transport, "TRANSPORT_", Transport)
RESPONSIBILITIES = by_number(terms_pb2.Responsibility, "RESPONSIBILITY_", model.Responsibility)
CHANNELS = by_number(notice_pb2.NoticeChannel, "NOTICE_CHANNEL_", model.NoticeChannel)
BASES = by_number(attestation_pb2.LegalBasis, "LEGAL_BASIS_", model.LegalBasis)
CONSENT_MODES = by_number(attestation_pb2.ConsentMode, "CONSENT_MODE_", model.ConsentMode)
FACTS = by_number(notice_pb2.ReceiptFact, "RECEIPT_FACT_", model.ReceiptFact)
PROBES = by_number(probe_pb2.ProbeKind, "PROBE_KIND_", ProbeKind)

_NUMBERS: dict[type[StrEnum], dict[str, int]] = {
    type(next(iter(words.values()))): {word: number for number, word in words.items()}
    for words in (PROFILES, STATES, STOP_REASONS, TRANSPORTS, RESPONSIBILITIES, CHANNELS, BASES, CONSENT_MODES, FACTS)
}


def number(word: StrEnum) -> Any:
    """Return the number of a word in the contract."""
    return _NUMBERS[type(word)][word]


def terms_message(terms: model.Terms, changed_by: str) -> terms_pb2.Diagnostics:
    """Return the terms of a tenant."""
    message = terms_pb2.Diagnostics(
        enabled=terms.enabled,
        accepted=[number(one) for one in terms.accepted],
        approval_waived=terms.approval_waived,
        retention_days=terms.retention_days,
        changed_by=changed_by,
        shares_usage=terms.shares_usage,
    )
    if terms.changed_us:
        message.changed_at.CopyFrom(timestamp(terms.changed_us))
    return message


def notice_message(notice: model.Notice, counts: model.ReceiptCounts) -> notice_pb2.Notice:
    """Return a notice with its counts."""
    return notice_pb2.Notice(
        id=notice.id,
        version=notice.version,
        texts=texts_in(notice, ""),
        hash=bytes.fromhex(notice.hash),
        channels=[number(one) for one in notice.channels],
        audience=notice.audience,
        published_at=timestamp(notice.published_us),
        informed=counts.informed,
        confirmed=counts.confirmed,
        failed=counts.failed,
        reported=counts.reported,
    )


def texts_in(notice: model.Notice, language: str) -> list[notice_pb2.NoticeText]:
    """Return the texts of a notice in a language, or all texts if none is in that language."""
    return [notice_pb2.NoticeText(language=one.language, text=one.text) for one in notice.texts_in(language)]


def statement_of(message: attestation_pb2.AttestationStatement) -> model.Statement:
    """Return the attested statement."""
    promised = message.promised
    return model.Statement(
        notice_id=message.notice_id,
        notice_version=message.notice_version,
        texts=model.AttestedTexts(
            message.role,
            message.authority,
            message.exception,
            message.necessity,
            message.audience,
            message.dpia_reference,
        ),
        channels=tuple(
            model.ChannelEvidence(CHANNELS[one.channel], one.evidence_sha256.hex()) for one in message.channels
        ),
        informed_count=message.informed_count,
        confirmed_count=message.confirmed_count,
        notified_from_us=microseconds(message.notified_from),
        notified_until_us=microseconds(message.notified_until),
        valid_until_us=microseconds(message.valid_until),
        purpose=PURPOSES[message.purpose],
        legal_basis=BASES[message.legal_basis],
        jurisdictions=tuple(message.jurisdictions),
        consent_mode=CONSENT_MODES[message.consent_mode],
        promised=model.PromisedLimits(PROFILES[promised.profile], promised.seconds, promised.retention_days),
        has_dpia=bool(message.dpia_reference),
    )


def attestation_message(
    attestation: model.Attestation, statement: model.Statement, attestor: str, verifier_key: str
) -> attestation_pb2.Attestation:
    """Return an attestation; `statement` is the one with its private texts."""
    message = attestation_pb2.Attestation(
        id=attestation.id,
        statement=_statement_message(statement),
        attestor=attestor,
        made_at=timestamp(attestation.made_us),
        notice_hash=bytes.fromhex(attestation.notice_hash),
        signed_note=attestation.note,
        verifier_key=verifier_key,
    )
    if attestation.withdrawn_us is not None:
        message.withdrawn_at.CopyFrom(timestamp(attestation.withdrawn_us))
    return message


def request_of(request: capture_pb2.RequestCaptureRequest) -> CaptureRequest:
    """Return the request for a capture."""
    limits, selector = request.limits, request.selector
    return CaptureRequest(
        profile=PROFILES[request.profile],
        selector=capture.PacketSelector(
            extensions=tuple(selector.extensions),
            call_ids=tuple(selector.call_ids),
            trunks=tuple(selector.trunks),
            hosts=tuple(selector.hosts),
            ports=tuple((one.low, one.high) for one in selector.ports),
            transport=TRANSPORTS.get(selector.transport, Transport.ANY),
            raw_filter=selector.raw_filter,
        ),
        limits=CaptureLimits(
            limits.seconds,
            limits.bytes,
            limits.packets,
            limits.snaplen,
            limits.disk_free_min,
            limits.loss_budget,
            lease_seconds=LEASE_S,
        ),
        interface=request.interface,
        readers=tuple(capture.Reader(one.name, one.public_key) for one in request.readers),
        extends=request.extends_capture,
        file=request.file,
        worker=request.worker,
    )


def capture_message(
    one: capture.Capture, private: capture.Private | None, names: Mapping[str, str], ticket_digest: str
) -> capture_pb2.Capture:
    """Return a capture; `private` is None if it is no longer readable."""
    limits = one.limits
    message = capture_pb2.Capture(
        id=one.id,
        state=number(one.state),
        purpose=PURPOSE_NUMBERS[one.purpose],
        profile=number(one.profile),
        limits=capture_pb2.CaptureLimits(
            seconds=limits.seconds,
            bytes=limits.bytes,
            packets=limits.packets,
            snaplen=limits.snaplen,
            disk_free_min=limits.disk_free_min,
            loss_budget=limits.loss_budget,
        ),
        interface=one.interface,
        worker=one.worker,
        requested_by=names.get(one.requested_by, ""),
        approved_by=names.get(one.approved_by, ""),
        started_by=names.get(one.started_by, ""),
        attestation_id=one.attestation,
        extends_capture=one.extends,
        requested_at=timestamp(one.requested_us),
        counters=tally_message(one.tally),
        lossy=one.lossy,
        cause=one.detail,
    )
    if one.stop_reason is not None:
        message.stop_reason = number(one.stop_reason)
    if private is not None:
        _add_private(message, private)
    _add_times(message, one)
    if one.evidence is not None:
        _add_evidence(message, one.evidence, ticket_digest)
    return message


def _add_private(message: capture_pb2.Capture, private: capture.Private) -> None:
    packets = private.wanted
    message.case_reference = private.case
    message.file = private.file
    message.reader_names.extend(one.name for one in private.readers)
    message.readers.extend(
        capture_pb2.EvidenceReader(name=one.name, public_key=one.public_key) for one in private.readers
    )
    message.selector.CopyFrom(
        capture_pb2.CaptureSelector(
            extensions=packets.extensions,
            call_ids=packets.call_ids,
            trunks=packets.trunks,
            hosts=packets.hosts,
            ports=[capture_pb2.PortRange(low=low, high=high) for low, high in packets.ports],
            transport=number(packets.transport),
            raw_filter=packets.raw_filter,
        )
    )


def _add_times(message: capture_pb2.Capture, one: capture.Capture) -> None:
    times = {
        "approved_at": one.approved_us,
        "start_before": one.start_before_us,
        "started_at": one.started_us,
        "ended_at": one.ended_us,
        "delete_at": one.delete_us,
    }
    for name, at_us in times.items():
        if at_us is not None:
            getattr(message, name).CopyFrom(timestamp(at_us))


def _add_evidence(message: capture_pb2.Capture, evidence: capture.Evidence, ticket_digest: str) -> None:
    message.evidence.CopyFrom(
        capture_pb2.Evidence(
            plain_bytes=evidence.plain_bytes,
            plain_sha256=evidence.plain_sha256,
            chain=evidence.chain,
            ticket_digest=ticket_digest,
            sealed_bytes=evidence.sealed_bytes,
            sealed_sha256=evidence.sealed_sha256,
        )
    )


def _statement_message(statement: model.Statement) -> attestation_pb2.AttestationStatement:
    texts, promised = statement.texts, statement.promised
    return attestation_pb2.AttestationStatement(
        notice_id=statement.notice_id,
        notice_version=statement.notice_version,
        role=texts.role,
        authority=texts.authority,
        channels=[
            attestation_pb2.ChannelEvidence(
                channel=number(one.channel), evidence_sha256=bytes.fromhex(one.evidence_sha256)
            )
            for one in statement.channels
        ],
        audience=texts.audience,
        informed_count=statement.informed_count,
        confirmed_count=statement.confirmed_count,
        notified_from=timestamp(statement.notified_from_us),
        notified_until=timestamp(statement.notified_until_us),
        valid_until=timestamp(statement.valid_until_us),
        purpose=PURPOSE_NUMBERS[statement.purpose],
        legal_basis=number(statement.legal_basis),
        jurisdictions=statement.jurisdictions,
        exception=texts.exception,
        consent_mode=number(statement.consent_mode),
        necessity=texts.necessity,
        dpia_reference=texts.dpia_reference,
        promised=attestation_pb2.PromisedLimits(
            profile=number(promised.profile), seconds=promised.seconds, retention_days=promised.retention_days
        ),
    )
