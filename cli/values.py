"""Types of options: instants, and kinds of entries."""

from datetime import UTC, datetime
from typing import Any

import click

#: Every kind of entry; docs/log-format.md describes each.
KINDS = (
    "attestation.made", "attestation.withdrawn", "audit.exported", "audit.read", "capture.approved", "capture.attested",
    "capture.deleted", "capture.failed", "capture.given_up", "capture.grounds_lost", "capture.opened", "capture.paused",
    "capture.rejected", "capture.requested", "capture.resumed", "capture.sealed", "capture.started", "capture.stopped",
    "clock.corrected", "clock.stepped", "credentials.refused", "decision", "diagnostics.disabled",
    "diagnostics.enabled", "diagnostics.refused", "key.created", "key.revoked", "log.heartbeat", "log.recovered",
    "notice.confirmed", "notice.dispatched", "notice.listed", "notice.published", "notice.read", "notice.received",
    "person.erased", "person.introduced", "policy.changed", "policy.read", "probe.run", "request.refused",
    "server.started", "server.stopped", "tenant.created", "usage.kept", "usage.shared", "worker.attended",
    "worker.enrolled", "worker.left",
)  # fmt: skip


class Instant(click.ParamType):  # type: ignore[type-arg]
    """A time in the form of ISO 8601, in UTC unless it states an offset."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Convert the text of an option."""
        if isinstance(value, datetime):
            return value
        try:
            stated = datetime.fromisoformat(value.strip())
            return stated.replace(tzinfo=UTC) if stated.tzinfo is None else stated.astimezone(UTC)
        except (ValueError, OverflowError):
            return self.fail(
                "a time is written as 2026-01-31, 2026-01-31T08:00:00Z or 2026-01-31T09:00:00+01:00", param, ctx
            )


class Kind(click.ParamType):  # type: ignore[type-arg]
    """The kind of an entry."""

    name = "kind"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse an unknown kind that resembles others. The server refuses any other one with the list of its kinds."""
        if value in KINDS:
            return str(value)
        from difflib import get_close_matches  # noqa: PLC0415 - only where a word is wrong

        if close := get_close_matches(value, KINDS, 3):
            self.fail(f"there is no kind {value}; did you mean {' or '.join(close)}?", param, ctx)
        return str(value)


INSTANT = Instant()
KIND = Kind()
