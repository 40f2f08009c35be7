"""Conditions for a capture over real gRPC: each one refuses with its reason, and records that."""

import socket
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
from acme import LIMITS, NOTICE_TEXT, statement

from linewarden.audit.note import Verifier, open_note
from linewarden.diagnostics.store import schema
from linewarden.v1 import attestation_pb2, capture_pb2, core_pb2, notice_pb2, probe_pb2, terms_pb2
from tests.integration.conftest import Site
from tests.integration.diagnosing import Diagnosing, asked, customer

#: Another tenant has a different trunk on the interface that both share.
SHARED_PLACES = """
[acme]
interfaces = ["lo"]
[globex]
interfaces = ["lo"]
[globex.trunks]
northern = ["198.51.100.7"]
"""


@pytest.fixture
async def acme(sqlite_site: Site) -> AsyncIterator[Diagnosing]:
    """Yield a customer that has permitted nothing yet."""
    async with customer(sqlite_site) as (diagnosing, _running):
        yield diagnosing


def kinds(site: Site) -> list[str]:
    """Return the kinds of all entries, in order."""
    return [entry["kind"] for entry in site.entries()]


def refusals(site: Site, since: int) -> list[tuple[str, str]]:
    """Return the reasons of all later refusals, each with the field that it names."""
    found = [entry for entry in site.entries()[since:] if entry["kind"].endswith(".refused")]
    return [(entry["reason"], entry.get("detail") or ",".join(entry.get("fields", ()))) for entry in found]


async def test_the_whole_way_to_an_armed_session_is_in_the_log(acme: Diagnosing, sqlite_site: Site) -> None:
    """Enabling, notice, attestation, request and approval each leave one entry, in this order."""
    await acme.permit()
    id = await acme.armed()
    capture = await acme.capture(id)
    assert capture.state == capture_pb2.CAPTURE_STATE_ARMED
    assert (capture.requested_by, capture.approved_by, capture.case_reference) == ("admin", "berta", "T-4711")
    wanted = [
        "diagnostics.enabled",
        "notice.published",
        "attestation.made",
        "capture.requested",
        "capture.approved",
    ]
    assert [kind for kind in kinds(sqlite_site) if kind in wanted] == wanted


async def test_no_private_value_stands_in_an_entry(acme: Diagnosing, sqlite_site: Site) -> None:
    """Entries and note hold case, selector, readers, notice and attestor's texts sealed, and names as pseudonyms."""
    before = len(sqlite_site.entries())  # the first policy names its people, and so does its entry
    await acme.enable()
    await acme.publish()
    await acme.attest(dpia_reference="DPIA-77-knef", exception="paragraph 11 for hildegard")
    await acme.armed(selector=capture_pb2.CaptureSelector(extensions=["4242-secret"], hosts=["192.0.2.99"]))
    written = orjson.dumps(sqlite_site.entries()[before:]).decode()
    told = ("appointed by the board", "data protection officer", "all staff", "the fault does not show", "DPIA-77-knef",
            "paragraph 11", "T-4711", "4242-secret", "192.0.2.99", NOTICE_TEXT, "berta", "erik")  # fmt: skip
    assert '"attestation.made"' in written
    assert [secret for secret in told if secret in written] == []
    files = list(sqlite_site.settings.data_dir.parent.rglob("linewarden.db*"))
    assert files
    for file in files:
        content = file.read_bytes()
        assert [secret for secret in told[:-2] if secret.encode() in content] == [], file


async def test_an_attestation_is_signed_and_verifies_without_the_service(acme: Diagnosing) -> None:
    """The note of an attestation verifies with the key, and holds the notice's hash but no text of the attestor."""
    attestation = await acme.permit()
    text = open_note(attestation.signed_note, Verifier.parse(attestation.verifier_key))
    assert attestation.notice_hash.hex() in text
    statement = attestation.statement
    words = (statement.role, statement.authority, statement.audience, statement.necessity)
    assert words[:2] == ("data protection officer", "appointed by the board")
    assert [word for word in words if word in text] == []
    assert attestation.attestor == "admin"


async def test_a_session_without_attestation_waits_and_goes_on_when_one_is_made(acme: Diagnosing) -> None:
    """A capture without attestation cannot be approved or started, and goes on when a covering one is made."""
    await acme.enable()
    await acme.publish()
    capture = (await acme.ask("RequestCapture", **asked())).capture
    assert capture.state == capture_pb2.CAPTURE_STATE_PENDING_ATTESTATION
    assert await acme.refused("ApproveCapture", "berta", capture_id=capture.id) == "ATTESTATION_MISSING"
    assert await acme.refused("StartCapture", capture_id=capture.id) == "ATTESTATION_MISSING"
    answer = await acme.ask("MakeAttestation", statement=statement())
    assert list(answer.captures_advanced) == [capture.id]
    assert (await acme.capture(capture.id)).state == capture_pb2.CAPTURE_STATE_PENDING_APPROVAL


async def test_nothing_starts_before_it_is_enabled(acme: Diagnosing, sqlite_site: Site) -> None:
    """Before diagnostics are enabled the service refuses and records every step towards a capture or a probe."""
    tries: dict[str, tuple[str, dict[str, Any]]] = {
        "PublishNotice": ("publish_notice", {"notice_id": "x", "channels": [1], "audience": "x",
                                             "texts": [notice_pb2.NoticeText(language="en", text="x")]}),
        "MakeAttestation": ("attest_notice", {"statement": statement()}),
        "RequestCapture": ("capture_request", asked()),
        "StartCapture": ("capture_start", {"capture_id": "none"}),
        "RunProbe": ("run_probe", {"kind": probe_pb2.PROBE_KIND_REACHABILITY, "target": "127.0.0.1",
                                   "timeout_ms": 500}),
    }  # fmt: skip
    for method, (_action, fields) in tries.items():
        assert await acme.refused(method, **fields) == "DIAGNOSTICS_NOT_ENABLED", method
    refused = [entry for entry in sqlite_site.entries() if entry["kind"] == "diagnostics.refused"]
    assert [entry["reason"] for entry in refused] == ["diagnostics_not_enabled"] * len(tries)
    assert [entry["actions"] for entry in refused] == [[action] for action, _fields in tries.values()]
    assert not {"notice.published", "attestation.made", "capture.requested", "probe.run"} & set(kinds(sqlite_site))


async def test_every_responsibility_must_be_accepted(acme: Diagnosing) -> None:
    """The service refuses an enabling that does not accept every responsibility."""
    accepted = [terms_pb2.RESPONSIBILITY_INFORM_USERS, terms_pb2.RESPONSIBILITY_LAWFUL_BASIS]
    refused = await acme.refused("EnableDiagnostics", accepted=accepted, retention_days=7)
    assert refused == "RESPONSIBILITIES_NOT_ACCEPTED"
    assert not (await acme.ask("GetDiagnostics")).diagnostics.enabled


async def test_partner_staff_never_acts_for_the_customer_under_any_policy(acme: Diagnosing, sqlite_site: Site) -> None:
    """Partner staff neither attests nor approves for the customer, even if the policy lets them."""
    await acme.permit()
    partner = "//partner/ines"
    capture = (await acme.ask("RequestCapture", **asked())).capture
    calls: list[tuple[str, dict[str, Any]]] = [
        ("EnableDiagnostics", {"accepted": [1], "retention_days": 1}),
        ("PublishNotice", {"notice_id": "x", "texts": [notice_pb2.NoticeText(language="en", text="x")],
                           "channels": [1], "audience": "x"}),
        ("MakeAttestation", {"statement": statement()}),
        ("ApproveCapture", {"capture_id": capture.id}),
        ("RejectCapture", {"capture_id": capture.id}),
        ("ListActiveNotices", {}),
        ("ConfirmNotice", {"notice_id": "faults", "notice_version": 1}),
    ]  # fmt: skip
    for method, fields in calls:
        assert await acme.refused(method, partner, **fields) == "NOT_THE_CUSTOMER", method
    refused = [entry["reason"] for entry in sqlite_site.entries() if entry["kind"] == "diagnostics.refused"]
    assert refused == ["not_the_customer"] * len(calls)


async def test_a_partner_may_request_and_run_what_the_customer_approves(acme: Diagnosing) -> None:
    """Partner staff may request a capture with a case, and the policy denies it without one."""
    await acme.permit()
    capture = (await acme.ask("RequestCapture", "//partner/ines", **asked())).capture
    assert capture.requested_by == "//partner/ines"
    bare = asked(context=core_pb2.Context(purpose=core_pb2.PURPOSE_SUPPORT))
    assert await acme.refused("RequestCapture", "//partner/ines", **bare) == "SUBJECT_NOT_PERMITTED"


async def test_a_requester_cannot_approve(acme: Diagnosing) -> None:
    """The service refuses the approval of the requester and accepts that of another administrator."""
    await acme.permit()
    capture = (await acme.ask("RequestCapture", **asked())).capture
    assert await acme.refused("ApproveCapture", "admin", capture_id=capture.id) == "SELF_APPROVAL"
    assert await acme.refused("StartCapture", capture_id=capture.id) == "APPROVAL_MISSING"
    answer = await acme.ask("ApproveCapture", "berta", capture_id=capture.id)
    assert answer.capture.state == capture_pb2.CAPTURE_STATE_ARMED


async def test_a_waived_approval_arms_at_once_but_never_for_media(acme: Diagnosing) -> None:
    """A waived approval arms a capture of signalling at once; media still needs a right and a DPIA."""
    await acme.permit(approval_waived=True)
    capture = (await acme.ask("RequestCapture", **asked())).capture
    assert capture.state == capture_pb2.CAPTURE_STATE_ARMED
    media = asked(profile=capture_pb2.CAPTURE_PROFILE_MEDIA)
    assert await acme.refused("RequestCapture", **media) == "SUBJECT_NOT_PERMITTED"
    await acme.client.change(add=["allow admin capture_media capture any"])
    waiting = (await acme.ask("RequestCapture", **media)).capture
    assert waiting.state == capture_pb2.CAPTURE_STATE_PENDING_ATTESTATION
    promised = attestation_pb2.PromisedLimits(profile=capture_pb2.CAPTURE_PROFILE_MEDIA)
    assert await acme.refused("MakeAttestation", statement=statement(promised=promised)) == "ATTESTATION_INVALID"
    await acme.attest(promised=promised, dpia_reference="DPIA-7")
    assert (await acme.capture(waiting.id)).state == capture_pb2.CAPTURE_STATE_PENDING_APPROVAL


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"limits": {"seconds": 3_601}}, "LIMIT_TOO_HIGH", "seconds"),
        ({"limits": {"bytes": 1 << 40}}, "LIMIT_TOO_HIGH", "bytes"),
        ({"limits": {"loss_budget": 1 << 30}}, "LIMIT_TOO_HIGH", "loss_budget"),
        ({"limits": {"snaplen": 0}}, "INVALID_REQUEST", "limits.snaplen"),
        ({"interface": "eth9"}, "SELECTOR_NOT_PERMITTED", "interface"),
        ({"interface": "-i any; rm"}, "INVALID_REQUEST", "interface"),
        ({"selector": {"trunks": ["northern"]}}, "SELECTOR_NOT_PERMITTED", "trunks"),
        ({"selector": {"trunks": ["unknown"]}}, "SELECTOR_NOT_PERMITTED", "trunks"),
        ({"selector": {"hosts": ["not an address"]}}, "INVALID_REQUEST", "selector.hosts[0]"),
        ({"selector": {"hosts": ["999.1.1.1"]}}, "SELECTOR_NOT_PERMITTED", "hosts"),
        ({"selector": {"raw_filter": "udp"}}, "SUBJECT_NOT_PERMITTED", None),
        ({"selector": {"raw_filter": "x" * 100_000}}, "INVALID_REQUEST", "selector.raw_filter"),
        ({"context": {"purpose": core_pb2.PURPOSE_SUPPORT}}, "CASE_MISSING", ""),
        ({"context": {"case_reference": "T-1"}}, "CASE_MISSING", ""),
        ({"readers": []}, "INVALID_REQUEST", "readers"),
        ({"readers": [{"name": "erik", "public_key": "age1nonsense"}]}, "READER_INVALID", ""),
        ({"extends_capture": "unknown"}, "DIAGNOSTICS_RECORD_NOT_FOUND", ""),
    ],
)
async def test_bad_requests_for_a_capture(
    sqlite_site: Site, change: dict[str, Any], reason: str, detail: str | None
) -> None:
    """The service refuses each bad request with one reason and one entry that names its field.

    `detail` is the field in the entry; None where the decision of the policy is the entry.
    """
    fields = asked()
    for name, value in change.items():
        stated = {one.name: getattr(LIMITS, one.name) for one in LIMITS.DESCRIPTOR.fields} if name == "limits" else {}
        kind = {
            "limits": capture_pb2.CaptureLimits,
            "selector": capture_pb2.CaptureSelector,
            "context": core_pb2.Context,
        }.get(name)
        fields[name] = value if kind is None else kind(**stated | value)
    places = sqlite_site.settings.data_dir / "shared.toml"
    places.write_text(SHARED_PLACES)
    async with customer(sqlite_site, places_file=places) as (acme, _running):
        await acme.permit()
        before = len(sqlite_site.entries())
        assert await acme.refused("RequestCapture", **fields) == reason
        assert refusals(sqlite_site, before) == ([] if detail is None else [(reason.lower(), detail)])
        assert not (await acme.ask("ListCaptures")).captures


@pytest.mark.parametrize(
    ("expression", "reason", "detail"),
    [
        ("-w /etc/passwd", "FILTER_INVALID", ""),
        (" -h", "FILTER_INVALID", ""),
        ("   ", "FILTER_INVALID", ""),
        ("port 5060\n", "INVALID_REQUEST", "selector.raw_filter"),
        ("(udp", "FILTER_INVALID", ""),
        ("udp) or (tcp", "FILTER_INVALID", ""),
    ],
)
async def test_invalid_filters(acme: Diagnosing, sqlite_site: Site, expression: str, reason: str, detail: str) -> None:
    """The service refuses an invalid filter with one reason and one entry, even if the caller may give filters.

    Options in disguise and expressions that do not compile are invalid. No request may hold control characters.
    """
    await acme.permit()
    await acme.client.change(add=["allow admin capture_raw_filter capture any"])
    before = len(sqlite_site.entries())
    wanted = asked(selector=capture_pb2.CaptureSelector(raw_filter=expression))
    assert await acme.refused("RequestCapture", **wanted) == reason
    assert refusals(sqlite_site, before) == [(reason.lower(), detail)]
    assert not (await acme.ask("ListCaptures")).captures


async def test_a_withdrawn_attestation_takes_the_approval_with_it(acme: Diagnosing) -> None:
    """An armed capture whose attestation is withdrawn needs a new attestation and a new approval."""
    attestation = await acme.permit()
    id = await acme.armed()
    answer = await acme.ask("WithdrawAttestation", attestation_id=attestation.id)
    assert answer.captures_ended == 1
    capture = await acme.capture(id)
    assert (capture.state, capture.approved_by) == (capture_pb2.CAPTURE_STATE_PENDING_ATTESTATION, "")
    assert await acme.refused("StartCapture", capture_id=id) == "ATTESTATION_MISSING"
    assert await acme.refused("WithdrawAttestation", attestation_id=attestation.id) == "STATE_CONFLICT"
    await acme.attest()
    assert await acme.refused("StartCapture", capture_id=id) == "APPROVAL_MISSING"


async def test_a_new_version_of_the_notice_needs_a_new_attestation(acme: Diagnosing) -> None:
    """An attestation of an old notice covers no start after a new version is published."""
    await acme.permit()
    id = await acme.armed()
    await acme.publish("All calls are captured, with what was said.")
    assert await acme.refused("MakeAttestation", statement=statement()) == "NOTICE_NOT_CURRENT"
    assert await acme.refused("StartCapture", capture_id=id) == "ATTESTATION_MISSING"


async def test_disabling_rejects_what_waits(acme: Diagnosing) -> None:
    """The service rejects an armed capture for good when the customer disables diagnostics."""
    await acme.permit()
    id = await acme.armed()
    assert (await acme.ask("DisableDiagnostics")).captures_ended == 1
    await acme.enable()
    assert (await acme.capture(id)).state == capture_pb2.CAPTURE_STATE_REJECTED
    assert await acme.refused("StartCapture", capture_id=id) == "STATE_CONFLICT"


async def test_informed_and_confirmed_are_counted_apart(acme: Diagnosing) -> None:
    """The service counts each person of a receipt list once, and counts confirmations separately."""
    await acme.permit()
    receipts = [
        notice_pb2.Receipt(person=name, fact=notice_pb2.RECEIPT_FACT_INFORMED) for name in ("bob", "carol", "bob")
    ]
    for one in receipts:
        one.at.GetCurrentTime()
    fields: dict[str, Any] = {
        "notice_id": "faults",
        "notice_version": 1,
        "channel": notice_pb2.NOTICE_CHANNEL_PAPER,
        "receipts": receipts,
    }
    first = await acme.ask("RecordReceipts", **fields)
    again = await acme.ask("RecordReceipts", **fields)
    assert (first.recorded, again.recorded) == (2, 0)
    when = await acme.ask("ConfirmNotice", "bob", notice_id="faults", notice_version=1)
    later = await acme.ask("ConfirmNotice", "bob", notice_id="faults", notice_version=1)
    assert when.confirmed_at == later.confirmed_at
    notice = (await acme.ask("RecordReceipts", **fields)).notice
    assert (notice.informed, notice.confirmed, notice.failed) == (2, 1, 0)


async def test_lists_are_read_page_by_page(acme: Diagnosing) -> None:
    """The service lists captures the newest first, each once, and refuses a forged token."""
    await acme.permit()
    made = [(await acme.ask("RequestCapture", **asked())).capture.id for _ in range(5)]
    seen: list[str] = []
    token = ""
    while True:
        page = await acme.ask("ListCaptures", page_size=2, page_token=token)
        seen += [one.id for one in page.captures]
        token = page.next_page_token
        if not token:
            break
    assert seen == made[::-1]
    assert await acme.refused("ListCaptures", page_token="bm9uc2Vuc2U=") == "PAGE_TOKEN_INVALID"
    assert len((await acme.ask("ListAttestations")).attestations) == 1


async def test_a_probe_passes_the_gates_and_its_result_is_an_entry(acme: Diagnosing, sqlite_site: Site) -> None:
    """The service runs a probe of the tenant's host between two entries, and refuses one of any other host."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        probe: dict[str, Any] = {
            "kind": probe_pb2.PROBE_KIND_REACHABILITY,
            "target": "127.0.0.1",
            "port": port,
            "timeout_ms": 2_000,
        }
        assert await acme.refused("RunProbe", **probe) == "DIAGNOSTICS_NOT_ENABLED"
        await acme.enable()
        assert await acme.refused("RunProbe", **probe) == "ATTESTATION_MISSING"
        await acme.publish()
        await acme.attest()
        answer = await acme.ask("RunProbe", **probe)
    assert answer.succeeded
    assert "connect_ms" in answer.findings
    assert await acme.refused("RunProbe", **probe | {"target": "10.0.0.1"}) == "SELECTOR_NOT_PERMITTED"
    ran = [entry for entry in sqlite_site.entries() if entry["kind"] == "probe.run"]
    assert [entry["done"] for entry in ran] == [False, True]
    assert {entry["probe"] for entry in ran} == {answer.probe_id}


async def test_usage_is_counted_only_for_those_who_opted_in(acme: Diagnosing, sqlite_site: Site) -> None:
    """The service counts requests only after the tenant's opt-in, and an opt-out deletes the open counts."""

    def counted() -> list[tuple[str, int]]:
        with sqlite_site.storage.log.reading() as connection:
            rows = connection.execute(sa.select(schema.usage_count.c.name, schema.usage_count.c.amount)).all()
        return [(str(name), int(amount)) for name, amount in rows]

    await acme.permit()
    await acme.ask("RequestCapture", **asked())
    assert counted() == []
    assert (await acme.ask("ShareUsage", share=True)).shares_usage
    await acme.ask("RequestCapture", **asked())
    await acme.ask("RequestCapture", **asked())
    assert counted() == [("sessions_requested", 2)]
    assert (await acme.ask("GetUsage")).document == '{"days":[],"threshold":11,"v":1}'
    assert not (await acme.ask("ShareUsage", share=False)).shares_usage
    assert counted() == []
    await acme.ask("RequestCapture", **asked())
    assert counted() == []
