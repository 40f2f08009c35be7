"""The model of probes. Standard library only."""

from dataclasses import dataclass
from enum import StrEnum

#: The longest text of the other side that is kept, characters.
LONGEST_FINDING = 256


class ProbeKind(StrEnum):
    """A kind of probe."""

    SIP_OPTIONS = "sip_options"
    DNS_SIP = "dns_sip"
    TLS_CERTIFICATE = "tls_certificate"
    REACHABILITY = "reachability"
    CLOCK_OFFSET = "clock_offset"


@dataclass(frozen=True, slots=True)
class ProbeOrder:
    """An order to probe. `port` 0 is the default port; `transport` is `udp` or `tcp` and is used by SIP only.

    `worker` is the capture worker that probes from its host; empty is the server's own host.
    """

    kind: ProbeKind
    target: str
    port: int
    transport: str
    timeout_s: float
    worker: str = ""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The result of a probe. `succeeded` is true if the answer means success."""

    succeeded: bool
    values: dict[str, str]


def clean(text: str) -> str:
    """Return a text of the other side as it may be kept and shown: printable and cut."""
    return "".join(char if char.isprintable() else "?" for char in text[:LONGEST_FINDING])
