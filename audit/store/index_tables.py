"""The tables of the search index, and the statements that read them."""

import sqlalchemy as sa

from linewarden.audit.index.format import Run
from linewarden.audit.store.index_database import metadata
from linewarden.audit.store.schema import BigInt

index_run = sa.Table(
    "index_run",
    metadata,
    sa.Column("log", BigInt, primary_key=True, autoincrement=False),
    sa.Column("first", BigInt, primary_key=True, autoincrement=False, comment="the first ordinal"),
    sa.Column("end", BigInt, nullable=False),
    sa.Column("start", BigInt, nullable=False, comment="the first entry"),
    sa.Column("stop", BigInt, nullable=False),
    sa.Column("low_us", BigInt, nullable=False),
    sa.Column("high_us", BigInt, nullable=False),
    sa.Column("ordered", BigInt, nullable=False),
    sa.Column("seal", sa.LargeBinary, nullable=False),
)

index_block = sa.Table(
    "index_block",
    metadata,
    sa.Column("log", BigInt, primary_key=True, autoincrement=False),
    sa.Column("run", BigInt, primary_key=True, autoincrement=False, comment="the first ordinal of the run"),
    sa.Column("key", sa.LargeBinary, primary_key=True, comment="the first key of the interval"),
    sa.Column("next", sa.LargeBinary, nullable=False, comment="the first key after the interval"),
    sa.Column("rank", BigInt, nullable=False),
    sa.Column("body", sa.LargeBinary, nullable=False, comment="see `postings`"),
    sa.Column("seal", sa.LargeBinary, nullable=False),
)

RUN_COLUMNS = tuple(index_run.c[name] for name in (*Run._fields, "seal"))
BLOCK_COLUMNS = tuple(index_block.c[name] for name in ("key", "next", "rank", "body", "seal"))

#: Keys that one statement looks up. Fewer are repeated up to one of these numbers, so that few statements are compiled.
PROBES = (1, 4, 16, 64)


def lookup(count: int) -> sa.TextClause:
    """Return the statement that finds the blocks of `count` keys."""
    values = ", ".join(f"(:n{n}, :r{n}, :k{n})" for n in range(count))
    return sa.text(
        f"WITH probe (number, run, key) AS (VALUES {values}) "  # noqa: S608 - the text has parameters only
        'SELECT probe.number, b.key, b.next, b."rank", b.body, b.seal FROM probe JOIN index_block b '
        "ON b.log = :log AND b.run = probe.run AND b.key = (SELECT max(k.key) FROM index_block k "
        "WHERE k.log = :log AND k.run = probe.run AND k.key <= probe.key)"
    )


LOOKUPS = {count: lookup(count) for count in PROBES}
