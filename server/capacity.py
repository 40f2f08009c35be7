"""Capacity of one process: its queues, its streams, and the pace of refusals."""

from dataclasses import dataclass, field

import structlog

from linewarden.server.fair_queue import FairQueue
from linewarden.server.keyless_streams import KeylessStreams
from linewarden.server.pacing import Pacer
from linewarden.server.settings import Settings
from linewarden.server.streams import Streams

#: The places of administration, which mostly waits for threads and processes, and the share of one tenant.
ADMINISTRATION_PLACES = 128
ADMINISTRATION_SHARE = 16

#: Requests that may wait where the settings state no limit.
_NO_LIMIT = 1_000_000

#: Items of a batch that weigh as much as a single check.
ITEMS_OF_A_PLACE = 64


@dataclass(frozen=True)
class Capacity:
    """The queues of checks and administration, the streams with and without a key, and the pace of refusals."""

    checks: FairQueue
    administration: FairQueue
    streams: Streams
    health: KeylessStreams = field(default_factory=KeylessStreams)
    reflection: KeylessStreams = field(default_factory=KeylessStreams)
    refusals: Pacer = field(default_factory=Pacer)
    keyless: Pacer = field(default_factory=Pacer)

    def of(self, service: str) -> FairQueue:
        """Return the queue of a service."""
        return self.checks if service == "AccessService" else self.administration

    @property
    def inside(self) -> int:
        """Requests that are worked on, or wait."""
        return self.checks.inside + self.administration.inside

    def report(self) -> None:
        """Write the refusals since the last report into the text log, as counts."""
        counts = {}
        for name in ("checks", "administration", "streams", "health", "reflection"):
            part = getattr(self, name)
            if part.refused:
                counts[name], part.refused = part.refused, 0
        if counts:
            structlog.get_logger().warning("overloaded", **counts)


def capacity_of(settings: Settings) -> Capacity:
    """Return the capacity that the settings state."""
    room = settings.max_concurrent_requests or _NO_LIMIT
    patience_s = settings.append_timeout_ms / 1_000
    return Capacity(
        FairQueue(settings.max_checks_in_progress, settings.max_checks_of_tenant, room, patience_s),
        # It may wait behind searches, which have separate time limits.
        FairQueue(ADMINISTRATION_PLACES, ADMINISTRATION_SHARE, room, 5 * patience_s),
        Streams(settings.max_streams, settings.max_stream_seconds, settings.max_stream_idle_seconds),
    )
