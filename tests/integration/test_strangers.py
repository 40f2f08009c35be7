"""Callers without a key, and callers with more rights than they should have."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner

from linewarden.cli import main
from linewarden.v1 import access_pb2, audit_pb2, core_pb2, policy_pb2
from linewarden.v1.access_pb2_grpc import AccessServiceStub
from tests.deadlines import HANG_S
from tests.integration.conftest import TENANT, Client, Site, count_request, person, query_request, refusal_of, serving


def _restore(old: Path, database: Path) -> None:
    for leftover in ("-wal", "-shm"):
        Path(f"{database}{leftover}").unlink(missing_ok=True)
    old.replace(database)


async def _silence() -> AsyncIterator[access_pb2.CheckStreamRequest]:
    await asyncio.sleep(HANG_S)
    yield access_pb2.CheckStreamRequest()


async def test_a_stream_without_a_key_ends_before_anything_is_read(sqlite_site: Site) -> None:
    """The server ends a stream without a key at once, so that it takes no place from other callers."""
    async with (
        serving(sqlite_site, max_concurrent_requests=4) as running,
        Client(running.addresses[0], sqlite_site.token) as client,
        grpc.aio.insecure_channel(running.addresses[0]) as channel,
    ):
        stub = AccessServiceStub(channel)
        calls = [stub.CheckStream(_silence(), metadata=(), timeout=HANG_S) for _ in range(40)]
        for call in calls:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await asyncio.wait_for(call.read(), HANG_S)
            assert refusal_of(refused.value).reason == "CREDENTIALS_INVALID"
        assert (await client.check("bob", "play", "voicemail", "1", owner="bob")).decision.effect


async def test_own_people_written_as_strangers_are_refused(client: Client) -> None:
    """The service refuses a policy with `//tenant/name` of the tenant itself, because that never matches."""
    request = policy_pb2.ChangePolicyRequest(
        header=core_pb2.RequestHeader(tenant=TENANT, subject=person("admin")),
        add=[f"deny //{TENANT}/bob play voicemail any"],
    )
    assert (await client.refused(client.policy.ChangePolicy, request)).reason == "POLICY_INVALID"


async def test_a_change_that_changes_nothing_makes_no_revision(client: Client) -> None:
    """A load of the policy in force is recorded, and makes no process read the policy again."""
    before = await client.change(add=["bind dora role:user"])
    request = policy_pb2.ChangePolicyRequest(header=core_pb2.RequestHeader(tenant=TENANT, subject=person("admin")))
    again = await client.call(client.policy.ChangePolicy, request)
    assert again.policy == before.policy


async def test_readers_without_names_cannot_try_names_out(client: Client) -> None:
    """A reader of the masked log gets rows without names, and no rows and no count for a name or an item."""
    await client.change(add=["allow dora read_access_log audit_log any then mask_numbers"])
    plain = audit_pb2.QueryEntriesRequest(header=core_pb2.RequestHeader(tenant=TENANT, subject=person("dora")))
    page: audit_pb2.QueryEntriesResponse = await client.call(client.audit.QueryEntries, plain)
    assert page.rows
    assert (await client.count("dora")).total
    named: tuple[dict[str, Any], ...] = (
        {"subject": "bob"},
        {"data_subject": "bob"},
        {"resource_type": core_pb2.RESOURCE_TYPE_VOICEMAIL, "resource_id": "1"},
    )
    for fields in named:
        asked = client.audit.QueryEntries, query_request("dora", **fields)
        assert (await client.refused(*asked)).reason == "SUBJECT_NOT_PERMITTED"
        counted = client.audit.CountEntries, count_request("dora", **fields)
        assert (await client.refused(*counted)).reason == "SUBJECT_NOT_PERMITTED"


async def test_an_index_newer_than_its_log_is_made_again(sqlite_site: Site) -> None:
    """A database that was restored beside a newer index answers queries from its present rows."""
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        await client.check("bob", "play", "voicemail", "1", owner="bob")
        await client.rows()
    database = Path(sqlite_site.settings.database_url.removeprefix("sqlite:///"))
    old = database.with_suffix(".old")
    with sqlite3.connect(database) as source, sqlite3.connect(old) as copy:
        source.backup(copy)
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        for n in range(20):
            await client.check("carol", "play", "voicemail", str(n), owner="carol")
        await client.rows()
    _restore(old, database)
    config = str(sqlite_site.settings.data_dir / "linewarden.toml")
    accepted = CliRunner().invoke(main, ["recover", "--config", config, "--all", "--reason", "the disk was lost"])
    assert accepted.exit_code == 0, accepted.output
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        for n in range(30):
            await client.check("bob", "play", "voicemail", f"new{n}", owner="bob")
        rows = await client.rows()
        assert len([row for row in rows if row.kind == "decision" and row.subject == "bob"]) == 31
