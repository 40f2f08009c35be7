"""The fixtures of the integration tests, for longer tests on the same services."""

from tests.integration.conftest import site, sqlite_site

__all__ = ["site", "sqlite_site"]
