"""Opening a database so that each commit is durable.

SQLite runs in WAL mode with synchronous=FULL, and each write transaction begins IMMEDIATE. `wal` describes what else
SQLite needs after a disk error.

PostgreSQL runs at READ COMMITTED, because row locks provide all guarantees. A session sets its own values of all
settings for which this is possible, so that changes of the server, the database or the role do not affect it. The other
settings are checked on each new connection, and by the writer of the log with each commit; see `sessions`.
"""

from typing import Any

import pysqlite3.dbapi2 as sqlite3
import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine import URL, make_url

from linewarden.audit.errors import LogUnavailable, UnsafeDatabase
from linewarden.audit.store.sessions import bounded, check_server, pin
from linewarden.audit.store.wal import Keeper

#: The first SQLite release in which several connections cannot lose committed writes when the WAL is reset.
FIXED_SQLITE = (3, 51, 3)

#: How long a lock may take before it counts as a fault, milliseconds.
LOCK_TIMEOUT_MS = 1_500


def open_engine(url: str, *, durable: bool = True) -> sa.Engine:
    """Return an engine for `url` (`sqlite:///…` or `postgresql://…`).

    `durable=False` is for data that can be rebuilt: SQLite then does not wait for the disk at each commit.

    Raises:
        UnsafeDatabase: the library or the server does not guarantee what the log needs.
    """
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        return _open_sqlite(address, durable=durable)
    if address.get_backend_name() == "postgresql":
        return _open_postgres(address)
    raise UnsafeDatabase(f"{address.get_backend_name()} is not supported: use SQLite or PostgreSQL")


def check_promises(engine: sa.Engine) -> None:
    """Read back the settings on which durability depends.

    Raises:
        UnsafeDatabase: a setting is wrong. The text names it.
    """
    try:
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                _check_sqlite(connection)
    except LogUnavailable as fault:  # a new connection to PostgreSQL is checked as it is made
        raise fault.__cause__ or fault from None


def _open_sqlite(address: URL, *, durable: bool) -> sa.Engine:
    if sqlite3.sqlite_version_info < FIXED_SQLITE:
        raise UnsafeDatabase(f"SQLite {sqlite3.sqlite_version} can lose committed writes; 3.51.3 or newer is needed")
    if not address.database or address.database == ":memory:":
        raise UnsafeDatabase("a database in memory is not durable: name a file")
    engine = sa.create_engine(address, module=sqlite3, paramstyle="named", hide_parameters=True)
    keeper = Keeper(address.database)

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.execute(f"PRAGMA busy_timeout={LOCK_TIMEOUT_MS}")
        connection.execute("PRAGMA journal_size_limit=67108864")
        if durable:
            keeper.keep()

    @event.listens_for(engine, "engine_disposed")
    def let_go(_engine: sa.Engine) -> None:
        keeper.close()

    @event.listens_for(engine, "begin")
    def begin(connection: sa.Connection) -> None:
        options = connection.get_execution_options()
        if options.get("isolation_level") != "AUTOCOMMIT":
            connection.exec_driver_sql("BEGIN IMMEDIATE" if options.get("writes") else "BEGIN")

    return engine


def _open_postgres(address: URL) -> sa.Engine:
    engine = sa.create_engine(
        address.set(drivername="postgresql+psycopg"),
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args={
            "options": f"-c lock_timeout={LOCK_TIMEOUT_MS} -c statement_timeout=30000",
            "connect_timeout": 2,
            "keepalives_idle": 5,
            "keepalives_interval": 2,
            "keepalives_count": 2,
            "tcp_user_timeout": 5_000,
        },
    )

    @event.listens_for(engine, "do_connect")
    def connect(dialect: Any, _record: object, arguments: Any, parameters: Any) -> Any:
        connection = bounded(dialect.loaded_dbapi).connect(*arguments, **parameters)
        try:
            with connection.cursor() as cursor:
                pin(cursor)
                check_server(cursor)
            connection.commit()
        except UnsafeDatabase as unsafe:
            connection.close()
            raise LogUnavailable("the log's database does not guarantee durability") from unsafe
        except BaseException:
            connection.close()
            raise
        return connection

    return engine


def _check_sqlite(connection: sa.Connection) -> None:
    mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
    synchronous = connection.exec_driver_sql("PRAGMA synchronous").scalar_one()
    if str(mode).lower() != "wal":
        raise UnsafeDatabase(f"SQLite journal_mode is {mode}, not wal")
    if int(synchronous) < 2:
        raise UnsafeDatabase(f"SQLite synchronous is {synchronous}, not FULL")
