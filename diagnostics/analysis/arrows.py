"""The messages of one Call-ID as arrows between those who sent and received them."""

from dataclasses import dataclass

from linewarden.diagnostics.analysis.model import Endpoint, SipTransport
from linewarden.diagnostics.analysis.sdp import MediaSummary


@dataclass(frozen=True, slots=True)
class Arrow:
    """One message in a ladder. `description`: it carried SDP. `sessions` summarizes that SDP."""

    time_ns: int
    source: Endpoint
    destination: Endpoint
    label: str
    transport: SipTransport
    resent: bool
    description: bool
    is_request: bool
    sessions: tuple[MediaSummary, ...] = ()


@dataclass(frozen=True, slots=True)
class Ladder:
    """The messages of one Call-ID in the order of time.

    `left_out` more are not shown; `dropped` packets the capture itself lost, of this call or of others.
    """

    call_id: str
    arrows: tuple[Arrow, ...]
    left_out: int = 0
    dropped: int = 0

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings to be shown with the ladder."""
        warnings = []
        if self.dropped:
            warnings.append(f"The capture lost {self.dropped} packets: messages may be missing.")
        if self.left_out:
            warnings.append(f"{self.left_out} more messages are not shown.")
        return tuple(warnings)
