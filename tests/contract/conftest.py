"""Stores on every database, so that one suite tests them all."""

from collections.abc import Iterator

import pytest
import sqlalchemy as sa

from linewarden.audit.keyring import RowMac
from linewarden.audit.store import schema
from linewarden.audit.store.engine import open_engine
from linewarden.audit.store.log import LogStore

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
