"""An attacker that can write the database and lacks the key-encryption key, and the answers afterwards."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import grpc
import sqlalchemy as sa

from linewarden.audit.store.engine import open_engine
from linewarden.audit.store.schema import position_of
from linewarden.v1 import access_pb2
from tests.integration.conftest import OTHER_TENANT, TENANT, Client, Refusal, Site, check_request

ALLOW, DENY = access_pb2.EFFECT_ALLOW, access_pb2.EFFECT_DENY
FORGED = "allow mallory play recording any"

#: In the second revision of the tenant this is added, and the first statement of the first removed.
ADDED = "bind dora role:user"
REMOVED = "bind bob role:user"

_UNDO = (
    "DELETE FROM policy_statement WHERE log = 1 AND added_in = 2",
    "UPDATE policy_statement SET removed_in = NULL WHERE log = 1",
)

#: Attacks on the policy of log 1 at revision 2; log 2 is the other tenant's, at revision 1.
CHANGES: dict[str, Sequence[str]] = {
    "a statement put beside": (f"INSERT INTO policy_statement VALUES (1, 1, 99, NULL, '{FORGED}')",),
    "a statement put into the newest revision": (f"INSERT INTO policy_statement VALUES (1, 2, 99, NULL, '{FORGED}')",),
    "a deny deleted": ("DELETE FROM policy_statement WHERE log = 1 AND substr(text, 1, 4) = 'deny'",),
    "a deny marked as removed": (
        "UPDATE policy_statement SET removed_in = 2 WHERE log = 1 AND substr(text, 1, 4) = 'deny'",
    ),
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
        "UPDATE policy_statement SET text = 'bind admin role:tenant_admin' WHERE log = 1 AND ordinal = 3",
        "UPDATE policy_statement SET text = 'bind alice role:supervisor_sales' WHERE log = 1 AND text = 'x'",
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


@contextmanager
def database(site: Site) -> Iterator[sa.Connection]:
    """Yield the database as an attacker with write access sees it."""
    engine = open_engine(site.settings.database_url)
    try:
        with engine.begin() as connection:
            yield connection
    finally:
        engine.dispose()


def written(site: Site, statements: Sequence[str]) -> None:
    """Write past the service; each statement must change a row."""
    with database(site) as connection:
        for statement in statements:
            assert connection.exec_driver_sql(statement).rowcount > 0, statement


async def effect(client: Client, subject: str) -> int:
    """Ask whether the person may play a recording without owner."""
    return (await client.check(subject, "play", "recording", "1")).decision.effect


def told(answer: object) -> str:
    """Return the outcome of a request: the status of an error, or the effect."""
    if isinstance(answer, grpc.aio.AioRpcError):
        return answer.code().name
    assert isinstance(answer, access_pb2.CheckResponse)
    return access_pb2.Effect.Name(answer.decision.effect).removeprefix("EFFECT_")


async def refused(client: Client, tenant: str = TENANT) -> Refusal:
    """Return the errors that take the place of an answer."""
    request = check_request("carol", "play", "voicemail", "1", owner="carol")
    request.header.tenant = tenant
    refusal = await client.refused(client.access.Check, request)
    assert refusal.code is grpc.StatusCode.UNAVAILABLE
    assert "policy" not in refusal.raw
    return refusal


def tamper(site: Site, index: int) -> None:
    """Turn a denial into a permission, as an attacker with the database's password can."""
    position = position_of(site.log_of(TENANT), index)
    with site.storage.log.writing() as connection:
        query = "UPDATE log_entry SET entry = {} WHERE position = {}"
        new = {
            "sqlite": "CAST(replace(CAST(entry AS TEXT), '\"deny\"', '\"allow\"') AS BLOB)",
            "postgresql": "convert_to(replace(convert_from(entry, 'UTF8'), '\"deny\"', '\"allow\"'), 'UTF8')",
        }[connection.dialect.name]
        assert connection.exec_driver_sql(query.format(new, position)).rowcount == 1
