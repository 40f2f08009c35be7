"""PostgreSQL under a log: settings that change while it runs, locks that are held, servers that stop moving."""

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
        """Run statements as the operator; returns the value of the last."""
        with self._admin.connect() as connection:
            for statement in statements:
                result = connection.exec_driver_sql(statement)
            return result.scalar() if result.returns_rows else None

    def set(self, **settings: str) -> None:
        """Change settings of the running server, and wait until it has them."""
        for name, value in settings.items():
            self.run(f"ALTER SYSTEM SET {name} = {value}")
        self.run("SELECT pg_reload_conf()")
        for name, value in settings.items():
            while self.run(f"SHOW {name}") != value.strip("'"):
                time.sleep(0.02)

    def reset(self) -> None:
        """Take all such changes back."""
        self.run("ALTER SYSTEM RESET ALL", "SELECT pg_reload_conf()")
        until(lambda: self.run("SELECT count(*) FROM pg_settings WHERE sourcefile LIKE '%%auto.conf'") == 0)

    def crash(self) -> None:
        """End the server without a word to its disk, and start it again."""
        pid = self.server._server.get_pid()
        os.kill(pid, signal.SIGQUIT)
        until(lambda: not Path(f"/proc/{pid}/exe").exists())
        self.server.start()

    @contextmanager
    def holding(self, log: int) -> Iterator[None]:
        """Hold the head of a log, as a session of psql would."""
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
    """A PostgreSQL server of these tests' own, because they change its settings."""
    with tempfile.TemporaryDirectory(prefix="lwpg") as folder:
        server = Postgres(folder)
        try:
            yield server
        finally:
            server.cleanup()


@pytest.fixture
def database(server: Postgres) -> Iterator[Database]:
    """The server with empty logs of three tenants, and its settings as they were."""
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
    """A store whose session is open already."""
    with opened(database) as made:
        assert made.append([Unit(1, (b"first",))]) == [0]
        yield made


@contextmanager
def opened(database: Database) -> Iterator[LogStore]:
    """A store on a database."""
    engine = open_engine(database.url)
    store = LogStore(engine, SEALS)
    try:
        yield store
    finally:
        store.close()
        engine.dispose()


def shown(store: LogStore, setting: str) -> str:
    """A setting as the session has it that appends."""
    assert store._session.writer is not None
    return str(store._session.writer.exec_driver_sql(f"SHOW {setting}").scalar_one())


def appended_until_refused(store: LogStore, count: int) -> int:
    """Append entries one by one; returns how many were acknowledged."""
    for number in range(count):
        (result,) = store.append([Unit(1, (str(number).encode(),))])
        assert isinstance(result, int)
    return count


def test_asynchronous_commit_loses_no_answer(database: Database, store: LogStore) -> None:
    """A server told not to wait for the disk keeps over a crash what was acknowledged, in old sessions and new ones."""
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
    """Durability and isolation of a session are the service's own, whatever the operator set for database or role."""
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
    """The operator's choice of what standbys must have is followed, at the start of a session and while it runs."""
    database.set(synchronous_commit="remote_apply")
    with opened(database) as other:
        appended_until_refused(other, 1)
        assert shown(other, "synchronous_commit") == "remote_apply"
    store._session._checked = 0.0
    appended_until_refused(store, 1)
    assert shown(store, "synchronous_commit") == "remote_apply"


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes"])
def test_a_server_that_does_not_sync_acknowledges_nothing(database: Database, store: LogStore, setting: str) -> None:
    """Without fsync or full pages nothing is acknowledged in old or new sessions; with them the log goes on."""
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
    """A crash empties an unlogged table: a log in one takes nothing."""
    database.run("ALTER TABLE log_entry SET UNLOGGED")
    store._session._checked = 0.0
    with pytest.raises(LogUnavailable) as caught:
        store.append([Unit(1, (b"x",))])
    assert "log_entry is unlogged" in str(caught.value.__cause__)
    database.run("ALTER TABLE log_entry SET LOGGED")
    appended_until_refused(store, 1)


def test_a_standby_that_does_not_answer_is_not_forgotten(database: Database, store: LogStore) -> None:
    """Where a commit waits for a standby in vain, PostgreSQL ends the wait with a warning: nothing is acknowledged."""
    database.set(synchronous_standby_names="'absent'")
    until(lambda: refused(store))
    database.set(synchronous_standby_names="''")
    appended_until_refused(store, 1)


def test_a_statement_without_an_answer_ends(database: Database, store: LogStore) -> None:
    """A server that is frozen keeps no thread: the statement is given up, and a later one goes its own way."""
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
    """Append; was it refused."""
    try:
        store.append([Unit(1, (b"x",))])
    except LogUnavailable:
        return True
    return False


def test_serializable_by_default_refuses_nothing(database: Database) -> None:
    """Appends of several servers do not fail each other when the server's default isolation is another."""
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
    """A server that stops moving while it holds a head does not stop the others: its session ends, and they go on."""
    call = [sys.executable, str(DATA / "hold_a_head.py"), database.url, "1"]
    with subprocess.Popen(call, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            os.kill(holder.pid, signal.SIGSTOP)
            assert refused(store)  # it is held indeed
            until(lambda: not refused(store))
        finally:
            holder.kill()


async def test_a_locked_tenant_holds_up_no_other(database: Database, store: LogStore) -> None:
    """While one tenant's head is locked, all others append; its own are refused, and not recorded afterwards."""
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
    """A head that is let go in time costs its tenant no refusal."""
    writer = Writer(store, batch_limit=64, queue_limit=1_000, timeout_s=HANG_S)
    with database.holding(1):
        waiting = [writer.append(Unit(log, (b"x",))) for log in (1, 2) * 10]
        await asyncio.gather(*waiting[1::2])
    assert sorted(await asyncio.gather(*waiting[::2])) == list(range(1, 11))
    await writer.close()


async def test_many_locked_tenants_leave_room_in_the_queue(database: Database, store: LogStore) -> None:
    """What waits for a locked tenant fills a part of the queue, and others are still taken."""
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
    """Append, or None where it is refused at once."""
    try:
        return writer.append(Unit(log, (b"x",)))
    except LogUnavailable:
        return None
