"""The text log: what it says, and that it cannot say what it must not."""

import errno
import io
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linewarden.server import log
from linewarden.server.log import configure
from tests.deadlines import HANG_S

_NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def process_state() -> Iterator[None]:
    """Restore the settings that `configure` makes in the process."""
    hooks = sys.excepthook, threading.excepthook, sys.unraisablehook
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    environment = pytest.MonkeyPatch()
    environment.setenv("GRPC_VERBOSITY", "ERROR")
    yield
    environment.undo()
    sys.excepthook, threading.excepthook, sys.unraisablehook = hooks
    logging.captureWarnings(capture=False)
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


@pytest.fixture
def lines() -> "Lines":
    """A JSON log, configured, and what it wrote."""
    return Lines()


class Lines:
    """Reads a JSON log back."""

    def __init__(self, level: str = "info") -> None:
        self.stream = io.StringIO()
        self._log = configure(level, "json", stream=self.stream, now=lambda: _NOW)

    def __call__(self) -> list[dict[str, Any]]:
        """The lines so far."""
        assert self._log.drain(60)
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


def test_an_event_has_time_level_and_fields(lines: Lines) -> None:
    """A line is one JSON object with time, level, event and the fields that were given."""
    structlog.get_logger().error("log_unavailable", error="OperationalError", log=7)
    assert lines() == [
        {
            "time": "2026-11-24T10:00:00.000+00:00",
            "event": "log_unavailable",
            "error": "OperationalError",
            "log": 7,
            "level": "error",
        }
    ]


def test_unknown_fields_are_dropped(lines: Lines) -> None:
    """A field that is not on the list is left out, name and value; that there was one is told."""
    structlog.get_logger().info("served", subject="alice", alice=1, pid=1)
    assert [line | {"time": ""} for line in lines()] == [
        {"time": "", "event": "served", "pid": 1, "dropped": 2, "level": "info"}
    ]


@pytest.mark.parametrize(
    "value",
    [
        "127.0.0.1",
        "2001:db8::1",
        "fe80::1",
        "::1",
        "ipv4:127.0.0.1:5000",
        "+4930123456",
        "4930123456",
        "alice@example.com",
        "no such column: alice",
        "KeyError('alice')",
        "a\nb",
        "",
        ["alice"],
        {"a": "alice"},
        ValueError("alice"),
        b"alice",
    ],
)
def test_a_known_field_takes_no_odd_values(lines: Lines, value: Any) -> None:
    """Addresses, numbers of telephones, sentences and structures do not fit into any field."""
    structlog.get_logger().info("served", error=value)
    (line,) = lines()
    assert "error" not in line
    assert line["dropped"] == 1


def test_an_event_is_a_name(lines: Lines) -> None:
    """A text with a value in it is not taken for the name of an event."""
    structlog.get_logger().info("played for alice")
    assert lines()[0]["event"] == "unnamed"


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from([*sorted(log.FIELDS), "user", "exc_info", "stack"]), st.text()), st.text())
def test_no_text_makes_two_lines(fields: dict[str, str], event: str) -> None:
    """Whatever is logged is one JSON object on one line."""
    lines = Lines()
    structlog.get_logger().info(event, **fields)
    assert len(lines()) == 1


def test_levels() -> None:
    """Events below the level are not written."""
    lines = Lines("warning")
    structlog.get_logger().info("served")
    structlog.get_logger().warning("stopped")
    assert [line["event"] for line in lines()] == ["stopped"]


def test_console_form_says_the_same() -> None:
    """The form for eyes has the fields, and drops what the other drops."""
    stream = io.StringIO()
    lossy = configure("info", "console", stream=stream, now=lambda: _NOW)
    structlog.get_logger().info("served", pid=77, subject="alice")
    assert lossy.drain(60)
    assert "served" in stream.getvalue()
    assert "77" in stream.getvalue()
    assert "alice" not in stream.getvalue()


@pytest.mark.parametrize("name", ["grpc", "grpc._cython.cygrpc", "sqlalchemy.engine.Engine", "asyncio", "alembic", "x"])
def test_libraries_say_where_and_no_more(lines: Lines, name: str) -> None:
    """Of a library's message, peers and parameters are lost; its name, the class of the error and the place remain."""
    known: dict[str, str] = {}
    try:
        known["alice"]
    except KeyError:
        logging.getLogger(name).exception("peer %s with alice", "127.0.0.1")
    logging.getLogger(name).warning("INSERT alice")
    logging.getLogger(name).info("too little to tell")
    first, second = lines()
    assert first["logger"] == second["logger"] == name
    assert first["error"] == "KeyError"
    assert first["where"].startswith("test_libraries_say_where_and_no_more:")
    assert second["where"].startswith("test_log:")
    assert "alice" not in str([first, second])
    assert "127.0.0.1" not in str([first, second])


def test_warnings_do_not_speak(lines: Lines) -> None:
    """A warning, which may quote a statement with its values, is reduced in the same way."""
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(capture=False)
        logging.captureWarnings(capture=True)
        warnings.warn("value alice", stacklevel=1)
    (line,) = lines()
    assert line["logger"] == "py.warnings"
    assert "alice" not in str(line)


def test_an_uncaught_exception_reveals_no_text(lines: Lines) -> None:
    """An exception that ends a thread, or is met where none can be raised, is told by class and place."""

    def fail() -> None:
        raise ValueError("alice")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()

    class Odd:
        def __del__(self) -> None:
            raise ValueError("alice")

    del Odd
    (line,) = lines()
    assert (line["event"], line["error"]) == ("uncaught", "ValueError")
    assert "alice" not in str(line)


def test_the_end_of_a_process_does_not_speak() -> None:
    """An exception that ends the process is told by class and place, on stderr, and the exit code says failure."""
    code = "from linewarden.server.log import configure; configure('info', 'json')\nraise ValueError('alice')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_S, check=False)
    (line,) = ended.stderr.splitlines()
    assert json.loads(line)["error"] == "ValueError"
    assert "alice" not in line
    assert (ended.returncode, ended.stdout) == (1, "")


def test_all_that_is_printed_to_stderr_goes_into_the_text_log() -> None:
    """Messages of commands and tracebacks of libraries take the same way, before the events that follow them."""
    code = (
        "import sys, click, traceback, structlog; from linewarden.server.log import configure\n"
        "configure('info', 'json'); click.echo('first', err=True); print('second', file=sys.stderr)\n"
        "structlog.get_logger().info('third')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_S, check=True)
    first, second, third = ended.stderr.splitlines()
    assert (first, second, json.loads(third)["event"]) == ("first", "second", "third")


class _FullDisk(io.StringIO):
    """A stream whose disk is full."""

    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "no space", len(text))


@pytest.mark.parametrize("closed", [False, True])
def test_a_full_disk_does_not_stop_the_service(closed: bool) -> None:
    """A log that cannot be written, or is closed, loses lines and raises nothing."""
    stream = _FullDisk()
    lossy = configure("info", "json", stream=stream)
    if closed:
        stream.close()
    structlog.get_logger().info("served")
    logging.getLogger("grpc").warning("odd")
    assert lossy.drain(60)


def test_nothing_is_configured_by_an_import() -> None:
    """Importing the module leaves the process's logging as it was."""
    code = (
        "import sys, logging, structlog; before = sys.excepthook, structlog.is_configured(), logging.root.handlers[:]\n"
        "import linewarden.server.log\n"
        "assert before == (sys.excepthook, structlog.is_configured(), logging.root.handlers)"
    )
    subprocess.run([sys.executable, "-c", code], timeout=HANG_S, check=True)
