"""The long forms of tests of faults: `make soak`. Each takes its share of SOAK_MINUTES, eight by default.

A file for each kind of fault: processes that are killed or stopped, disks. Clock steps and floods come beside them.
"""

import os

import pytest

from tests.conftest import *  # noqa: F403 - the fixtures of databases
from tests.integration.conftest import site, sqlite_site  # noqa: F401 - the fixtures of services

MINUTES = float(os.environ.get("SOAK_MINUTES", "8"))


@pytest.fixture
def seconds(request: pytest.FixtureRequest) -> float:
    """How long the test may go on with what it does, seconds; its set-up and its last look come on top."""
    return 60 * MINUTES / len(request.session.items)
