"""What must not be written: personal values and addresses, in any file and any message."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from linewarden.v1 import access_pb2
from tests.integration.conftest import TENANT, Client, Site, check_request, processes, query_request

#: Values that stand in requests alone, not in the policy; each is unlike anything else in the files.
PERSONAL = (
    "hildegard.knef@acme.example", "wilhelmine-the-owner", "+4915550001234", "+4930909090", "spool/geheim/4711.wav",
    "CASE-77-KNEF", "mallory.the.stranger", "one\x07bell", "unheard-of-caller",
)  # fmt: skip
_GREETING = re.compile(rb"linewarden: serving on \S+\n")
HILDEGARD, OWNER, NUMBER, OTHER_NUMBER, ITEM, CASE, STRANGER, BELL, CALLER = PERSONAL


async def use_everything(client: Client, stranger: Client) -> None:
    """Good and bad requests of all kinds, with personal values in every field that takes them."""
    await client.check(HILDEGARD, "play", "voicemail", ITEM, owner=OWNER, parties=[NUMBER, OTHER_NUMBER], case=CASE)
    await client.check(f"//partner/{HILDEGARD}", "play", "recording", f"{NUMBER}/{ITEM}", owner=NUMBER)
    one = check_request(OWNER, "download", "voicemail", ITEM, owner=OWNER)
    items = [access_pb2.CheckItem(verb=one.verb, resource=one.resource)] * 20
    batch = access_pb2.CheckBatchRequest(tenant=TENANT, subject=one.subject, items=items)
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


async def talk_nonsense(address: str) -> None:
    """Bytes that are not even HTTP/2, as a port scanner sends them."""
    host, _, port = address.rpartition(":")
    for data in (b"GET /?q=" + HILDEGARD.encode() + b" HTTP/1.1\r\nHost: x\r\n\r\n", b"\x16\x03\x01" + b"\xff" * 200):
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(data)
        await writer.drain()
        await asyncio.sleep(0.05)
        writer.close()
        await writer.wait_closed()


def files_of(folder: Path) -> Iterator[tuple[str, bytes]]:
    """All files below a folder."""
    for path in folder.rglob("*"):
        if path.is_file():
            yield str(path.relative_to(folder)), path.read_bytes()


async def test_no_personal_value_and_no_address_is_written_anywhere(sqlite_site: Site, tmp_path: Path) -> None:
    """No name, number, item, case or address stands in database, index, anchors, export or messages of the server."""
    site = sqlite_site
    async with processes(site) as (server,):
        async with Client(server.address, site.token) as client, Client(server.address, "lw_0_0") as stranger:
            await use_everything(client, stranger)
            await talk_nonsense(server.address)
            key = await client.export(tmp_path / "export")
            assert key
        await asyncio.sleep(0.6)  # the housekeeper indexes and signs
        server.terminate()
        assert await server.ended() == 0
    site.storage.close()
    written = {name: _GREETING.sub(b"", content) for name, content in files_of(tmp_path)}
    assert b'"kind":"decision"' in b"".join(written.values())
    for name, content in written.items():
        if name == "site/linewarden.toml":
            continue
        found = [value for value in (*PERSONAL, NUMBER[1:]) if value.encode() in content]
        if "linewarden.db" in name and "index" not in name and "export" not in name:
            # The policy in force, and what it was, is the administrator's own text.
            found = [value for value in found if value != STRANGER]
        assert not found, name
        assert not re.search(rb"127\.0\.0\.1|\[::1\]|ipv4:|ipv6:", content), name


async def test_the_policy_in_the_log_names_nobody(sqlite_site: Site, client: Client) -> None:
    """A change of policy stands in the log with pseudonyms in place of persons, and without ids of items."""
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
