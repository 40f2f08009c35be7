"""Heads, policies and keys get seals. The rows that exist when this runs are sealed as they are, once.

A database that was sealed before is not sealed again, because an attacker who can write it could remove the seals and
have other rows sealed. A file beside the anchors records that, see `server.storage`.
"""

import os

import sqlalchemy as sa
from alembic import op

from linewarden.audit.errors import UnsafeDatabase
from linewarden.audit.keyring import SUMS, RowMac
from linewarden.audit.model import SYSTEM_LOG, Head
from linewarden.audit.store.heads import may_adopt, row_mac_of
from linewarden.authz.store.policy import StoredStatement
from linewarden.authz.store.seal import NONCE_BYTES, Version, seal_version, sum_of
from linewarden.server.store import keys

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

_HEADS = "SELECT log, tenant, origin_id, size, revision, frontier FROM log_head"
_HASH = "SELECT hash FROM policy_version WHERE log = :log AND revision = :revision"
_STATEMENTS = (
    "SELECT added_in, ordinal, text FROM policy_statement"
    " WHERE log = :log AND added_in <= :revision AND (removed_in IS NULL OR removed_in > :revision)"
)
_KEYS = "SELECT id, secret_hash, caller, tenants, methods, created_us, expires_us, revoked_us FROM api_key"


def upgrade() -> None:
    """Add the columns for the seals, then seal."""
    op.add_column(
        "log_head",
        sa.Column("seal", sa.LargeBinary(), comment="see `heads`; without one the head is not believed"),
    )
    op.add_column(
        "policy_version",
        sa.Column("seal", sa.LargeBinary(), comment="see `seal`; without one the policy is not believed"),
    )
    op.create_table(
        "api_key_seal",
        sa.Column("revision", _BIG, autoincrement=False, nullable=False),
        sa.Column("seal", sa.LargeBinary(), nullable=False, comment="over all keys as of this revision"),
        sa.PrimaryKeyConstraint("revision"),
    )
    connection = op.get_bind()
    rows = connection.execute(sa.text(_HEADS)).all()
    heads = [Head(log, tenant, origin, size, moved, bytes(f)) for log, tenant, origin, size, moved, f in rows]
    if heads and not may_adopt(connection):
        raise UnsafeDatabase(
            "the database has no seals any more: restore it, or remove the file `sealed` of anchor_dir"
        )
    seals = row_mac_of(connection)
    for head in heads:
        if head.revision:
            _seal_revision(connection, seals, head)
        fields = (head.log, head.tenant, head.origin_id, head.size, head.revision)
        seal = {"log": head.log, "seal": seals.mac(b"head", fields, head.frontier)}
        connection.execute(sa.text("UPDATE log_head SET seal = :seal WHERE log = :log"), seal)


def _seal_revision(connection: sa.Connection, seals: RowMac, head: Head) -> None:
    if head.log == SYSTEM_LOG:
        rows = [[id, digest.hex(), *others] for id, digest, *others in connection.execute(sa.text(_KEYS))]
        sealed = {"revision": head.revision, "seal": keys.seal_of(seals, head, rows)}
        connection.execute(sa.text("INSERT INTO api_key_seal (revision, seal) VALUES (:revision, :seal)"), sealed)
        return
    place = {"log": head.log, "revision": head.revision}
    hash = bytes(connection.execute(sa.text(_HASH), place).scalar_one())
    statements = (StoredStatement(*row) for row in connection.execute(sa.text(_STATEMENTS), place))
    version = Version(head.origin_id, head.revision, hash, sum_of(seals, head.log, statements) % SUMS)
    seal = seal_version(seals, version, os.urandom(NONCE_BYTES))
    change = sa.text("UPDATE policy_version SET seal = :seal WHERE log = :log AND revision = :revision")
    connection.execute(change, place | {"seal": seal})
