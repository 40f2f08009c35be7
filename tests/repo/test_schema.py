"""The agreement of the migrations with the tables of the code."""

import re
from importlib import import_module

import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from repository import ROOT, files

from linewarden.audit.store.engine import open_engine
from linewarden.audit.store.log import LogStore
from linewarden.server.schema import METADATA, migrate

_DECLARED = re.compile(r"^metadata = sa\.MetaData\(", re.MULTILINE)


def test_the_migrated_schema_is_that_of_the_tables(database_url: str) -> None:
    """A database brought to the newest version has the tables, columns and indexes of the code, and no more."""
    engine = open_engine(database_url)
    try:
        migrate(LogStore(engine))
        with engine.connect() as connection:
            found = compare_metadata(MigrationContext.configure(connection), METADATA)  # type: ignore[arg-type]
            names = set(sa.inspect(connection).get_table_names())
    finally:
        engine.dispose()
    assert found == []
    assert names - {"alembic_version"} == {table.name for part in METADATA for table in part.sorted_tables}


def test_every_table_of_the_code_is_migrated() -> None:
    """The tables of each module that declares some are compared with the migrations, except those of the index file."""
    declaring = [
        path for path in files() if path.suffix == ".py" and _DECLARED.search(path.read_text(encoding="utf-8"))
    ]
    modules = [path.relative_to(ROOT).with_suffix("").parts for path in declaring if not path.name.startswith("index")]
    assert len(modules) == len(METADATA)
    assert all(import_module(".".join(("linewarden", *parts))).metadata in METADATA for parts in modules)


def test_migrating_twice_changes_nothing(sqlite_url: str) -> None:
    """A second start finds the schema as it left it."""
    engine = open_engine(sqlite_url)
    try:
        migrate(LogStore(engine))
        before = _schema(engine)
        migrate(LogStore(engine))
        assert _schema(engine) == before
    finally:
        engine.dispose()


def _schema(engine: sa.Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(sa.text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")))
