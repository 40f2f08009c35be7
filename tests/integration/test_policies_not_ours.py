"""Policies that an attacker wrote past the service: no answer follows from them."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest
import sqlalchemy as sa

from linewarden.audit.errors import RolledBack
from linewarden.audit.store.log import LogStore
from linewarden.authz.errors import PolicyNotOurs
from linewarden.authz.store.policy import PolicyStore
from linewarden.server.bootstrap import now_us
from linewarden.server.operator_actions import create_tenant
from linewarden.v1 import core_pb2, policy_pb2
from tests.deadlines import HANG_S
from tests.integration.conftest import OTHER_TENANT, TENANT, Client, Server, Site, check_request, person, serving
from tests.integration.forked_python import forked_python
from tests.integration.past_the_service import (
    ADDED,
    ALLOW,
    CHANGES,
    DENY,
    FORGED,
    REMOVED,
    database,
    effect,
    refused,
    told,
    written,
)

#: Columns that get values of a kind which the service never writes.
ODD = (
    "log_head.seal",
    "log_head.frontier",
    "log_head.revision",
    "policy_version.seal",
    "policy_version.hash",
    "policy_statement.text",
)

#: These take the other tenant's policy away as well.
_OF_BOTH = {"a statement moved to another tenant", "the policy of another tenant", "tenants exchanged"}


async def answered(client: Client, tenant: str) -> None:
    """Ask for another tenant and expect an answer."""
    request = check_request("carol", "play", "voicemail", "1", owner="carol")
    request.header.tenant = tenant
    answer = await client.call(client.access.Check, request)
    assert answer.decision.effect == ALLOW


@pytest.mark.parametrize("change", CHANGES)
async def test_a_policy_that_others_wrote_is_refused_at_the_start(site: Site, change: str) -> None:
    """After any change of the rows while no server runs, their tenant gets no answer, and the other tenant does."""
    _, token = site.key(tenants=("*",))
    async with serving(site) as running, Client(running.addresses[0], token) as client:
        await client.change(add=[ADDED], remove=[REMOVED])
    written(site, CHANGES[change])
    async with serving(site) as running, Client(running.addresses[0], token) as client:
        await refused(client)
        if change in _OF_BOTH:
            await refused(client, OTHER_TENANT)
        else:
            await answered(client, OTHER_TENANT)


@pytest.mark.parametrize("change", CHANGES)
async def test_a_policy_that_others_write_is_not_believed_by_a_running_server(site: Site, change: str) -> None:
    """A running server answers only by rows that it has verified, and its next change seals no foreign row."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        await client.change(add=[ADDED], remove=[REMOVED])
        assert await effect(client, "mallory") == DENY
        written(site, CHANGES[change])
        asked = check_request("mallory", "play", "recording", "1")
        answers = await asyncio.gather(client.call(client.access.Check, asked), return_exceptions=True)
        assert told(answers[0]) in {"DENY", "UNAVAILABLE"}
        change_more = client.change(add=["bind eve role:user"])
        (changed,) = await asyncio.gather(change_more, return_exceptions=True)
        assert not isinstance(changed, grpc.aio.AioRpcError) or told(changed) == "UNAVAILABLE"
        answers = await asyncio.gather(client.call(client.access.Check, asked), return_exceptions=True)
        assert told(answers[0]) in {"DENY", "UNAVAILABLE"}
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        await refused(client)


@pytest.mark.slow
async def test_what_others_put_into_the_next_revision_is_not_believed(site: Site) -> None:
    """Each server notices a foreign row when it reads the next change, and also its removal."""
    async with (
        serving(site) as one,
        serving(site) as two,
        Client(one.addresses[0], site.token) as first,
        Client(two.addresses[0], site.token) as second,
    ):
        assert await effect(second, "mallory") == DENY
        written(site, [f"INSERT INTO policy_statement VALUES (1, 2, 99, NULL, '{FORGED}')"])
        await first.change(add=[ADDED])
        for client in (first, second):
            assert (await refused(client)).reason == "INTERNAL"
        written(site, ["DELETE FROM policy_statement WHERE ordinal = 99"])
        for client in (first, second):
            assert await effect_once_answered(client, "mallory") == DENY


async def test_the_text_log_says_so_without_values(sqlite_site: Site) -> None:
    """The text log reports a foreign policy with its log, and none of its content."""
    written(sqlite_site, CHANGES["a statement put beside"])
    server = Server(sqlite_site, python=forked_python())
    try:
        async with Client(await server.ready(), sqlite_site.token) as client:
            await refused(client)
        await server.says("policy_not_ours")
        assert "PolicyNotOurs" in server.stderr()
        assert "mallory" not in server.stderr()
    finally:
        server.kill()


async def test_a_policy_that_others_wrote_is_not_shown(site: Site) -> None:
    """GetPolicy shows only statements that the service wrote."""
    request = policy_pb2.GetPolicyRequest(header=core_pb2.RequestHeader(tenant=TENANT, subject=person("admin")))
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        before = await client.call(client.policy.GetPolicy, request)
        written(site, CHANGES["a statement changed"])
        assert await client.call(client.policy.GetPolicy, request) == before
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        assert (await client.refused(client.policy.GetPolicy, request)).code is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("value", ["5", "'text'", "1e9", "99999999999999999999", "x'00'"])
@pytest.mark.parametrize("column", ODD)
async def test_odd_values_affect_no_other_tenant(sqlite_site: Site, column: str, value: str) -> None:
    """A value of the wrong type in a column costs its tenant the answers, and no other tenant."""
    _, token = sqlite_site.key(tenants=("*",))
    table, _, name = column.partition(".")
    more = " AND ordinal = 5" if table == "policy_statement" else ""
    async with serving(sqlite_site) as running, Client(running.addresses[0], token) as client:
        await client.change(add=[ADDED], remove=[REMOVED])
        written(sqlite_site, [f"UPDATE {table} SET {name} = {value} WHERE log = 1{more}"])
        await answered(client, OTHER_TENANT)
    async with serving(sqlite_site) as running, Client(running.addresses[0], token) as client:
        await refused(client)
        await answered(client, OTHER_TENANT)


@contextmanager
def statements() -> Iterator[list[str]]:
    """Yield the SQL statements that all engines of this process execute in the block."""
    found: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        found.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


async def effect_once_answered(client: Client, subject: str) -> int:
    """Return the effect of a check, once the server accepts the policy again."""
    async with asyncio.timeout(HANG_S):
        while True:
            try:
                return await effect(client, subject)
            except grpc.aio.AioRpcError:
                await asyncio.sleep(0.1)


async def test_a_refused_policy_is_not_read_for_every_request(sqlite_site: Site) -> None:
    """The server refuses requests of a tenant with a foreign policy at once, without reading it each time."""
    written(sqlite_site, CHANGES["a statement put beside"])
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        await refused(client)
        with statements() as read:
            for _ in range(100):
                await refused(client)
        assert sum("policy_statement" in one for one in read) < 50


def test_a_log_with_the_number_of_one_that_is_gone_does_not_take_over_its_policy(sqlite_site: Site) -> None:
    """A log with the number of a deleted one does not take over the sealed rows of that one."""
    assert sqlite_site.storage.log.admitted_head(2).size  # so this process has seen the earlier log
    with database(sqlite_site) as connection:
        connection.exec_driver_sql("DELETE FROM log_head WHERE log = 2")
        connection.exec_driver_sql("DELETE FROM log_entry WHERE position >= 2199023255552")
    log = create_tenant(sqlite_site.storage.log, "initech", now_us())
    assert log == 2
    # A process that has seen the earlier log refuses the number; one that has not finds no policy for it.
    with pytest.raises(RolledBack):
        sqlite_site.storage.policies.since(log, 0)
    strange = LogStore(sqlite_site.storage.engines[0], sqlite_site.storage.keyring.row_mac)
    assert PolicyStore(strange).since(log, 0).added == []
    with database(sqlite_site) as connection:
        connection.exec_driver_sql("UPDATE log_head SET revision = 1 WHERE log = 2")
    with pytest.raises(PolicyNotOurs):
        PolicyStore(strange).since(log, 0)
    strange.close()
