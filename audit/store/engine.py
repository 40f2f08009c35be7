"""Opening a database so that a commit means what the log needs it to mean.

SQLite runs in WAL mode with synchronous=FULL; each write transaction begins IMMEDIATE. PostgreSQL runs at READ
COMMITTED: every promise rests on row locks. Both are read back before use, and a database that does not promise
durability is refused.
"""

from typing import Any

import pysqlite3.dbapi2 as sqlite3
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url

from linewarden.audit.errors import UnsafeDatabase

#: The first SQLite release in which several connections cannot lose committed writes when the WAL is reset.
FIXED_SQLITE = (3, 51, 3)

#: How long a statement or a lock may take before it counts as a fault, milliseconds.
LOCK_TIMEOUT_MS = 1_500

_POSTGRES_PROMISES = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "remote_write", "remote_apply", "local"),
}


def open_engine(url: str, *, durable: bool = True) -> sa.Engine:
    """An engine for `url` (`sqlite:///…` or `postgresql://…`).

    `durable=False` is for data that can be rebuilt: SQLite then does not wait for the disk at each commit.

    Raises:
        UnsafeDatabase: the library or the server does not promise what the log needs.
    """
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        return _open_sqlite(address, durable=durable)
    if address.get_backend_name() == "postgresql":
        return _open_postgres(address)
    raise UnsafeDatabase(f"{address.get_backend_name()} is neither SQLite nor PostgreSQL")


def check_promises(engine: sa.Engine) -> None:
    """Read back the settings that durability rests on.

    Raises:
        UnsafeDatabase: one of them is wrong. The text names it.
    """
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            _check_sqlite(connection)
        else:
            _check_postgres(connection)


def _open_sqlite(address: URL, *, durable: bool) -> sa.Engine:
    if sqlite3.sqlite_version_info < FIXED_SQLITE:
        raise UnsafeDatabase(f"SQLite {sqlite3.sqlite_version} can lose committed writes; 3.51.3 or newer is needed")
    if not address.database or address.database == ":memory:":
        raise UnsafeDatabase("a log in memory is not durable")
    engine = sa.create_engine(address, module=sqlite3, paramstyle="named", hide_parameters=True)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.execute(f"PRAGMA busy_timeout={LOCK_TIMEOUT_MS}")
        connection.execute("PRAGMA journal_size_limit=67108864")

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN")

    return engine


def _open_postgres(address: URL) -> sa.Engine:
    # Every wait on the server has an end: a lock, a statement, a dead network path.
    options = f"-c lock_timeout={LOCK_TIMEOUT_MS} -c statement_timeout=30000"
    return sa.create_engine(
        address.set(drivername="postgresql+psycopg"),
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "options": options,
            "connect_timeout": 2,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 2,
            "tcp_user_timeout": 5_000,
        },
    )


def _check_sqlite(connection: sa.Connection) -> None:
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    synchronous = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
    if str(mode).lower() != "wal":
        raise UnsafeDatabase(f"SQLite journal_mode is {mode}, not wal")
    if int(synchronous) < 2:
        raise UnsafeDatabase(f"SQLite synchronous is {synchronous}, not FULL")


def _check_postgres(connection: sa.Connection) -> None:
    for setting, wanted in _POSTGRES_PROMISES.items():
        value = connection.exec_driver_sql(f"SHOW {setting}").scalar_one()
        if value not in wanted:
            raise UnsafeDatabase(f"PostgreSQL {setting} is {value}")
    if connection.exec_driver_sql("SELECT pg_is_in_recovery()").scalar_one():
        raise UnsafeDatabase("PostgreSQL is in recovery: a standby cannot take the log")
