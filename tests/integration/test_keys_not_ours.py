"""API keys that an attacker wrote past the service: they authenticate no caller."""

from collections.abc import Sequence

import pytest
import sqlalchemy as sa

from linewarden.server.bootstrap import now_us
from linewarden.server.credentials import new_key
from linewarden.server.errors import KeysNotOurs
from linewarden.server.operator_actions import create_key, revoke_key
from tests.integration.conftest import TENANT, Client, Server, Site, serving
from tests.integration.forked_python import forked_python
from tests.integration.past_the_service import DENY, database, effect, refused, written

#: Attacks on the keys. `key` is the id of one that was revoked in the newest revision, `now`.
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


def forged_key(site: Site) -> str:
    """Insert a forged key beside the others; return its token."""
    key, token = new_key("mallory", ("*",), ("*",), now_us())
    row = {"id": key.id, "hash": key.secret_hash, "at": key.created_us}
    with database(site) as connection:
        insert = "INSERT INTO api_key VALUES (:id, :hash, 'mallory', '[\"*\"]', '[\"*\"]', :at, NULL, NULL)"
        connection.execute(sa.text(insert), row)
    return token


async def test_a_key_that_others_put_beside_opens_nothing(site: Site) -> None:
    """After a use of a forged key the server answers UNAVAILABLE to all callers."""
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
    """After any change of the keys past the service, it authenticates no caller and makes or revokes no key."""
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
    """The operator's next key does not seal a forged key together with it."""
    forged_key(site)
    before = site.storage.log.head_of("")
    with pytest.raises(KeysNotOurs):
        create_key(site.storage.log, "backend", (TENANT,), ("*",), now_us())
    assert site.storage.log.head_of("") == before


async def test_a_server_does_not_start_on_keys_that_others_changed(sqlite_site: Site) -> None:
    """A server with keys that were changed past the service says what is wrong, and ends."""
    forged_key(sqlite_site)
    server = Server(sqlite_site, python=forked_python())
    try:
        assert await server.ended() == 3
        assert "the stored keys are not those that the service wrote" in server.stderr()
        assert "mallory" not in server.stderr()
    finally:
        server.kill()
