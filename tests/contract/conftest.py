"""Stores on every database, so that one suite tests them all."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from linewarden.audit.directory import Directory
from linewarden.audit.index.indexer import Indexer
from linewarden.audit.index.queries import AuditQueries
from linewarden.audit.keyring import RowMac
from linewarden.audit.model import Unit
from linewarden.audit.store import schema
from linewarden.audit.store.engine import open_engine
from linewarden.audit.store.index import IndexStore
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.persons import PersonStore
from tests.contract.indexing import KEYRING, indexer_of

SEALS = RowMac(bytes(32))


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    """Yield an engine whose database has the log's tables."""
    engine = open_engine(database_url)
    schema.metadata.create_all(engine)
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: sa.Engine) -> Iterator[LogStore]:
    """Yield a store with the system log, and the logs 1 and 2 of two tenants."""
    store = LogStore(engine, SEALS)
    for number, tenant in enumerate(("", "acme", "globex")):
        assert store.create(tenant, f"origin-{number}", 1) == number
    yield store
    store.close_writer()


@pytest.fixture
def events() -> list[str]:
    """Return the events that the index reported."""
    return []


@pytest.fixture
def index_engine(engine: sa.Engine, tmp_path: Path) -> Iterator[sa.Engine]:
    """Yield the engine of the index; it is another one where the main database is a file."""
    if engine.dialect.name != "sqlite":
        yield engine
        return
    own = open_engine(f"sqlite:///{tmp_path}/index.db", durable=False)
    yield own
    own.dispose()


@pytest.fixture
def index(index_engine: sa.Engine, events: list[str]) -> Iterator[IndexStore]:
    """Yield an index."""
    index = IndexStore(index_engine, KEYRING.row_mac, lambda event, _error: events.append(event))
    index.prepare()
    yield index
    index.close()


@pytest.fixture
def directory(store: LogStore) -> Directory:
    """Return the persons of the store, introduced without a writer's loop."""

    class Direct:
        def append(self, unit: Unit) -> "asyncio.Future[int]":
            future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
            (result,) = store.append([unit])
            if isinstance(result, int):
                future.set_result(result)
            else:
                future.set_exception(result)
            return future

    return Directory(PersonStore(store), KEYRING, Direct())


@pytest.fixture
def indexer(store: LogStore, index: IndexStore, directory: Directory) -> Indexer:
    """Return the indexer that fills the index."""
    return indexer_of(store, index, directory)


@pytest.fixture
def reading(store: LogStore, indexer: Indexer, directory: Directory) -> AuditQueries:
    """Return the queries over the index."""
    return AuditQueries(store, indexer, directory, KEYRING)
