"""The result of an analysis as values, and these values as JSON."""

from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from typing import Any

from linewarden.diagnostics.analysis.arrows import Ladder
from linewarden.diagnostics.analysis.calls import Call
from linewarden.diagnostics.analysis.model import Endpoint, InterfaceCount, Omission
from linewarden.diagnostics.analysis.registrations import OptionsProbe, Registration, Subscription
from linewarden.diagnostics.analysis.stream_report import StreamReport
from linewarden.diagnostics.analysis.trouble import Hint
from linewarden.diagnostics.analysis.voice_reports import VoiceReport


@dataclass(frozen=True, slots=True)
class CaptureSummary:
    """A summary of the capture file. `cut` counts frames of which less was kept than was on the wire.

    `fault` is the reason why the capture could not be read to its end; empty if it was.
    """

    frames: int
    cut: int
    first_ns: int | None
    last_ns: int | None
    interfaces: tuple[InterfaceCount, ...]
    fault: str = ""

    @property
    def has_holes(self) -> bool:
        """Tell whether packets are missing because the capture lost them or was paused."""
        return self.dropped > 0 or any(interface.pauses for interface in self.interfaces)

    @property
    def dropped(self) -> int:
        """Packets that the capture itself lost, on all interfaces that state a count."""
        return sum(interface.dropped or 0 for interface in self.interfaces)


@dataclass(frozen=True, slots=True)
class Report:
    """An analysis. `warnings` come first wherever it is shown, because they limit how far the rest can be trusted.

    `unread` are frames, packets and datagrams that are not read, by type.
    """

    warnings: tuple[str, ...]
    capture: CaptureSummary
    findings: tuple[Hint, ...]
    calls: tuple[Call, ...]
    registrations: tuple[Registration, ...]
    subscriptions: tuple[Subscription, ...]
    probes: tuple[OptionsProbe, ...]
    streams: tuple[StreamReport, ...]
    voice_reports: tuple[VoiceReport, ...]
    ladders: tuple[Ladder, ...]
    sip_requests: tuple[tuple[str, int], ...]
    sip_responses: tuple[tuple[int, int], ...]
    sip_resent: int
    unread: tuple[tuple[str, int], ...]
    omitted: tuple[tuple[Omission, int], ...]

    def ladder(self, call_id: str) -> Ladder | None:
        """The ladder of a Call-ID."""
        return next((ladder for ladder in self.ladders if ladder.call_id == call_id), None)

    def hints_of(self, call_id: str) -> tuple[Hint, ...]:
        """The hints about a call."""
        return tuple(hint for hint in self.findings if hint.call_id == call_id)

    def streams_of(self, call_id: str) -> tuple[StreamReport, ...]:
        """The media streams that a call announced."""
        return tuple(stream for stream in self.streams if stream.call_id == call_id)


def as_json(value: object) -> Any:
    """A report, or a part of one, in dicts, lists, texts and numbers, its fields in the order of the class."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Endpoint):
        return {"address": value.address, "port": value.port}
    if is_dataclass(value):
        return {field.name: as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple):
        return [as_json(item) for item in value]
    return value
