"""Sessions of PostgreSQL: settings of the session, and settings of the server that are checked.

A value that the session sets takes precedence over the file, ALTER SYSTEM, ALTER DATABASE and ALTER ROLE, at the start
of the session and at each reload. Only the server can set `fsync` and `full_page_writes`. They are read in the same
message as each COMMIT, so a commit counts only if the process that flushed it had them on.
"""

from functools import cache
from typing import Any

from linewarden.audit.errors import UnsafeDatabase
from linewarden.audit.store.schema import metadata

#: Values of `synchronous_commit` with which a commit waits for the server's own disk. The operator chooses among them,
#: because they differ in what a standby must have received.
_WAITS_FOR_DISK = frozenset({"local", "remote_write", "on", "remote_apply"})

#: Settings of every session, if the server's version has them. The locks of a process that stops inside a transaction,
#: or whose host fails, must be released. Times in milliseconds, of keepalives in seconds.
_EVERY = {
    "default_transaction_isolation": "read committed",
    "idle_in_transaction_session_timeout": "60000",
    "client_connection_check_interval": "2000",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "2",
    "tcp_user_timeout": "5000",
}

#: Settings of the session that appends. Its transactions lock heads of logs, for which all other servers wait. Python
#: computes for microseconds between its statements. A lock that is not free soon is tried again; see `LogStore`.
_APPENDS = {
    "statement_timeout": "2000",
    "lock_timeout": "50",
    "idle_in_transaction_session_timeout": "2000",
    "transaction_timeout": "5000",
}

#: Settings for an append of many entries, such as a policy of a million statements. Others wait for its log meanwhile.
_APPENDS_MUCH = {
    "statement_timeout": "30000",
    "lock_timeout": "50",
    "idle_in_transaction_session_timeout": "60000",
    "transaction_timeout": "120000",
}

#: How long the client waits for a statement, seconds: longer than the server's own limits. A frozen server, or a commit
#: that waits for a standby, has no limit of its own.
WAIT_S = 35.0
APPEND_WAIT_S = 4.0
_CANCEL_S = 2.0

#: The end of an append's transaction: the commit, and the settings of the process that flushed it.
COMMIT = "COMMIT; SELECT current_setting('fsync'), current_setting('full_page_writes')"

_SET = (
    "SELECT set_config(name, value, false)"
    " FROM unnest(%s::text[], %s::text[]) AS wanted (name, value) JOIN pg_settings USING (name)"
)

_CONFIGURED = "SELECT setting, reset_val FROM pg_settings WHERE name = 'synchronous_commit'"

_SERVER = """
SELECT current_setting('fsync'), current_setting('full_page_writes'), current_setting('synchronous_commit'),
    coalesce(current_setting('data_sync_retry', true), 'off'), pg_is_in_recovery(),
    (SELECT min(relname) FROM pg_class
        WHERE relnamespace = to_regnamespace(current_schema()) AND relpersistence <> 'p' AND relname = ANY(%s))
"""


@cache
def bounded(driver: Any) -> Any:
    """Return a subclass of the driver's connection with a limit of time: a statement is cancelled after `wait_s`.

    If the server does not respond to that either, the connection is closed and OperationalError is raised.
    """
    waited_too_long = driver.errors._WaitTimeout  # noqa: SLF001 - the class has no public name

    class Bounded(driver.Connection):  # type: ignore[misc]
        wait_s = WAIT_S

        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            try:
                return super().wait(gen, interval, self.wait_s if timeout is None else timeout)
            except waited_too_long:
                self._try_cancel(timeout=_CANCEL_S)
            try:
                return super().wait(gen, interval, _CANCEL_S)
            except waited_too_long as error:
                self.pgconn.finish()
                raise driver.OperationalError("the server did not answer in time") from error

    return Bounded


def pin(cursor: Any) -> None:
    """Set the session's own values for durability, isolation and timeouts."""
    _set(cursor, _EVERY)
    pin_commit(cursor)


def pin_writer(cursor: Any, *, much: bool = False) -> None:
    """Set the shorter timeouts of the session that appends, or longer ones for an append of many entries."""
    _set(cursor, _APPENDS_MUCH if much else _APPENDS)


def pin_commit(cursor: Any) -> None:
    """Make each commit of the session wait for the disk, and for standbys as configured.

    A configured `off` is ignored: the session keeps its value, or uses `on`.
    """
    cursor.execute(_CONFIGURED)
    wanted = next((value for value in reversed(cursor.fetchone()) if value in _WAITS_FOR_DISK), "on")
    _set(cursor, {"synchronous_commit": wanted})


def check_server(cursor: Any) -> None:
    """Read back the settings on which durability depends.

    Raises:
        UnsafeDatabase: a setting is wrong, the server is a standby, or a table of the log is not logged. The text
            names it.
    """
    cursor.execute(_SERVER, (list(metadata.tables),))
    fsync, full_pages, commits, retries, recovering, unlogged = cursor.fetchone()
    check_flushed(fsync, full_pages)
    if commits not in _WAITS_FOR_DISK:
        raise UnsafeDatabase(f"PostgreSQL synchronous_commit is {commits}")
    if retries != "off":
        raise UnsafeDatabase(f"PostgreSQL data_sync_retry is {retries}")
    if recovering:
        raise UnsafeDatabase("PostgreSQL is in recovery: a standby cannot take the log")
    if unlogged is not None:
        raise UnsafeDatabase(f"the table {unlogged} is unlogged: a crash empties it")


def check_flushed(fsync: str, full_pages: str) -> None:
    """Check the settings that make flushed data durable.

    Raises:
        UnsafeDatabase: a setting is off, so that flushed data may be lost. The text names it.
    """
    for setting, value in (("fsync", fsync), ("full_page_writes", full_pages)):
        if value != "on":
            raise UnsafeDatabase(f"PostgreSQL {setting} is {value}")


def _set(cursor: Any, settings: dict[str, str]) -> None:
    cursor.execute(_SET, (list(settings), list(settings.values())))
