"""Every rpc that needs a right asks the policy for it, and the denial is in the log."""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
import pytest_asyncio
from acme import RESPONSIBILITIES, statement
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

from linewarden.server.bootstrap import SERVICES
from linewarden.v1 import capture_pb2, core_pb2, notice_pb2, probe_pb2
from tests.contract_calls import request_type
from tests.deadlines import HANG_S
from tests.integration.conftest import DATA, TENANT, Refusal, Site, make_site, person, refusal_of
from tests.integration.diagnosing import CONTEXT, Diagnosing, asked, customer

_PROTOS = DATA.parents[2] / "protos/linewarden/v1"

#: Rpcs that need no right: a check is the question itself, and any person may read and confirm what it is told.
_WITHOUT = {"Check", "CheckBatch", "CheckStream", "ListActiveNotices", "ConfirmNotice"}

#: The right is asked for only of persons of other tenants.
_FOR_OTHERS = {"ListNotices", "GetNotice"}

_EMAIL = notice_pb2.NOTICE_CHANNEL_EMAIL
_ABOUT: dict[str, Any] = {"notice_id": "faults", "notice_version": 1}
_TEXTS = [notice_pb2.NoticeText(language="en", text="Calls of a fault are captured.")]

#: What a good request of an rpc states beside its header. `capture` and `attestation` stand for existing ones.
_FIELDS: dict[str, dict[str, Any]] = {
    "LoadPolicy": {"document": "allow eve change_policy policy any\n"},
    "ChangePolicy": {"add": ["allow eve play fax any"]},
    "EnableDiagnostics": {"accepted": RESPONSIBILITIES, "retention_days": 7},
    "PublishNotice": {"notice_id": "faults", "texts": _TEXTS, "channels": [_EMAIL], "audience": "all staff"},
    "GetNotice": {"notice_id": "faults"},
    "RecordReceipts": {
        **_ABOUT,
        "channel": _EMAIL,
        "receipts": [notice_pb2.Receipt(person="bob", fact=notice_pb2.RECEIPT_FACT_INFORMED, at=Timestamp(seconds=9))],
    },
    "SendNotice": {**_ABOUT, "recipients": [notice_pb2.Recipient(person="bob", address="bob@post.example")]},
    "MakeAttestation": {"statement": statement()},
    "WithdrawAttestation": {"attestation_id": "attestation"},
    "RequestCapture": asked(),
    "RunProbe": {"kind": probe_pb2.PROBE_KIND_REACHABILITY, "target": "127.0.0.1", "port": 9, "timeout_ms": 200},
    "ShareUsage": {"share": True},
}
_OF_CAPTURES = {
    *("ApproveCapture", "RejectCapture", "StartCapture", "UploadCapture", "StopCapture", "PauseCapture"),
    *("ResumeCapture", "GetCapture", "WatchCapture", "ReadEvidence", "DeleteCapture"),
}


def _methods() -> dict[str, MethodDescriptor]:
    """Every rpc that callers use."""
    return {method.name: method for service in SERVICES for method in service.methods}


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The folder of the server that all requests go to."""
    folder = tmp_path_factory.mktemp("rights") / "site"
    with make_site(folder, f"sqlite:///{folder}/linewarden.db") as site:
        yield site


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def acme(shared_site: Site) -> AsyncIterator[tuple[Diagnosing, dict[str, str]]]:
    """A customer with an attestation and a capture that may be started."""
    async with customer(shared_site) as (made, _running):
        attestation = (await made.permit()).id
        yield made, {"capture": await made.armed(), "attestation": attestation}


def test_every_rpc_says_which_right_it_needs() -> None:
    """The contract names a right for each rpc, except for those that are known to need none."""
    text = "".join(path.read_text(encoding="utf-8") for path in _PROTOS.glob("*.proto"))
    comments = {name: comment for comment, name in re.findall(r"((?:^  //.*\n)+)  rpc (\w+)", text, re.MULTILINE)}
    assert {name for name in _methods() if not re.search(r"Needs[\s/]+[A-Z]{2,}", comments[name])} == _WITHOUT


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("name", sorted(set(_methods()) - _WITHOUT))
async def test_a_person_without_the_right_is_denied(
    shared_site: Site, acme: tuple[Diagnosing, dict[str, str]], name: str
) -> None:
    """A person to whom the policy gives nothing is refused, and the refusal names the decision that denies it."""
    diagnosing, ids = acme
    refused = await _refusal(diagnosing, name, ids)
    assert (refused.code, refused.reason) == (grpc.StatusCode.PERMISSION_DENIED, "SUBJECT_NOT_PERMITTED")
    entry = shared_site.entries()[int(refused.metadata["decision"])]
    assert entry["items"][0]["effect"] == "deny"


async def _refusal(diagnosing: Diagnosing, name: str, ids: dict[str, str]) -> Refusal:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _answer(diagnosing, _methods()[name], _request(name, ids))
    return refusal_of(caught.value)


async def _answer(diagnosing: Diagnosing, method: MethodDescriptor, request: Any) -> Any:
    """The first answer to a request, in a stream of its own where the rpc takes a stream."""
    sent = iter([request]) if method.client_streaming else request
    call = getattr(diagnosing.stub, method.name)(sent, metadata=diagnosing.client.metadata, timeout=HANG_S)
    return await anext(aiter(call)) if method.server_streaming else await call


def _request(name: str, ids: dict[str, str]) -> Any:
    """The request of a person to whom no rule applies."""
    subject = core_pb2.Subject(id="eve", tenant="globex") if name in _FOR_OTHERS else person("eve")
    header = core_pb2.RequestHeader(tenant=TENANT, subject=subject, context=CONTEXT)
    if name == "UploadCapture":
        start = capture_pb2.StartCaptureRequest(header=header, capture_id=ids["capture"])
        return capture_pb2.UploadCaptureRequest(start=start, content=bytes.fromhex("d4c3b2a1"))
    fields = {"capture_id": "capture"} if name in _OF_CAPTURES else _FIELDS.get(name, {})
    stated = {field: ids.get(value, value) if isinstance(value, str) else value for field, value in fields.items()}
    return request_type(name)(header=header, **stated)
