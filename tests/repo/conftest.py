"""Shared parts of the tests of the repository; their tools are modules of this folder."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from running import Service, serving


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run one server for all tests that follow the documents."""
    with serving(tmp_path_factory.mktemp("readme")) as running:
        yield running
