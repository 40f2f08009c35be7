"""Faults of PostgreSQL under a log: changed settings, held locks, and servers that stop moving."""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from linewarden.audit.errors import LogUnavailable, UnsafeDatabase
from linewarden.audit.keyring import RowMac
from linewarden.audit.model import Unit
from linewarden.audit.store import schema
from linewarden.audit.store.engine import check_promises, open_engine
from linewarden.audit.store.log import LogStore
from linewarden.audit.writer import Writer
from tests.deadlines import HANG_S
from tests.integration.conftest import DATA
from tests.integration.test_faults import Postgres

SEALS = RowMac(bytes(32))


class Database:
    """A PostgreSQL server with the log's tables, and its operator."""

    def __init__(self, server: Postgres) -> None:
        self.server = server
        self.url = server.url
        self._admin = sa.create_engine(
            sa.make_url(self.url).set(drivername="postgresql+psycopg"),
            isolation_level="AUTOCOMMIT",
            poolclass=sa.NullPool,
        )

    def run(self, *statements: str) -> Any:
        """Run statements as the operator; return the value of the last."""
        with self._admin.connect() as connection:
            for statement in statements:
                result = connection.exec_driver_sql(statement)
            return result.scalar() if result.returns_rows else None

    def set(self, **settings: str) -> None:
        """Change settings of the running server, and wait until they apply."""
        for name, value in settings.items():
            self.run(f"ALTER SYSTEM SET {name} = {value}")
        self.run("SELECT pg_reload_conf()")
        for name, value in settings.items():
            while self.run(f"SHOW {name}") != value.strip("'"):
                time.sleep(0.02)

    def reset(self) -> None:
        """Reset all such changes."""
        self.run("ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")
        until(lambda: self.run("SELECT count(*) FROM pg_settings WHERE sourcefile LIKE '%%auto.conf'") == 0)

    def crash(self) -> None:
        """End the server without a flush to its disk, and start it again."""
        pid = self.server._server.get_pid()
        os.kill(pid, signal.SIGQUIT)
        until(lambda: not Path(f"/proc/{pid}/exe").exists())
        self.server.start()

    @contextmanager
    def holding(self, log: int) -> Iterator[None]:
        """Hold the head of a log, as a session of psql does."""
        with self._admin.connect() as connection:
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql(f"SELECT 1 FROM log_head WHERE log = {log} FOR UPDATE")
            try:
                yield
            finally:
                connection.exec_driver_sql("ROLLBACK")


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    end = time.monotonic() + HANG_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """Yield a PostgreSQL server for these tests alone, because they change its settings."""
    with tempfile.TemporaryDirectory(prefix="lwpg") as folder:
        server = Postgres(folder)
        try:
            yield server
        finally:
            server.cleanup()


@pytest.fixture
def database(server: Postgres) -> Iterator[Database]:
    """Yield the server with empty logs of three tenants; reset its settings afterwards."""
    made = Database(server)
    made.run("DROP SCHEMA public CASCADE", "CREATE SCHEMA public")
    engine = open_engine(made.url)
    schema.metadata.create_all(engine)
    store = LogStore(engine, SEALS)
    for number, tenant in enumerate(("", "acme", "globex")):
        store.create(tenant, f"origin-{number}", 1)
    engine.dispose()
    try:
        yield made
    finally:
        made.reset()


@pytest.fixture
def store(database: Database) -> Iterator[LogStore]:
    """Yield a store whose session is already open."""
    with opened(database) as made:
        assert made.append([Unit(1, (b"first",))]) == [0]
        yield made


@contextmanager
def opened(database: Database) -> Iterator[LogStore]:
    """Open a store on a database."""
    engine = open_engine(database.url)
    store = LogStore(engine, SEALS)
    try:
        yield store
    finally:
        store.close()
        engine.dispose()


def shown(store: LogStore, setting: str) -> str:
    """Return a setting of the session that appends."""
    assert store._session.writer is not None
    return str(store._session.writer.exec_driver_sql(f"SHOW {setting}").scalar_one())


def appended_until_refused(store: LogStore, count: int) -> int:
    """Append entries one by one; return the number of acknowledged ones."""
    for number in range(count):
        (result,) = store.append([Unit(1, (str(number).encode(),))])
        assert isinstance(result, int)
    return count


def test_asynchronous_commit_loses_no_answer(database: Database, store: LogStore) -> None:
    """A server with asynchronous commit loses no acknowledged entry in a crash, in old sessions and new ones."""
    database.set(synchronous_commit="off", wal_writer_delay="'10s'")
    acknowledged = 1 + appended_until_refused(store, 50)
    with opened(database) as other:
        acknowledged += appended_until_refused(other, 50)
    database.crash()
    with opened(database) as after:
        assert after.head(1).size == acknowledged


@pytest.mark.parametrize(
    "statement",
    ["ALTER DATABASE {database} SET {setting} = {value}", "ALTER ROLE {role} SET {setting} = {value}"],
    ids=["database", "role"],
)
def test_a_setting_of_the_role_or_the_database_does_not_reach_the_log(database: Database, statement: str) -> None:
    """The service sets durability and isolation of its session, in spite of settings of the role or the database."""
    url = sa.make_url(database.url)
    names = {"database": url.database, "role": url.username}
    settings = {"synchronous_commit": "off", "default_transaction_isolation": "serializable"}
    try:
        database.run(*(statement.format(**names, setting=name, value=value) for name, value in settings.items()))
        with opened(database) as store:
            appended_until_refused(store, 1)
            assert shown(store, "synchronous_commit") == "on"
            assert shown(store, "default_transaction_isolation") == "read committed"
    finally:
        database.run(*(statement.format(**names, setting=name, value="DEFAULT") for name in settings))


def test_a_stronger_commit_that_is_configured_is_kept(database: Database, store: LogStore) -> None:
    """The service keeps a stronger commit that the operator configures for standbys, before and during a session."""
    database.set(synchronous_commit="remote_apply")
    with opened(database) as other:
        appended_until_refused(other, 1)
        assert shown(other, "synchronous_commit") == "remote_apply"
    store._session._checked = 0.0
    appended_until_refused(store, 1)
    assert shown(store, "synchronous_commit") == "remote_apply"


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_does_not_sync_acknowledges_nothing(database: Database, store: LogStore, setting: str) -> None:
    """The store acknowledges nothing without fsync or full pages, and goes on when they are set."""
    database.set(**{setting: "off"})
    with pytest.raises(LogUnavailable) as caught:
        store.append([Unit(1, (b"not durable",))])
    assert isinstance(caught.value.__cause__, UnsafeDatabase)
    assert setting in str(caught.value.__cause__)
    with opened(database) as other:
        with pytest.raises(LogUnavailable):
            other.append([Unit(1, (b"not durable",))])
        with pytest.raises(UnsafeDatabase, match=setting):
            check_promises(other._engine)
    database.set(**{setting: "on"})
    appended_until_refused(store, 1)


def test_an_unlogged_table_acknowledges_nothing(database: Database, store: LogStore) -> None:
    """The store acknowledges nothing in an unlogged table, because a crash empties it."""
    database.run("ALTER TABLE log_entry SET UNLOGGED")
    store._session._checked = 0.0
    with pytest.raises(LogUnavailable) as caught:
        store.append([Unit(1, (b"x",))])
    assert "log_entry is unlogged" in str(caught.value.__cause__)
    database.run("ALTER TABLE log_entry SET LOGGED")
    appended_until_refused(store, 1)


def test_a_standby_that_does_not_answer_is_not_forgotten(database: Database, store: LogStore) -> None:
    """The store acknowledges nothing if a wait for a standby ended with PostgreSQL's warning."""
    database.set(synchronous_standby_names="'absent'")
    until(lambda: refused(store))
    database.set(synchronous_standby_names="''")
    appended_until_refused(store, 1)


def test_a_statement_without_an_answer_ends(database: Database, store: LogStore) -> None:
    """The store gives up a statement to a frozen server and frees its thread, and later statements succeed."""
    assert store._session.writer is not None
    driver: Any = store._session.writer.connection.driver_connection
    driver.wait_s = 0.1
    database.server.signal(signal.SIGSTOP)
    try:
        with pytest.raises(LogUnavailable):
            store.append([Unit(1, (b"x",))])
    finally:
        database.server.signal(signal.SIGCONT)
    until(lambda: not refused(store))


def refused(store: LogStore) -> bool:
    """Append; return whether it was refused."""
    try:
        store.append([Unit(1, (b"x",))])
    except LogUnavailable:
        return True
    return False


def test_serializable_by_default_refuses_nothing(database: Database) -> None:
    """Appends of several servers succeed when the server's default isolation is serializable."""
    database.set(default_transaction_isolation="serializable")
    counts: list[int] = []

    def work() -> None:
        with opened(database) as store:
            counts.append(appended_until_refused(store, 40))

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counts == [40, 40, 40]


def test_a_server_frozen_inside_a_transaction_is_let_go(database: Database, store: LogStore) -> None:
    """A server that freezes while it holds a head loses its session, and the others go on."""
    call = [sys.executable, str(DATA / "hold_a_head.py"), database.url, "1"]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            os.kill(holder.pid, signal.SIGSTOP)
            assert refused(store)  # the lock is held
            until(lambda: not refused(store))
        finally:
            holder.kill()


async def test_a_locked_tenant_holds_up_no_other(database: Database, store: LogStore) -> None:
    """While one tenant's head is locked all others append; its own appends are refused and never recorded."""
    writer = Writer(store, batch_limit=64, queue_limit=1_000, timeout_s=2)
    with database.holding(1):
        pairs = [(writer.append(Unit(1, (b"locked",))), writer.append(Unit(2, (b"free",)))) for _ in range(20)]
        assert sorted(await asyncio.gather(*(free for _, free in pairs))) == list(range(20))
        assert not any(locked.done() for locked, _ in pairs)
        assert await writer.append(Unit(2, (b"later",))) == 20
        results = await asyncio.gather(*(locked for locked, _ in pairs), return_exceptions=True)
        assert all(isinstance(result, LogUnavailable) for result in results)
    assert await writer.append(Unit(1, (b"again",))) == 1
    await writer.close()
    assert store.head(1).size == 2


async def test_a_tenant_locked_for_a_moment_is_served(database: Database, store: LogStore) -> None:
    """A head that is released in time causes no refusal for its tenant."""
    writer = Writer(store, batch_limit=64, queue_limit=1_000, timeout_s=HANG_S)
    with database.holding(1):
        waiting = [writer.append(Unit(log, (b"x",))) for log in (1, 2) * 10]
        await asyncio.gather(*waiting[1::2])
    assert sorted(await asyncio.gather(*waiting[::2])) == list(range(1, 11))
    await writer.close()


async def test_many_locked_tenants_leave_room_in_the_queue(database: Database, store: LogStore) -> None:
    """Units that wait for a locked tenant fill a part of the queue only, and others are accepted."""
    writer = Writer(store, batch_limit=8, queue_limit=40, timeout_s=2)
    with database.holding(1):
        first = writer.append(Unit(1, (b"x",)))
        await writer.append(Unit(2, (b"y",)))
        assert writer._queue._aside
        told = [attempt(writer, 1) for _ in range(100)]
        assert sum(one is None for one in told) > 50
        assert sorted(await asyncio.gather(*(writer.append(Unit(2, (b"y",))) for _ in range(19)))) == list(range(1, 20))
        await asyncio.gather(first, *filter(None, told), return_exceptions=True)
    await writer.close()


def attempt(writer: Writer, log: int) -> "asyncio.Future[int] | None":
    """Append; return None where the append is refused at once."""
    try:
        return writer.append(Unit(log, (b"x",)))
    except LogUnavailable:
        return None
