"""The heads that changed since they were last read, on every database."""

from collections.abc import Iterator
from pathlib import Path

import pysqlite3.dbapi2 as sqlite3
import pytest
import sqlalchemy as sa

from linewarden.audit.errors import LogUnavailable
from linewarden.audit.keyring import RowMac
from linewarden.audit.model import Unit
from linewarden.audit.store import schema
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.moved import HeadWatch


@pytest.fixture
def watch(store: LogStore) -> Iterator[HeadWatch]:
    """Yield a watch that has read the three heads of the store."""
    watch = store.watch()
    assert [head.log for head in watch.moved()] == [0, 1, 2]
    yield watch
    watch.close()


def test_a_head_that_moved_is_returned_once(store: LogStore, watch: HeadWatch) -> None:
    """The watch returns the heads that changed since the last call, as they are now, and no others."""
    assert watch.moved() == []
    store.append([Unit(1, (b"one",)), Unit(1, (b"two",))])
    store.append([Unit(2, (b"three",))])
    assert watch.moved() == [store.head(1), store.head(2)]
    assert watch.moved() == []


def test_a_change_of_any_field_is_a_move(watch: HeadWatch, engine: sa.Engine) -> None:
    """The watch notices every change by SQL, of whichever field, by whichever program."""
    for field, value in {"tenant": "initech", "revision": 7, "time_us": 5, "generation": 1, "seal": bytes(32)}.items():
        with engine.begin() as connection:
            connection.execute(sa.update(schema.log_head).where(schema.log_head.c.log == 1).values({field: value}))
        assert [head.log for head in watch.moved()] == [1], field
    assert watch.moved() == []


def test_a_transaction_that_was_open_during_a_call_is_seen_by_the_next(watch: HeadWatch, engine: sa.Engine) -> None:
    """The watch returns a head whose transaction began before a call and was committed after it."""
    with engine.connect() as connection:
        connection.execute(sa.update(schema.log_head).where(schema.log_head.c.log == 1).values(time_us=5))
        assert watch.moved() == []
        connection.commit()
    assert [head.log for head in watch.moved()] == [1]


def test_a_new_log_is_a_move(store: LogStore, watch: HeadWatch) -> None:
    """The watch returns the head of a log that was created since."""
    store.create("initech", "origin-3", 1)
    assert watch.moved() == [store.head(3)]


def test_a_new_connection_continues(store: LogStore, watch: HeadWatch, engine: sa.Engine) -> None:
    """The watch loses no move, and returns none twice, when its connection is closed between two calls."""
    store.append([Unit(1, (b"one",))])
    engine.dispose()
    assert watch.moved() == [store.head(1)]
    watch.close()
    assert watch.moved() == []


def test_a_move_is_returned_after_a_failure(store: LogStore, watch: HeadWatch, engine: sa.Engine) -> None:
    """The watch returns a move that a failed call did not return."""
    store.append([Unit(1, (b"one",))])
    for name in ("log_head", "log_head_away"):
        other = {"log_head": "log_head_away", "log_head_away": "log_head"}[name]
        with engine.begin() as connection:
            connection.exec_driver_sql(f"ALTER TABLE {name} RENAME TO {other}")
        if name == "log_head":
            with pytest.raises(LogUnavailable):
                watch.moved()
    assert watch.moved() == [store.head(1)]


def test_heads_without_a_sign_of_a_change_are_compared_in_turn(tmp_path: Path) -> None:
    """The watch finds a change of which the database gives no sign, because it compares all heads within `all_s`."""
    # SQLite's count leaves out the commits of the connection itself, so a shared one can hide a change.
    engine = sa.create_engine(
        f"sqlite:///{tmp_path}/shared.db", module=sqlite3, poolclass=sa.pool.StaticPool, paramstyle="named"
    )
    schema.metadata.create_all(engine)
    store = LogStore(engine, RowMac(bytes(32)))
    for number, tenant in enumerate(("", "acme", "globex")):
        store.create(tenant, f"origin-{number}", 1)
    slow, quick = HeadWatch(engine, all_s=1e9), HeadWatch(engine, all_s=1e-9)
    assert slow.moved() == quick.moved() == store.heads()
    with engine.begin() as connection:
        connection.execute(sa.update(schema.log_head).where(schema.log_head.c.log == 1).values(revision=7))
    assert slow.moved() == []
    assert quick.moved() == [store.head(1)]
    assert quick.moved() == []
    store.close()
    engine.dispose()
