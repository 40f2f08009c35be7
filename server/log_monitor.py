"""Monitoring of the logs while the server runs: faults go into the text log, and health reports them.

Answers of a rolled-back log are refused where they are recorded. The monitor only finds the fault early.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from linewarden.audit.blocking import READ_TIMEOUT_S
from linewarden.audit.continuity import LOOK_S, Continuity
from linewarden.audit.errors import LogDamaged, LogUnavailable, RolledBack
from linewarden.audit.model import SYSTEM_LOG
from linewarden.server.log import RECOVERY_ADVICE

#: The same fault of a log is reported again after this time, seconds.
SAY_AGAIN_S = 60.0


class LogMonitor:
    """Checks all logs every LOOK_S seconds.

    `on_health` is called with False when no log can be served. That is so without the system log, because it has the
    API keys.
    """

    def __init__(self, continuity: Continuity, on_health: Callable[[bool], Awaitable[None]]) -> None:
        self._continuity = continuity
        self._on_health = on_health
        self._said: dict[tuple[int, str], float] = {}
        self._serving: bool | None = None

    async def run(self) -> None:
        """Check again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """Check all logs once."""
        try:
            wrong = await asyncio.wait_for(asyncio.to_thread(self._continuity.look), READ_TIMEOUT_S * 10)
        except (LogUnavailable, TimeoutError) as fault:
            self._say(-1, fault)
            return
        if self._continuity.marks_fault is not None:
            self._say(-1, self._continuity.marks_fault)
        for log_id, error in wrong.items():
            self._say(log_id, error)
        for key in [key for key in self._said if key[0] >= 0 and key[0] not in wrong]:
            del self._said[key]
        serving = not isinstance(wrong.get(SYSTEM_LOG), RolledBack)
        if serving != self._serving:
            self._serving = serving
            await self._on_health(serving)

    def _say(self, log_id: int, error: Exception) -> None:
        now, kind = time.monotonic(), type(error).__name__
        if now < self._said.get((log_id, kind), float("-inf")) + SAY_AGAIN_S:
            return
        self._said[log_id, kind] = now
        say = structlog.get_logger()
        if isinstance(error, OSError):
            say.error("marks_not_written", error=kind)
        elif isinstance(error, RolledBack):
            say.error("log_rolled_back", log=log_id, expected=error.expected, found=error.found, advice=RECOVERY_ADVICE)
        else:
            damaged = {"entries": error.entries()} if isinstance(error, LogDamaged) else {}
            say.error("log_not_verified", log=log_id, error=kind, **damaged)
