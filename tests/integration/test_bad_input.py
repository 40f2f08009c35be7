"""Bad input: its status and reason, the content of the error, and its record in the log."""

import functools
import tomllib
from typing import Any

import grpc
import pytest

from linewarden.audit.errors import LogUnavailable
from linewarden.server.bootstrap import Running, now_us
from linewarden.server.operator_actions import revoke_key
from linewarden.v1 import access_pb2, audit_pb2, core_pb2, policy_pb2
from tests.deadlines import HANG_S
from tests.integration.conftest import (
    DATA,
    OTHER_TENANT,
    TENANT,
    Client,
    Refusal,
    Site,
    check_request,
    count_request,
    person,
    query_request,
    refusal_of,
    serving,
)

pytestmark = pytest.mark.usefixtures("each_transport")

CASES = tomllib.loads((DATA / "bad_requests.toml").read_text(encoding="utf-8"))["case"]
KEYS: dict[str, dict[str, Any]] = {
    "everywhere": {"tenants": ("*",)},
    "auditing": {"methods": ("AuditService", "PolicyService/GetPolicy")},
}

#: Texts that no error may hold: traces of exceptions, of our code, of the caller's address.
FORBIDDEN = (
    "Traceback",
    "Error:",
    "Exception",
    "linewarden.server",
    "linewarden.cli",
    "sqlalchemy",
    "127.0.0.1",
    "<class",
)


def good_request(method: str) -> Any:
    """Return a request that would be answered, for a method such as `access.Check`."""
    check = check_request("bob", "play", "voicemail", "default/101/1", owner="bob")
    items = [access_pb2.CheckItem(verb=check.verb, resource=check.resource)]
    subject = person("erik")
    return {
        "access.Check": check,
        "access.CheckBatch": access_pb2.CheckBatchRequest(
            header=core_pb2.RequestHeader(tenant=TENANT, subject=check.header.subject), items=items
        ),
        "audit.QueryEntries": query_request(),
        "audit.CountEntries": count_request(),
        "audit.GetEntry": audit_pb2.GetEntryRequest(header=core_pb2.RequestHeader(tenant=TENANT, subject=subject)),
        "audit.GetCheckpoint": audit_pb2.GetCheckpointRequest(
            header=core_pb2.RequestHeader(tenant=TENANT, subject=subject)
        ),
        "audit.ExportLog": audit_pb2.ExportLogRequest(header=core_pb2.RequestHeader(tenant=TENANT, subject=subject)),
        "policy.LoadPolicy": policy_pb2.LoadPolicyRequest(
            header=core_pb2.RequestHeader(tenant=TENANT, subject=person("admin"))
        ),
        "policy.ChangePolicy": policy_pb2.ChangePolicyRequest(
            header=core_pb2.RequestHeader(tenant=TENANT, subject=person("admin"))
        ),
        "policy.GetPolicy": policy_pb2.GetPolicyRequest(
            header=core_pb2.RequestHeader(tenant=TENANT, subject=person("admin"))
        ),
    }[method]


def spoilt(case: dict[str, Any]) -> Any:
    """Return the request of a case."""
    request = good_request(case.get("method", "access.Check"))
    for path in case.get("clear", ()):
        *way, last = path.split(".")
        functools.reduce(getattr, way, request).ClearField(last)
    for path, value in case.get("set", {}).items():
        set_field(request, path.split("."), expanded(value))
    if "items" in case:
        first = access_pb2.CheckItem()
        first.CopyFrom(request.items[0])
        del request.items[:]
        request.items.extend([first] * case["items"])
    for path, value in case.get("item", {}).items():
        set_field(request.items[-1], path.split("."), value)
    return request


def expanded(value: Any) -> Any:
    """Return a value with its repetitions expanded."""
    if isinstance(value, dict) and "times" in value:
        return [value["of"]] * value["times"] if value.get("list") else value["of"] * value["times"]
    return value


def set_field(message: Any, path: list[str], value: Any) -> None:
    """Set a field by its path."""
    *way, last = path
    for name in way:
        message = getattr(message, name)
    field = getattr(message, last)
    if isinstance(value, list):
        field.extend(value)
    elif isinstance(value, dict) and hasattr(field, "update"):
        field.update(value)
    elif isinstance(value, dict):
        for name, inner in value.items():
            setattr(field, name, inner)
    else:
        setattr(message, last, value)


def stub_of(client: Client, method: str) -> Any:
    """Return the stub's method."""
    service, name = method.split(".")
    return getattr(getattr(client, service), name)


def values_of(case: dict[str, Any]) -> list[str]:
    """Return the texts of a case that no error may repeat."""
    texts: list[str] = []
    for value in map(expanded, case.get("set", {}).values()):
        parts = value if isinstance(value, list) else [*value, *value.values()] if isinstance(value, dict) else [value]
        texts += [part[:64] for part in parts if isinstance(part, str) and len(part) > 2]
    return texts


def assert_poor(refusal: Refusal) -> None:
    """Check that an error has our domain and a reason, and reveals no internals."""
    assert refusal.domain == "linewarden"
    assert not [word for word in FORBIDDEN if word in refusal.raw]


def refusals_in(site: Site, tenant: str) -> list[dict[str, Any]]:
    """Return the records of refused requests in a log."""
    return [entry for entry in site.entries(tenant) if entry["kind"] == "request.refused"]


async def sent(client: Client, method: str, request: Any) -> Refusal:
    """Send a request that must be refused."""
    if method == "audit.ExportLog":
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await anext(aiter(client.audit.ExportLog(request, metadata=client.metadata, timeout=HANG_S)))
        return refusal_of(caught.value)
    return await client.refused(stub_of(client, method), request)


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in CASES])
async def test_bad_input_is_refused_for_its_reason_and_recorded(sqlite_site: Site, case: dict[str, Any]) -> None:
    """The server refuses each bad request with its status and reason, repeats no value or exception, and records it."""
    await refuse(sqlite_site, case)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_postgresql_refuses_the_same(site: Site) -> None:
    """The server on PostgreSQL refuses the same requests in the same way, also texts that its columns cannot hold."""
    await refuse(site, *CASES)


async def refuse(site: Site, *cases: dict[str, Any]) -> None:
    """Send the bad request of each case to one server and check the answer and the record."""
    tokens = [site.key(**KEYS[case["key"]])[1] if "key" in case else site.token for case in cases]
    async with serving(site) as running:
        for case, token in zip(cases, tokens, strict=True):
            async with Client(running.addresses[0], token) as client:
                await refuse_one(site, client, case)


async def refuse_one(site: Site, client: Client, case: dict[str, Any]) -> None:
    """Send the bad request of a case and check the answer and the record."""
    method = case.get("method", "access.Check")
    tenant = TENANT if case["log"] == "tenant" else ""
    before = len(refusals_in(site, tenant))
    refusal = await sent(client, method, spoilt(case))
    assert (refusal.code.name, refusal.reason) == (case["code"], case["reason"]), refusal
    assert [field.split("[")[0] for field in refusal.fields] == case.get("fields", []), refusal
    assert_poor(refusal)
    assert not [text for text in values_of(case) if text in refusal.raw]
    recorded = refusals_in(site, tenant)[before:]
    assert [record["reason"] for record in recorded] == [case["reason"].lower()]
    assert recorded[0]["caller"] == "backend"
    assert recorded[0].get("fields", []) == list(refusal.fields)


@pytest.mark.parametrize("method", [
    "access.Check", "access.CheckBatch", "audit.QueryEntries", "audit.GetEntry", "audit.GetCheckpoint",
    "audit.ExportLog", "policy.LoadPolicy", "policy.ChangePolicy", "policy.GetPolicy",
])  # fmt: skip
async def test_every_method_refuses_a_key_that_is_not_bound(sqlite_site: Site, server: Running, method: str) -> None:
    """Every method refuses a caller without a key, with a key of another tenant, or with a key for other methods."""
    request = good_request(method)
    async with Client(server.addresses[0], None) as client:
        assert (await sent(client, method, request)).reason == "CREDENTIALS_INVALID"
    _, token = sqlite_site.key(tenants=(OTHER_TENANT,))
    async with Client(server.addresses[0], token) as client:
        assert (await sent(client, method, request)).reason == "CALLER_NOT_PERMITTED"
    _, token = sqlite_site.key(methods=("AccessService/Nothing", "Access", ""))
    async with Client(server.addresses[0], token) as client:
        assert (await sent(client, method, request)).reason == "CALLER_NOT_PERMITTED"
    assert [entry["reason"] for entry in refusals_in(sqlite_site, "")] == ["caller_not_permitted"] * 2
    assert not refusals_in(sqlite_site, TENANT)


@pytest.mark.parametrize("method", ["access.Check", "access.CheckBatch", "audit.GetEntry", "policy.LoadPolicy"])
async def test_bytes_that_are_no_message_are_bad_input_too(sqlite_site: Site, client: Client, method: str) -> None:
    """The server refuses invalid UTF-8 and invalid protobuf with INVALID_ARGUMENT, no exception text, and a record."""
    service, name = method.split(".")
    path = f"/linewarden.v1.{service.capitalize()}Service/{name}"
    raw: Any = client.channel.unary_unary(path, request_serializer=None, response_deserializer=None)
    for data in (b"\x0a\x04\xff\xfe\xfd\xfc", b"\xff" * 40, good_request(method).SerializeToString() + b"\x1a"):
        refusal = await client.refused(raw, data)
        assert (refusal.code.name, refusal.reason) == ("INVALID_ARGUMENT", "INVALID_REQUEST"), refusal
        assert_poor(refusal)
    assert [entry["reason"] for entry in refusals_in(sqlite_site, "")] == ["invalid_request"] * 3


async def test_bytes_that_are_no_message_do_not_hang_a_stream(sqlite_site: Site, client: Client) -> None:
    """A stream with an unreadable message goes on or ends with a status, and never hangs."""
    raw: Any = client.channel.stream_stream(
        "/linewarden.v1.AccessService/CheckStream",
        request_serializer=None,
        response_deserializer=access_pb2.CheckStreamResponse.FromString,
    )
    good = access_pb2.CheckStreamRequest(check=good_request("access.Check")).SerializeToString()
    call = raw(iter([good, b"\x0a\x06\x0a\x04\xff\xfe\xfd\xfc", good]), metadata=client.metadata, timeout=HANG_S)
    answers = [answer async for answer in call]
    assert [answer.WhichOneof("result") for answer in answers] == ["check", "refusal", "check"]
    assert len(refusals_in(sqlite_site, "")) == 1


@pytest.mark.parametrize("token", [
    None, "nonsense", "lw_", "lw__", "lw_{id}_", "lw_{id}_wrong", "{token}x", "Bearer {token}", "lw_" + "a" * 10_000,
])  # fmt: skip
async def test_a_wrong_key_is_unauthenticated_and_counted(sqlite_site: Site, token: str | None) -> None:
    """The server refuses any missing or wrong key with UNAUTHENTICATED, and counts it in the system log."""
    id, good = sqlite_site.key()
    shown = None if token is None else token.replace("{id}", id).replace("{token}", good)
    async with serving(sqlite_site) as running, Client(running.addresses[0], shown) as client:
        refusal = await client.refused(client.access.Check, good_request("access.Check"))
    assert (refusal.code.name, refusal.reason) == ("UNAUTHENTICATED", "CREDENTIALS_INVALID")
    assert_poor(refusal)
    counts = [entry["counts"] for entry in sqlite_site.entries("") if entry["kind"] == "credentials.refused"]
    assert counts == [{"missing" if not token else "wrong": 1}]


async def test_a_revoked_or_expired_key_is_unauthenticated(sqlite_site: Site, server: Running) -> None:
    """A key ends at its expiry and by revocation, without a restart of the server."""
    id, token = sqlite_site.key()
    async with Client(server.addresses[0], token) as client:
        await client.check("bob", "play", "voicemail", "1", owner="bob")
        revoke_key(sqlite_site.storage.log, id, now_us())
        refusal = await client.refused(client.access.Check, good_request("access.Check"))
        assert refusal.reason == "CREDENTIALS_INVALID"
    _, token = sqlite_site.key(expires_us=now_us() - 1)
    async with Client(server.addresses[0], token) as client:
        refusal = await client.refused(client.access.Check, good_request("access.Check"))
        assert refusal.reason == "CREDENTIALS_INVALID"


async def test_a_new_key_is_good_at_once(sqlite_site: Site, server: Running) -> None:
    """A key works from the moment its creation returns, also right after an attempt with a wrong one."""
    for _ in range(3):
        async with Client(server.addresses[0], "lw_00000000_wrong") as client:
            await client.refused(client.access.Check, good_request("access.Check"))
        async with Client(server.addresses[0], sqlite_site.key()[1]) as client:
            await client.check("bob", "play", "voicemail", "1", owner="bob")


async def test_counts_of_refused_keys_outlive_a_fault(sqlite_site: Site) -> None:
    """The server records failed authentications later if it could not record them at once."""

    class Failing:
        """A log that is not available."""

        def append(self, unit: object) -> Any:
            """Refuse the append."""
            raise LogUnavailable(str(unit)[:0])

    async with serving(sqlite_site) as running:
        async with Client(running.addresses[0], None) as client:
            await client.refused(client.access.Check, good_request("access.Check"))
        with pytest.raises(LogUnavailable):
            await running._callers.record_refusals(Failing())
    counts = [entry["counts"] for entry in sqlite_site.entries("") if entry["kind"] == "credentials.refused"]
    assert counts == [{"missing": 1}]


@pytest.mark.parametrize(("subject", "resource", "reason"), [
    ("//partner/mallory", {}, "SUBJECT_OF_OTHER_TENANT"),
    ("//globex/bob", {"owner": "bob"}, "SUBJECT_OF_OTHER_TENANT"),
    ("bob", {"owner": "bob", "home": OTHER_TENANT}, "RESOURCE_OF_OTHER_TENANT"),
    ("nobody", {"owner": "bob"}, "NO_MATCHING_RULE"),
    ("Bob", {"owner": "Bob"}, "NO_MATCHING_RULE"),
    ("bob", {"owner": "carol"}, "NO_MATCHING_RULE"),
    ("bob", {}, "NO_MATCHING_RULE"),
])  # fmt: skip
async def test_a_person_without_a_right_is_denied_with_a_reason_and_a_record(
    sqlite_site: Site, client: Client, subject: str, resource: dict[str, str], reason: str
) -> None:
    """The server denies strangers, persons and items of other tenants, and records each denial."""
    answer = await client.check(subject, "play", "voicemail", "default/101/1", **resource)
    assert access_pb2.Effect.Name(answer.decision.effect) == "EFFECT_DENY"
    assert access_pb2.DecisionReason.Name(answer.decision.reason) == f"DECISION_REASON_{reason}"
    entry = sqlite_site.entries()[int(answer.decision.id)]
    assert (entry["kind"], entry["items"][0]["effect"], entry["items"][0]["reason"]) == (
        "decision",
        "deny",
        reason.lower(),
    )


@pytest.mark.parametrize(("method", "subject"), [
    ("audit.QueryEntries", "bob"), ("audit.GetEntry", "admin"), ("audit.GetCheckpoint", "bob"),
    ("audit.ExportLog", "mia"),
    ("policy.LoadPolicy", "erik"), ("policy.ChangePolicy", "bob"), ("policy.GetPolicy", "bob"),
])  # fmt: skip
async def test_who_may_not_administer_or_audit_is_refused_and_that_is_an_entry(
    sqlite_site: Site, client: Client, method: str, subject: str
) -> None:
    """The server refuses with SUBJECT_NOT_PERMITTED and the denied decision's id, and reveals and changes nothing."""
    request = good_request(method)
    request.header.subject.id = subject
    refusal = await sent(client, method, request)
    assert (refusal.code.name, refusal.reason) == ("PERMISSION_DENIED", "SUBJECT_NOT_PERMITTED")
    entry = sqlite_site.entries()[int(refusal.metadata["decision"])]
    assert entry["items"][0]["effect"] == "deny"
    assert sqlite_site.storage.log.head_of(TENANT).revision == 1


async def test_a_message_too_large_is_refused(client: Client) -> None:
    """The server refuses a request beyond the size limit before it is decided."""
    request = good_request("policy.LoadPolicy")
    request.document = "#" * 5_000_000
    refusal = await client.refused(client.policy.LoadPolicy, request)
    assert refusal.code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_the_entry_beyond_the_end_is_not_found(sqlite_site: Site, client: Client) -> None:
    """The server answers NOT_FOUND for an index at or beyond the end of the log, and records the attempt."""
    for index in (10_000, 2**40, 2**64 - 1):
        request = audit_pb2.GetEntryRequest(
            header=core_pb2.RequestHeader(tenant=TENANT, subject=person("erik")), index=index
        )
        refusal = await client.refused(client.audit.GetEntry, request)
        assert (refusal.code.name, refusal.reason) == ("NOT_FOUND", "ENTRY_NOT_FOUND")
        assert sqlite_site.entries()[-1]["query"] == {"index": index}


async def test_a_policy_file_with_one_bad_line_changes_nothing(sqlite_site: Site, client: Client) -> None:
    """The server refuses a policy as a whole, names the wrong lines, and repeats no text of them."""
    request = good_request("policy.LoadPolicy")
    request.document = "bind bob role:user\nbind hildegard rule:user\nallow\n"
    refusal = await client.refused(client.policy.LoadPolicy, request)
    assert (refusal.code.name, refusal.reason) == ("INVALID_ARGUMENT", "POLICY_INVALID")
    assert refusal.fields == ("line 2", "line 3")
    assert "hildegard" not in refusal.raw
    assert sqlite_site.storage.log.head_of(TENANT).revision == 1
    assert sqlite_site.entries()[-1]["items"][0]["action"] == "change_policy"
