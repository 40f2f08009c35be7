"""Structured text logs on stderr, without personal values.

Only fields of a fixed list are ever printed: a value that somebody adds by mistake is dropped, and its name is told.
"""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

#: Names of fields that can hold no personal value and no address.
FIELDS = frozenset(
    {"addresses", "dropped", "entries", "error", "event", "level", "log", "pid", "signal", "size", "timestamp", "where",
     "worker", "workers"}
)  # fmt: skip


def configure(level: str, form: str) -> None:
    """Set up logging for this process; `form` is `json` or `console`."""
    number = getattr(logging, level.upper())
    renderer: Any = structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _only_known_fields,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )
    # Other libraries know nothing of this rule: their messages may hold peers and parameters.
    logging.basicConfig(level=logging.CRITICAL, handlers=[logging.NullHandler()], force=True)


def _only_known_fields(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    known = {name: value for name, value in event.items() if name in FIELDS}
    if len(known) < len(event):
        known["dropped"] = sorted(set(event) - FIELDS)
    return known
