"""Databases from versions without seals: sealed once, as they are."""

import pytest

from linewarden.audit.errors import UnsafeDatabase
from linewarden.server.storage import SEALED_FILE, open_storage
from tests.integration.conftest import Client, Site, serving
from tests.integration.past_the_service import ADDED, ALLOW, CHANGES, REMOVED, database, refused, written

_UNSEALED = (
    "ALTER TABLE log_head DROP COLUMN seal",
    "ALTER TABLE log_head DROP COLUMN time_us",
    "ALTER TABLE log_head DROP COLUMN generation",
    "ALTER TABLE log_head DROP COLUMN origin_start",
    "ALTER TABLE log_head DROP COLUMN former_origin",
    "ALTER TABLE policy_version DROP COLUMN seal",
    "DROP TABLE api_key_seal",
    "DROP TABLE log_node",
    "UPDATE alembic_version SET version_num = '0003'",
)


def unsealed(site: Site) -> None:
    """Remove the seals, as in a database of an older version."""
    site.storage.log.close_writer()
    with database(site) as connection:
        for statement in _UNSEALED:
            connection.exec_driver_sql(statement)


async def test_a_database_from_before_is_sealed_once(site: Site) -> None:
    """An upgrade seals the present rows and serves, and later changes past the service are noticed."""
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
    """The service stops on a database whose seals were removed, and does not seal it again."""
    unsealed(site)
    written(site, CHANGES["a statement put beside"])
    for _ in range(2):
        with pytest.raises(UnsafeDatabase, match="seals"):
            open_storage(site.settings)
