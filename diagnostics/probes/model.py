"""The nouns of probes. Standard library only."""

from dataclasses import dataclass
from enum import StrEnum

#: Of what the other side says, so much is kept, characters.
LONGEST_FINDING = 256


class ProbeKind(StrEnum):
    """A diagnosis that asks instead of capturing."""

    SIP_OPTIONS = "sip_options"
    DNS_SIP = "dns_sip"
    TLS_CERTIFICATE = "tls_certificate"
    REACHABILITY = "reachability"
    CLOCK_OFFSET = "clock_offset"


@dataclass(frozen=True, slots=True)
class ProbeOrder:
    """Whom to ask what. `port` 0 is the usual one; `transport` is `udp` or `tcp` and matters to SIP alone.

    `worker` is the capture worker that is to ask, from its host; empty is the server's own host.
    """

    kind: ProbeKind
    target: str
    port: int
    transport: str
    timeout_s: float
    worker: str = ""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What came of it. `succeeded` is whether an answer came that means success."""

    succeeded: bool
    values: dict[str, str]


def clean(text: str) -> str:
    """Return what the other side said, as it may be kept and shown."""
    return "".join(char if char.isprintable() else "?" for char in text[:LONGEST_FINDING])
