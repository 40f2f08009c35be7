"""The housekeeping process beside the process that started it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.deadlines import HANG_S
from tests.integration.conftest import Site


@contextmanager
def housekeeping(site: Site) -> Iterator[subprocess.Popen[bytes]]:
    """Run the process as `serve` does, with a pipe from its parent."""
    call = [
        sys.executable,
        "-m",
        "linewarden.cli",
        "housekeep",
        "--wait",
        "--config",
        f"{site.settings.data_dir}/linewarden.toml",
    ]
    process = subprocess.Popen(call, stdin=subprocess.PIPE)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def anchors(site: Site) -> list[Path]:
    """Return the last checkpoints of the logs."""
    return list(site.settings.anchor_dir.glob("*.checkpoint"))


def test_housekeeping_does_nothing_before_its_parent_opened_the_database(sqlite_site: Site) -> None:
    """A parent that ends while it starts leaves no housekeeping process, and no log that was touched."""
    with housekeeping(sqlite_site) as process:
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(HANG_S) == 0
    assert anchors(sqlite_site) == []


def test_housekeeping_signs_all_logs_and_ends_with_its_parent(sqlite_site: Site) -> None:
    """The process signs every log once its parent has opened the database, and ends without an error when that ends."""
    with housekeeping(sqlite_site) as process:
        assert process.stdin is not None
        process.stdin.write(b"g")
        process.stdin.flush()
        deadline = time.monotonic() + HANG_S
        while len(anchors(sqlite_site)) < len(sqlite_site.storage.log.heads()):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.stdin.close()
        assert process.wait(HANG_S) == 0


def test_housekeeping_that_waits_can_be_ended(sqlite_site: Site) -> None:
    """SIGTERM ends a process whose parent has not opened the database."""
    with housekeeping(sqlite_site) as process:
        process.terminate()
        assert process.wait(HANG_S) != 0
