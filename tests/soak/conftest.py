"""Long forms of the tests of faults: `make soak`. Each takes its share of SOAK_MINUTES, eight by default.

There is a file for each kind of fault: processes that are killed or stopped, and disks; also clock steps and floods.
"""

import os

import pytest

from tests.conftest import *  # noqa: F403 - the fixtures of databases
from tests.integration.conftest import site, sqlite_site  # noqa: F401 - the fixtures of services

MINUTES = float(os.environ.get("SOAK_MINUTES", "8"))


@pytest.fixture
def seconds(request: pytest.FixtureRequest) -> float:
    """Return the duration of a test's load in seconds, without its set-up and its final checks."""
    return 60 * MINUTES / len(request.session.items)
