"""`python -m linewarden.diagnostics.probes`: one probe, from an order on standard input to findings on standard output.

It is a separate process, because the answering device may be hostile and a resolver may hang. The process that started
it can end it at any time. It drops its rights before it sends the first packet.

Exit status: 0 with findings, 2 if the order does not parse.
"""

import encodings.idna  # noqa: F401 - a look-up imports it, and after `confine` it may not be readable
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from types import MappingProxyType

from linewarden.diagnostics.packets.confine import confine
from linewarden.diagnostics.packets.errors import CaptureError
from linewarden.diagnostics.probes.clock import probe_clock
from linewarden.diagnostics.probes.dns import probe_dns
from linewarden.diagnostics.probes.model import ProbeKind, ProbeOrder, ProbeResult
from linewarden.diagnostics.probes.reach import probe_reachability
from linewarden.diagnostics.probes.sip import probe_options
from linewarden.diagnostics.probes.tls import probe_tls

PROBES: Mapping[ProbeKind, Callable[[ProbeOrder], ProbeResult]] = MappingProxyType(
    {
        ProbeKind.SIP_OPTIONS: probe_options,
        ProbeKind.DNS_SIP: probe_dns,
        ProbeKind.TLS_CERTIFICATE: probe_tls,
        ProbeKind.REACHABILITY: probe_reachability,
        ProbeKind.CLOCK_OFFSET: probe_clock,
    }
)

_LONGEST_ORDER = 4_096


def main() -> int:
    """Run one probe; return the exit status."""
    try:
        stated = json.loads(sys.stdin.buffer.read(_LONGEST_ORDER))
        order = ProbeOrder(**stated | {"kind": ProbeKind(stated["kind"])})
        confine()
    except (ValueError, TypeError, KeyError, CaptureError):
        return 2
    findings = PROBES[order.kind](order)
    sys.stdout.write(json.dumps(asdict(findings)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
