"""Structured text logs on stderr, without personal values and addresses.

Goal: neither a mistake in Linewarden nor a message of a library brings a personal value into them. So the names of
fields come from a fixed list, and values are numbers or single words that do not begin with a digit. Other fields are
dropped and counted. Texts of libraries and exceptions are dropped; the logger, the class of the error and the place in
the code remain. Consequence: details of a request are in the audit log only.

Writing never fails and never waits. With a full disk, a closed terminal or an unread pipe, lines are lost and counted,
and the service continues. See `log_stream`.
"""

import atexit
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, MutableMapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

import structlog

from linewarden.server.log_stream import Descriptor, LossyStream

#: Names of fields without personal values.
FIELDS = frozenset(
    (
        *("advice", "count", "entries", "error", "expected", "found", "log", "logger", "pid", "port", "revision"),
        *("signal", "size", "where", "workers"),
        *("administration", "checks", "connections", "file_limit", "handshake_s", "health", "limit", "reflection"),
        "streams",
    )
)

#: Advice to the operator about a rolled-back log.
RECOVERY_ADVICE = "restore the newest database, or accept this one with `linewarden recover`"

#: Permitted values of more than one word.
SENTENCES = frozenset((RECOVERY_ADVICE,))

_EVENT = re.compile(r"[a-z][a-z0-9_]{0,63}")
#: A class, a module, a place in the code; not a number, an IP address, a sentence.
_WORD = re.compile(r"[A-Za-z_<][A-Za-z0-9_.<>-]{0,127}(:[0-9]{1,6})?")

_Event = MutableMapping[str, Any]


def configure(
    level: str,
    form: str,
    *,
    stream: TextIO | None = None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> LossyStream:
    """Set up logging for this process; `form` is `json` or `console`. Return the stream, which ends with the process.

    All output goes to `stream`: events, warnings of libraries, uncaught exceptions. Without a stream it goes to stderr,
    and everything else that this process writes to `sys.stderr` goes through the same queue.
    """
    console = structlog.dev.ConsoleRenderer(colors=False)
    render: Any = structlog.processors.JSONRenderer() if form == "json" else console

    def stamped(event: _Event) -> _Event:
        return {"time": now().isoformat(timespec="milliseconds"), **event}

    def notice(lost: int) -> str:
        return f"{render(None, '', stamped({'event': 'lines_lost', 'count': lost, 'level': 'warning'}))}\n"

    lossy = _open(stream, notice)
    atexit.register(lossy.end)
    structlog.configure(
        processors=[
            _only_known,
            structlog.processors.add_log_level,
            lambda _logger, _method, event: stamped(event),
            render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=lossy),  # type: ignore[arg-type]
        cache_logger_on_first_use=False,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Foreign()], force=True)
    logging.captureWarnings(capture=True)
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)
    sys.unraisablehook = lambda args: _uncaught(args.exc_type, args.exc_value, args.exc_traceback)
    # gRPC's core writes to stderr past Python. It reads this when it is loaded, so this is for child processes.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    return lossy


def _open(stream: TextIO | None, notice: Callable[[int], str]) -> LossyStream:
    if stream is not None:
        return LossyStream(_writing_to(stream), notice)
    lossy = LossyStream(Descriptor(2), notice)
    sys.stderr = lossy
    return lossy


def _writing_to(stream: TextIO) -> Callable[[bytes], None]:
    def write(data: bytes) -> None:
        stream.write(data.decode())
        stream.flush()

    return write


def place_of(traceback: TracebackType | None) -> str:
    """Return the place in the code that raised an exception, as function and line; empty if it is not known."""
    if traceback is None:
        return ""
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return f"{traceback.tb_frame.f_code.co_qualname}:{traceback.tb_lineno}"


class _Foreign(logging.Handler):
    """Replaces messages of libraries, which may hold peers and parameters, by their place in the code."""

    def emit(self, record: logging.LogRecord) -> None:
        kind, _, traceback = record.exc_info or (None, None, None)
        structlog.get_logger().log(
            record.levelno,
            "library_message",
            logger=record.name,
            error=kind.__name__ if kind else None,
            where=place_of(traceback) or f"{record.module}:{record.lineno}",
        )


def _uncaught(kind: type[BaseException], _error: BaseException | None, traceback: TracebackType | None) -> None:
    structlog.get_logger().critical("uncaught", error=kind.__name__, where=place_of(traceback))


def _only_known(_logger: object, _method: str, event: _Event) -> _Event:
    said = str(event.pop("event", ""))
    stated = {name: value for name, value in event.items() if value is not None}
    known = {name: value for name, value in stated.items() if name in FIELDS and _is_harmless(value)}
    if len(known) < len(stated):
        known["dropped"] = len(stated) - len(known)
    return {"event": said if _EVENT.fullmatch(said) else "unnamed", **known}


def _is_harmless(value: object) -> bool:
    if isinstance(value, bool | int | float):
        return True
    return isinstance(value, str) and (value in SENTENCES or bool(_WORD.fullmatch(value)))
