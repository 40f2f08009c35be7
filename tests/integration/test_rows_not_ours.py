"""Whoever can write the database and has not the key-encryption key: no policy and no key of theirs is believed."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import grpc
import pytest
import sqlalchemy as sa

from linewarden.audit.errors import UnsafeDatabase
from linewarden.audit.store.engine import open_engine
from linewarden.authz.errors import PolicyNotOurs
from linewarden.authz.policies import REFUSED_S
from linewarden.server.bootstrap import now_us
from linewarden.server.credentials import new_key
from linewarden.server.errors import KeysNotOurs
from linewarden.server.operating import create_key, create_tenant, revoke_key
from linewarden.server.storage import SEALED_FILE, open_storage
from linewarden.v1 import access_pb2
from tests.integration.conftest import (
    OTHER_TENANT,
    TENANT,
    Client,
    Refusal,
    Server,
    Site,
    check_request,
    serving,
)

ALLOW, DENY = access_pb2.EFFECT_ALLOW, access_pb2.EFFECT_DENY
FORGED = "allow mallory play recording any"

#: In the second revision of the tenant this is added, and the first statement of the first removed.
ADDED = "bind dora role:user"
REMOVED = "bind bob role:user"

_UNDO = (
    "DELETE FROM policy_statement WHERE log = 1 AND added_in = 2",
    "UPDATE policy_statement SET removed_in = NULL WHERE log = 1",
)

#: What somebody does to the policy of log 1 at revision 2; log 2 is the other tenant's, at revision 1.
CHANGES: dict[str, Sequence[str]] = {
    "a statement put beside": (f"INSERT INTO policy_statement VALUES (1, 1, 99, NULL, '{FORGED}')",),
    "a statement put into the newest revision": (f"INSERT INTO policy_statement VALUES (1, 2, 99, NULL, '{FORGED}')",),
    "a deny deleted": ("DELETE FROM policy_statement WHERE log = 1 AND substr(text, 1, 4) = 'deny'",),
    "a deny marked as removed": ("UPDATE policy_statement SET removed_in = 2 WHERE log = 1 AND substr(text, 1, 4) = 'deny'",),
    "what was removed back in force": ("UPDATE policy_statement SET removed_in = NULL WHERE log = 1",),
    "a statement changed": (f"UPDATE policy_statement SET text = '{FORGED}' WHERE log = 1 AND ordinal = 5",),
    "a statement moved to another revision": (
        "UPDATE policy_statement SET added_in = 2, ordinal = 99 WHERE log = 1 AND added_in = 1 AND ordinal = 5",
    ),
    "a statement moved to another tenant": (
        "UPDATE policy_statement SET log = 1, ordinal = 99 WHERE log = 2 AND ordinal = 1",
    ),
    "two texts exchanged": (
        "UPDATE policy_statement SET text = 'x' WHERE log = 1 AND added_in = 1 AND ordinal = 4",
        "UPDATE policy_statement SET text = 'bind alice role:supervisor' WHERE log = 1 AND ordinal = 5",
        "UPDATE policy_statement SET text = 'bind admin role:admin' WHERE log = 1 AND text = 'x'",
    ),
    "all statements deleted": ("DELETE FROM policy_statement WHERE log = 1",),
    "no seal": ("UPDATE policy_version SET seal = NULL WHERE log = 1",),
    "no version": ("DELETE FROM policy_version WHERE log = 1 AND revision = 2",),
    "another hash": ("UPDATE policy_version SET hash = (SELECT hash FROM policy_version WHERE log = 2) WHERE log = 1",),
    "an older seal with older rows under the newest revision": (
        *_UNDO,
        "DELETE FROM policy_version WHERE log = 1 AND revision = 2",
        "UPDATE policy_version SET revision = 2 WHERE log = 1",
    ),
    "an older seal with older rows and the head set back": (
        *_UNDO,
        "DELETE FROM policy_version WHERE log = 1 AND revision = 2",
        "UPDATE log_head SET revision = 1 WHERE log = 1",
    ),
    "the policy of another tenant": (
        "DELETE FROM policy_statement WHERE log = 1",
        "DELETE FROM policy_version WHERE log = 1",
        "UPDATE policy_statement SET log = 1 WHERE log = 2",
        "UPDATE policy_version SET log = 1 WHERE log = 2",
        "UPDATE log_head SET revision = 1 WHERE log = 1",
    ),
    "tenants exchanged": (
        "UPDATE log_head SET tenant = 'x' WHERE log = 1",
        f"UPDATE log_head SET tenant = '{TENANT}' WHERE log = 2",
        f"UPDATE log_head SET tenant = '{OTHER_TENANT}' WHERE log = 1",
    ),
}  # fmt: skip

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

#: What somebody does to the keys. `key` is the id of one that was revoked in the newest revision, `now`.
KEYS: dict[str, Sequence[str]] = {
    "a key deleted": ("DELETE FROM api_key WHERE id = '{key}'",),
    "a key bound to every tenant": ("UPDATE api_key SET tenants = '[\"*\"]'",),
    "a key bound to other methods": ("UPDATE api_key SET methods = '[\"AuditService\"]'",),
    "another caller": ("UPDATE api_key SET caller = 'other'",),
    "a revocation taken back": ("UPDATE api_key SET revoked_us = NULL",),
    "no seal": ("DELETE FROM api_key_seal",),
    "an older seal with older rows under the newest revision": (
        "UPDATE api_key SET revoked_us = NULL",
        "DELETE FROM api_key_seal WHERE revision = {now}",
        "UPDATE api_key_seal SET revision = {now} WHERE revision = {before}",
    ),
    "an older seal with older rows and the head set back": (
        "UPDATE api_key SET revoked_us = NULL",
        "DELETE FROM api_key_seal WHERE revision = {now}",
        "UPDATE log_head SET revision = {before} WHERE log = 0",
    ),
}


@contextmanager
def database(site: Site) -> Iterator[sa.Connection]:
    """The database in the hands of somebody who can write it."""
    engine = open_engine(site.settings.database_url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def written(site: Site, statements: Sequence[str]) -> None:
    """Write past the service; each statement must find something."""
    with database(site) as connection:
        for statement in statements:
            assert connection.exec_driver_sql(statement).rowcount > 0, statement


def forged_key(site: Site) -> str:
    """Put a key of one's own beside the others; returns its token."""
    key, token = new_key("mallory", ("*",), ("*",), now_us())
    row = {"id": key.id, "hash": key.secret_hash, "at": key.created_us}
    with database(site) as connection:
        insert = "INSERT INTO api_key VALUES (:id, :hash, 'mallory', '[\"*\"]', '[\"*\"]', :at, NULL, NULL)"
        connection.execute(sa.text(insert), row)
    return token


async def effect(client: Client, subject: str) -> int:
    """The answer to whether that person may play a recording of nobody."""
    return (await client.check(subject, "play", "recording", "1")).decision.effect


def told(answer: object) -> str:
    """What came of a request: the status of an error, or the effect."""
    if isinstance(answer, grpc.aio.AioRpcError):
        return answer.code().name
    assert isinstance(answer, access_pb2.CheckResponse)
    return access_pb2.Effect.Name(answer.decision.effect).removeprefix("EFFECT_")


async def refused(client: Client, tenant: str = TENANT) -> Refusal:
    """What is told instead of an answer."""
    request = check_request("carol", "play", "voicemail", "1", owner="carol")
    request.tenant = tenant
    refusal = await client.refused(client.access.Check, request)
    assert refusal.code is grpc.StatusCode.UNAVAILABLE
    assert "policy" not in refusal.raw
    return refusal


async def answered(client: Client, tenant: str) -> None:
    """Ask for another tenant; there is an answer."""
    request = check_request("carol", "play", "voicemail", "1", owner="carol")
    request.tenant = tenant
    answer = await client.call(client.access.Check, request)
    assert answer.decision.effect == ALLOW


@pytest.mark.parametrize("change", CHANGES)
async def test_a_policy_that_others_wrote_is_refused_at_the_start(site: Site, change: str) -> None:
    """Whatever was done to the rows while no server ran, the tenant gets no answer; the other tenant gets its own."""
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
    """A server goes by what it has verified, or does not answer; it changes no policy that is not its own."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        await client.change(add=[ADDED], remove=[REMOVED])
        assert await effect(client, "mallory") == DENY
        written(site, CHANGES[change])
        asked = check_request("mallory", "play", "recording", "1")
        (answer,) = await asyncio.gather(client.call(client.access.Check, asked), return_exceptions=True)
        assert told(answer) in {"DENY", "UNAVAILABLE"}
        change_more = client.change(add=["bind eve role:user"])
        (changed,) = await asyncio.gather(change_more, return_exceptions=True)
        assert told(changed) == "UNAVAILABLE"


@pytest.mark.slow
async def test_what_others_put_into_the_next_revision_is_not_believed(site: Site) -> None:
    """A row that waits for the next change is noticed when that change is read, by every server; and its end, too."""
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
        await asyncio.sleep(REFUSED_S)
        for client in (first, second):
            assert await effect(client, "mallory") == DENY


async def test_the_text_log_says_so_without_values(sqlite_site: Site) -> None:
    """Whoever runs the server reads that a policy is not ours and of which log, and nothing that stands in it."""
    written(sqlite_site, CHANGES["a statement put beside"])
    server = Server(sqlite_site)
    try:
        async with Client(await server.ready(), sqlite_site.token) as client:
            await refused(client)
        assert "policy_not_ours" in server.stderr()
        assert "PolicyNotOurs" in server.stderr()
        assert "mallory" not in server.stderr()
    finally:
        server.kill()


async def test_a_policy_that_others_wrote_is_not_shown(sqlite_site: Site) -> None:
    """GetPolicy does not show as the tenant's policy what the service did not write."""
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        assert await effect(client, "mallory") == DENY
        written(sqlite_site, CHANGES["a statement put beside"])
    with pytest.raises(PolicyNotOurs):
        sqlite_site.storage.policies.page(1, 1, (0, 0), 10)


@pytest.mark.parametrize("value", ["5", "'text'", "1e9", "99999999999999999999", "x'00'"])
@pytest.mark.parametrize("column", ODD)
async def test_odd_values_cost_nobody_else_anything(sqlite_site: Site, column: str, value: str) -> None:
    """SQLite keeps any value in any column; an odd one costs the tenant its answers, and no other."""
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


async def test_a_key_that_others_put_beside_opens_nothing(site: Site) -> None:
    """Whoever comes with it is told UNAVAILABLE, not that it is wrong, and from then on everybody is."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        assert await effect(client, "mallory") == DENY
        async with Client(running.addresses[0], forged_key(site)) as mallory:
            for one in (mallory, client):
                refusal = await refused(one)
                assert refusal.reason == "INTERNAL"
        with database(site) as connection:
            connection.exec_driver_sql("DELETE FROM api_key WHERE caller = 'mallory'")
        assert await effect(client, "mallory") == DENY


@pytest.mark.parametrize("change", KEYS)
async def test_keys_that_others_changed_open_nothing(site: Site, change: str) -> None:
    """Whatever was done to the keys, nobody is authenticated by them, and no key is made or revoked beside them."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        id, token = site.key()
        revoke_key(site.storage.log, id, now_us())
        revision = site.storage.log.head_of("").revision
        assert await effect(client, "mallory") == DENY
        written(site, [part.format(key=id, now=revision, before=revision - 1) for part in KEYS[change]])
        async with Client(running.addresses[0], token) as revoked:
            await refused(revoked)
        await refused(client)
    with pytest.raises(KeysNotOurs):
        site.storage.keys.load()
    with pytest.raises(KeysNotOurs):
        site.storage.keys.all()


def test_the_operator_changes_no_keys_that_others_changed(site: Site) -> None:
    """A key that somebody put beside is not sealed together with the operator's next one."""
    forged_key(site)
    before = site.storage.log.head_of("")
    with pytest.raises(KeysNotOurs):
        create_key(site.storage.log, "backend", (TENANT,), ("*",), now_us())
    assert site.storage.log.head_of("") == before


async def test_a_server_does_not_start_on_keys_that_others_changed(sqlite_site: Site) -> None:
    """It says what is wrong, and ends."""
    forged_key(sqlite_site)
    server = Server(sqlite_site)
    try:
        assert await server.ended() == 3
        assert "the stored keys are not those that the service wrote" in server.stderr()
        assert "mallory" not in server.stderr()
    finally:
        server.kill()


def test_a_log_with_the_number_of_one_that_is_gone_does_not_take_over_its_policy(sqlite_site: Site) -> None:
    """Where a log was deleted and another got its number, the earlier one's sealed rows are nothing to it."""
    with database(sqlite_site) as connection:
        connection.exec_driver_sql("DELETE FROM log_head WHERE log = 2")
        connection.exec_driver_sql("DELETE FROM log_entry WHERE position >= 2199023255552")
    log = create_tenant(sqlite_site.storage.log, "initech", now_us())
    assert log == 2
    assert sqlite_site.storage.policies.since(log, 0).added == []
    with database(sqlite_site) as connection:
        connection.exec_driver_sql("UPDATE log_head SET revision = 1 WHERE log = 2")
    with pytest.raises(PolicyNotOurs):
        sqlite_site.storage.policies.since(log, 0)


_UNSEALED = (
    "ALTER TABLE log_head DROP COLUMN seal",
    "ALTER TABLE policy_version DROP COLUMN seal",
    "DROP TABLE api_key_seal",
    "UPDATE alembic_version SET version_num = '0003'",
)


def unsealed(site: Site) -> None:
    """Make the database one from before there were seals."""
    site.storage.log.close_writer()
    with database(site) as connection:
        for statement in _UNSEALED:
            connection.exec_driver_sql(statement)


async def test_a_database_from_before_is_sealed_once(site: Site) -> None:
    """An upgrade seals what is there, and serves; what is changed afterwards is noticed."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        await client.change(add=[ADDED], remove=[REMOVED])
    unsealed(site)
    (site.settings.anchor_dir / SEALED_FILE).unlink()
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        answer = await client.check("dora", "play", "voicemail", "1", owner="dora")
        assert answer.decision.effect == ALLOW
        await client.change(add=["bind eve role:user"])
        site.key()
    assert (site.settings.anchor_dir / SEALED_FILE).exists()
    written(site, CHANGES["a statement put beside"])
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        await refused(client)


def test_a_database_whose_seals_were_taken_away_is_not_sealed_again(site: Site) -> None:
    """Whoever takes the seals away to have other rows sealed stops the service instead."""
    unsealed(site)
    written(site, CHANGES["a statement put beside"])
    for _ in range(2):
        with pytest.raises(UnsafeDatabase, match="seals"):
            open_storage(site.settings)


async def test_a_refused_policy_is_not_read_for_every_request(sqlite_site: Site) -> None:
    """Requests of a tenant whose policy is not ours are refused at once, and cost others nothing."""
    written(sqlite_site, CHANGES["a statement put beside"])
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        await refused(client)
        started = time.monotonic()
        for _ in range(20):
            await refused(client)
        assert time.monotonic() - started < REFUSED_S
