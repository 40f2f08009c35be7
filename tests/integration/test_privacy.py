"""Personal values and addresses: no file and no message holds them."""

import asyncio
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest
from acme import statement

from linewarden.v1 import access_pb2, capture_pb2, core_pb2, notice_pb2, probe_pb2
from tests.deadlines import FACTOR
from tests.integration.conftest import TENANT, Client, Site, check_request, processes, query_request
from tests.integration.diagnosing import READER, RULES, Diagnosing, asked
from tests.integration.forked_python import forked_python
from tests.unit.diagnostics.consent.test_smtp import Postbox

#: Values that stand in requests alone, not in the policy; each is unlike anything else in the files.
PERSONAL = (
    "hildegard.knef@acme.example", "wilhelmine-the-owner", "+4915550001234", "+4930909090", "spool/geheim/4711.wav",
    "CASE-77-KNEF", "mallory.the.stranger", "one\x07bell", "unheard-of-caller",
)  # fmt: skip
_GREETING = re.compile(rb"linewarden: serving on \S+\n")
HILDEGARD, OWNER, NUMBER, OTHER_NUMBER, ITEM, CASE, STRANGER, BELL, CALLER = PERSONAL


async def use_everything(client: Client, stranger: Client) -> None:
    """Send good and bad requests of all kinds, with personal values in every field that takes them."""
    await client.check(HILDEGARD, "play", "voicemail", ITEM, owner=OWNER, parties=[NUMBER, OTHER_NUMBER], case=CASE)
    await client.check(f"//partner/{HILDEGARD}", "play", "recording", f"{NUMBER}/{ITEM}", owner=NUMBER)
    one = check_request(OWNER, "download", "voicemail", ITEM, owner=OWNER)
    items = [access_pb2.CheckItem(verb=one.verb, resource=one.resource)] * 20
    batch = access_pb2.CheckBatchRequest(
        header=core_pb2.RequestHeader(tenant=TENANT, subject=one.header.subject), items=items
    )
    await client.call(client.access.CheckBatch, batch)
    await client.change(add=[f"bind {STRANGER} role:user"])
    await client.change(remove=[f"bind {STRANGER} role:user"])
    rows = await client.rows(subject=HILDEGARD, data_subject=NUMBER)
    assert [row.resource_id for row in rows] == [ITEM]
    await client.rows(resource_type=2, resource_id=ITEM)
    await client.rows(caller=CALLER, request_id=NUMBER[1:])
    await client.rows(subject=BELL.replace("\x07", ""))
    await client.entry(rows[0].index)
    bad = (
        check_request(HILDEGARD, "listen_live", "voicemail", ITEM),
        check_request(BELL, "play", "voicemail", ITEM),
        check_request(STRANGER, "play", "voicemail", ITEM * 400),
    )
    for request in bad:
        await client.refused(client.access.Check, request)
        await stranger.refused(stranger.access.Check, request)
    await client.refused(client.audit.QueryEntries, query_request(HILDEGARD))
    await client.refused(client.audit.QueryEntries, query_request(page_token=ITEM))
    with pytest.raises(grpc.aio.AioRpcError):
        await client.change(add=[f"bind {HILDEGARD} rule:user"])


#: Values that only diagnostics receive: free texts, addresses, extensions, files.
TOLD = (
    "ask-frau-knef-in-room-12", "those-around-wilhelmine", "hilde.privat@post.example", "nobody@privat.example",
    "officer-zarah", "board-of-leander", "because-of-rosita", "paragraph-of-serrano", "dpia-for-dagover",
    "ext-4711-77", "call-77-of-knef", "192.0.2.177", "knefs-fault.pcapng",
)  # fmt: skip
(TEXT, AUDIENCE, ADDRESS, UNKNOWN, ROLE, AUTHORITY, NECESSITY, EXCEPTION, DPIA, EXTENSION, CALL_ID, HOST, FILE) = TOLD


async def use_diagnostics(client: Client) -> str:
    """Take and fail every step around a capture, with personal values in every field; return the answers."""
    acme = Diagnosing(client)
    await client.change(add=RULES)
    await acme.enable()
    texts = [notice_pb2.NoticeText(language="en", text=TEXT)]
    about: dict[str, Any] = {"notice_id": "faults", "notice_version": 1}
    for _version in range(2):
        publication = {"texts": texts, "channels": [notice_pb2.NOTICE_CHANNEL_EMAIL], "audience": AUDIENCE}
        await acme.ask("PublishNotice", notice_id="faults", **publication)
    about["notice_version"] = 2
    recipients = [
        notice_pb2.Recipient(person=HILDEGARD, address=ADDRESS),
        notice_pb2.Recipient(person=OWNER, address=UNKNOWN),
    ]
    for _again in range(2):
        await acme.ask("SendNotice", **about, recipients=recipients, request_id="sending-1")
    now = datetime.now(UTC)
    receipts = [
        notice_pb2.Receipt(person=person, fact=notice_pb2.RECEIPT_FACT_REPORTED) for person in (HILDEGARD, OWNER)
    ]
    for one in receipts:
        one.at.FromDatetime(now)
    listed: dict[str, Any] = {**about, "channel": notice_pb2.NOTICE_CHANNEL_PAPER, "receipts": receipts}
    await acme.ask("RecordReceipts", **listed)
    await acme.ask("ConfirmNotice", HILDEGARD, **about)
    shown = (await acme.ask("GetNotice", HILDEGARD, **about)).notice
    assert (shown.texts[0].text, shown.audience, shown.reported, shown.confirmed) == (TEXT, AUDIENCE, 2, 1)
    words = {"role": ROLE, "authority": AUTHORITY, "necessity": NECESSITY, "exception": EXCEPTION}
    stated = statement(notice_version=2, audience=AUDIENCE, dpia_reference=DPIA, **words)
    await acme.ask("MakeAttestation", statement=stated)
    case = core_pb2.Context(purpose=core_pb2.PURPOSE_SUPPORT, case_reference=CASE)
    selector = capture_pb2.CaptureSelector(extensions=[EXTENSION], call_ids=[CALL_ID], hosts=[HOST])
    readers = [capture_pb2.EvidenceReader(name=OWNER, public_key=READER.public_key)]
    wanted = asked(selector=selector, readers=readers, context=case)
    await acme.ask("RequestCapture", **wanted)
    await acme.ask("RequestCapture", **wanted | {"interface": "", "file": FILE})
    await acme.ask("ListActiveNotices", HILDEGARD, extensions=[EXTENSION])
    probe: dict[str, Any] = {"kind": probe_pb2.PROBE_KIND_REACHABILITY, "port": 9, "timeout_ms": 200, "context": case}
    await acme.ask("RunProbe", **probe, target="127.0.0.1")
    receipts[0].at.FromDatetime(now + timedelta(days=1))
    reader = [capture_pb2.EvidenceReader(name=OWNER, public_key=NUMBER)]
    refused = (
        ("RecordReceipts", "admin", listed),
        ("SendNotice", "admin", {**about, "recipients": recipients, "capture_id": "none"}),
        ("SendNotice", "admin", {**about, "recipients": [notice_pb2.Recipient(person=OWNER, address=f"{ADDRESS}@x")]}),
        ("GetNotice", f"//partner/{HILDEGARD}", about),
        ("MakeAttestation", "admin", {"statement": statement(**words, notice_version=2, audience=f"{AUDIENCE}?")}),
        ("RequestCapture", "admin", wanted | {"readers": reader}),
        ("RequestCapture", HILDEGARD, wanted),
        ("RunProbe", "admin", {**probe, "target": HOST}),
    )
    told = ""
    for method, subject, fields in refused:
        request = acme.request(method, subject, **fields)
        told += (await client.refused(getattr(acme.stub, method), request)).raw
    return told


async def talk_nonsense(address: str) -> None:
    """Send bytes that are not HTTP/2, as a port scanner does."""
    host, _, port = address.rpartition(":")
    for data in (b"GET /?q=" + HILDEGARD.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01" + b"\xff" * 200):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()
        await writer.wait_closed()


def files_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Yield all files below a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


async def test_no_personal_value_and_no_address_is_written_anywhere(sqlite_site: Site, tmp_path: Path) -> None:
    """Database, index, anchors, export and messages hold no name, number, item, case or address in clear."""
    site = sqlite_site
    async with processes(site, python=forked_python()) as (server,):
        async with Client(server.address, site.token) as client, Client(server.address, "lw_0_0") as stranger:
            await use_everything(client, stranger)
            await talk_nonsense(server.address)
            key = await client.export(tmp_path / "export")
            assert key
        await asyncio.sleep(0.6 * FACTOR)  # the housekeeper indexes and signs
        server.terminate()
        assert await server.ended() == 0
    site.storage.close()
    check_written(tmp_path)


async def test_diagnostics_write_no_personal_value_and_no_address_anywhere(sqlite_site: Site, tmp_path: Path) -> None:
    """Diagnostics store no personal value and no address in clear, in accepted or refused requests."""
    site, box = sqlite_site, Postbox()
    places = site.settings.data_dir / "places.toml"
    places.write_text('[acme]\ninterfaces = ["lo"]\nhosts = ["127.0.0.1"]\nfiles = true\n')
    mail = await asyncio.start_server(box.talk, "127.0.0.1", 0)
    stated = {
        "PLACES_FILE": str(places),
        "CAPTURE_MIN_DISK_FREE": "0",
        "LOG_LEVEL": "debug",
        "SMTP_SERVER": f"127.0.0.1:{mail.sockets[0].getsockname()[1]}",
        "SMTP_SENDER": "notices@acme.example",
        "SMTP_STARTTLS": "false",
    }
    async with processes(
        site, 1, python=forked_python(), **{f"LINEWARDEN_{name}": value for name, value in stated.items()}
    ) as (server,):
        async with Client(server.address, site.token) as client:
            told = await use_diagnostics(client)
            assert await client.export(tmp_path / "export")
        await asyncio.sleep(0.6 * FACTOR)  # the housekeeper indexes and signs
        server.terminate()
        assert await server.ended() == 0
    mail.close()
    site.storage.close()
    assert [recipient for recipient, _body in box.taken] == [ADDRESS]
    assert [value for value in (*PERSONAL, *TOLD) if value in told] == []
    check_written(tmp_path)


def check_written(folder: Path) -> None:
    """Check that files below a folder hold no personal value, except settings and places of the operator."""
    written = {name: _GREETING.sub(b"", content) for name, content in files_of(folder)}
    assert b'"kind":"decision"' in b"".join(written.values())
    for name, content in written.items():
        if name in {"site/linewarden.toml", "site/places.toml"}:
            continue
        found = [value for value in (*PERSONAL, *TOLD, NUMBER[1:]) if value.encode() in content]
        if "linewarden.db" in name and "index" not in name and "export" not in name:
            # The present and earlier policies are texts of the administrator.
            found = [value for value in found if value != STRANGER]
        assert not found, name
        assert not re.search(rb"127\.0\.0\.1|\[::1\]|ipv4:|ipv6:", content), name


async def test_the_policy_in_the_log_names_no_person(sqlite_site: Site, client: Client) -> None:
    """The log records a change of policy with pseudonyms instead of persons, and without ids of items."""
    await client.change(
        add=[
            f"bind {HILDEGARD} role:user",
            f"allow {OWNER} play recording owner:{NUMBER}",
            f"deny //partner/{STRANGER} play recording id:{ITEM}",
        ]
    )
    log = sqlite_site.log_of(TENANT)
    entry = sqlite_site.storage.log.entry(log, len(sqlite_site.entries()) - 1)
    assert b'"policy.changed"' in entry
    assert not [value for value in PERSONAL if value.encode() in entry]
    assert entry.count(b"sid:") == 4
