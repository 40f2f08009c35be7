"""`python -m linewarden.diagnostics.probes`: one probe, from an order on standard input to findings on standard output.

A process of its own, because what answers may be hostile and a resolver may hang: whoever started it waits no longer
than it wants. It gives up its rights before the other side can say a word.

Exit status: 0 there are findings, 2 the order is none.
"""

import encodings.idna  # noqa: F401 - a look-up imports it, and after `confine` nothing may be readable any more
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
    """Run one probe."""
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
