"""The tables of the main database that belong to diagnostics."""

import sqlalchemy as sa

from linewarden.audit.store.schema import BigInt, Name

metadata = sa.MetaData()

record = sa.Table(
    "diagnostics_record",
    metadata,
    sa.Column("log", BigInt, primary_key=True, autoincrement=False),
    sa.Column("kind", Name, primary_key=True),
    sa.Column("id", Name, primary_key=True),
    sa.Column("version", BigInt, nullable=False, comment="counts the changes of the record, from 1"),
    sa.Column("created_us", BigInt, nullable=False),
    sa.Column("state", Name, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="canonical JSON; private values sealed"),
    sa.Column("due_us", BigInt, nullable=True, comment="when the service must look at it; null: never"),
    sa.Index("diagnostics_record_created", "log", "kind", "created_us", "id"),
    sa.Index("diagnostics_record_state", "kind", "state"),
    sa.Index("diagnostics_record_due", "kind", "due_us"),
)

receipt = sa.Table(
    "diagnostics_receipt",
    metadata,
    sa.Column("log", BigInt, primary_key=True, autoincrement=False),
    sa.Column("notice", Name, primary_key=True),
    sa.Column("notice_version", BigInt, primary_key=True, autoincrement=False),
    sa.Column("session", Name, primary_key=True, comment="empty for the notice in general"),
    sa.Column("sid", Name, primary_key=True),
    sa.Column("fact", Name, primary_key=True),
    sa.Column("channel", Name, nullable=False),  # empty for a confirmation
    sa.Column("at_us", BigInt, nullable=False),
)

lease = sa.Table(
    "diagnostics_lease",
    metadata,
    sa.Column("log", BigInt, primary_key=True, autoincrement=False),
    sa.Column("session", Name, primary_key=True),
    sa.Column("holder", Name, nullable=False, comment="random; the process that watches the worker"),
    sa.Column("until_us", BigInt, nullable=False),
    sa.Column("counters", sa.LargeBinary, nullable=False, comment="JSON, at the last look"),
)

usage_count = sa.Table(
    "usage_count",
    metadata,
    sa.Column("day", BigInt, primary_key=True, autoincrement=False, comment="days since 1970, UTC"),
    sa.Column("name", Name, primary_key=True),
    sa.Column("log", BigInt, primary_key=True, autoincrement=False),
    sa.Column("amount", BigInt, nullable=False),
)

usage_closed = sa.Table(
    "usage_closed",
    metadata,
    sa.Column("day", BigInt, primary_key=True, autoincrement=False, comment="days since 1970, UTC"),
    sa.Column("counts", sa.LargeBinary, nullable=False, comment="JSON; never written again"),
)
