"""A customer that uses all of diagnostics, so that its log has an entry of every kind."""

from typing import Any

import grpc
import pytest
from acme import AUDIENCE, CASE, LIMITS, NOTICE, NOTICE_TEXT, RESPONSIBILITIES, statement

from linewarden.diagnostics import kinds
from linewarden.diagnostics.evidence.sealing import pyrage
from linewarden.diagnostics.states import Event
from linewarden.v1 import capture_pb2, core_pb2, notice_pb2, probe_pb2
from tests.contract_calls import Stubs, request_type
from tests.deadlines import HANG_S
from tests.rights import may_capture

#: Statements that the template lacks: a second administrator, and a reader of evidence.
STATEMENTS = ("bind berta role:tenant_admin", "allow admin capture_read capture any if case")
#: The interfaces and hosts at which the tenant may capture and probe.
PLACES = '[example]\ninterfaces = ["lo", "none0"]\nhosts = ["127.0.0.1"]\n'

_CONTEXT = core_pb2.Context(purpose=core_pb2.PURPOSE_SUPPORT, case_reference=CASE)
_SOMEONE = core_pb2.Subject(id="admin")
_READER = capture_pb2.EvidenceReader(name="zacharias", public_key=str(pyrage.x25519.Identity.generate().to_public()))
_SELECTOR = capture_pb2.CaptureSelector(ports=[capture_pb2.PortRange(low=45_072, high=45_072)])


def made_kinds() -> set[str]:
    """Return the kinds that diagnostics make."""
    return set(kinds.KINDS)


def needs_capture() -> set[str]:
    """Return the kinds that only a finished capture makes."""
    ran = {f"{kinds.CAPTURE}{event}" for event in (Event.SEALED, Event.PAUSED, Event.RESUMED)}
    return {*ran, kinds.CAPTURE_OPENED}


class Customer:
    """A person who has all rights in diagnostics."""

    def __init__(self, channel: grpc.Channel, metadata: tuple[tuple[str, str], ...]) -> None:
        self._stub = Stubs(channel)
        self._metadata = metadata

    def use_everything(self) -> None:
        """Make at least one entry of every kind, and one with every field."""
        self._refused("DisableDiagnostics", grpc.StatusCode.FAILED_PRECONDITION)
        self._ask("EnableDiagnostics", accepted=RESPONSIBILITIES, retention_days=7)
        for share in (True, False):
            self._ask("ShareUsage", share=share)
        self._publish()
        early = self._request("lo")
        attestation = self._attest()
        self._refused("ApproveCapture", grpc.StatusCode.PERMISSION_DENIED, capture_id=early)
        self._refused("StopCapture", grpc.StatusCode.FAILED_PRECONDITION, capture_id=early)
        self._ask("WithdrawAttestation", attestation_id=attestation)
        self._refused("WithdrawAttestation", grpc.StatusCode.FAILED_PRECONDITION, attestation_id=attestation)
        self._refused("ConfirmNotice", grpc.StatusCode.FAILED_PRECONDITION, notice_id=NOTICE, notice_version=2)
        self._ask("RejectCapture", "berta", capture_id=early)
        self._attest()
        self._probe()
        self._fail()
        if may_capture():
            self._capture()
        self._request("lo")
        self._ask("DisableDiagnostics")

    def _publish(self) -> None:
        texts = [notice_pb2.NoticeText(language="en", text=NOTICE_TEXT)]
        channels = [notice_pb2.NOTICE_CHANNEL_EMAIL]
        self._ask("PublishNotice", notice_id=NOTICE, texts=texts, channels=channels, audience=AUDIENCE)
        receipt = notice_pb2.Receipt(person="mallory", fact=notice_pb2.RECEIPT_FACT_INFORMED)
        receipt.at.GetCurrentTime()
        about: dict[str, Any] = {"notice_id": NOTICE, "notice_version": 1}
        self._ask("RecordReceipts", channel=notice_pb2.NOTICE_CHANNEL_EMAIL, receipts=[receipt], **about)
        self._ask("ConfirmNotice", "bob", **about)
        self._ask("GetNotice", "bob", **about)
        recipients = [notice_pb2.Recipient(person="mallory", address="mallory@post.example")]
        # The mail server of this test does not exist; the attempt to send is an entry all the same.
        self._refused("SendNotice", grpc.StatusCode.UNAVAILABLE, recipients=recipients, **about)
        self._ask("ListActiveNotices", "bob")

    def _attest(self) -> str:
        id: str = self._ask("MakeAttestation", statement=statement(authority="appointed by zacharias")).attestation.id
        return id

    def _request(self, interface: str) -> str:
        id: str = self._ask(
            "RequestCapture",
            profile=capture_pb2.CAPTURE_PROFILE_SIGNALLING,
            selector=_SELECTOR,
            limits=LIMITS,
            interface=interface,
            readers=[_READER],
        ).capture.id
        return id

    def _probe(self) -> None:
        where = {"target": "127.0.0.1", "port": 9, "transport": capture_pb2.TRANSPORT_TCP}
        self._ask("RunProbe", kind=probe_pb2.PROBE_KIND_REACHABILITY, timeout_ms=200, **where)

    def _fail(self) -> None:
        """Fail a capture by an interface that does not exist."""
        id = self._request("none0")
        self._ask("ApproveCapture", "berta", capture_id=id)
        try:
            self._ask("StartCapture", capture_id=id)
        except grpc.RpcError as error:
            assert error.code() is grpc.StatusCode.UNAVAILABLE  # noqa: PT017 - either way the capture has failed
        self._await_end(id)
        self._ask("DeleteCapture", capture_id=id)

    def _capture(self) -> None:
        id = self._request("lo")
        self._ask("ApproveCapture", "berta", capture_id=id)
        for step in ("StartCapture", "PauseCapture", "ResumeCapture", "StopCapture"):
            self._ask(step, capture_id=id)
        self._await_end(id)
        request = self._message("ReadEvidence", _SOMEONE, capture_id=id)
        assert list(self._stub.ReadEvidence(request, metadata=self._metadata, timeout=HANG_S))

    def _await_end(self, id: str) -> None:
        request = self._message("WatchCapture", _SOMEONE, capture_id=id)
        for _look in self._stub.WatchCapture(request, metadata=self._metadata, timeout=HANG_S):
            pass

    def _ask(self, method: str, subject: str = "admin", /, **fields: Any) -> Any:
        request = self._message(method, core_pb2.Subject(id=subject), **fields)
        return getattr(self._stub, method)(request, metadata=self._metadata, timeout=HANG_S)

    def _refused(self, method: str, code: grpc.StatusCode, **fields: Any) -> None:
        with pytest.raises(grpc.RpcError) as caught:
            self._ask(method, **fields)
        assert caught.value.code() is code

    @staticmethod
    def _message(method: str, subject: core_pb2.Subject, **fields: Any) -> Any:
        header = core_pb2.RequestHeader(tenant="example", subject=subject, context=_CONTEXT)
        return request_type(method)(header=header, **fields)
