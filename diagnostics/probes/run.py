"""Running a probe: the step that records it, and the call that does it."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from types import MappingProxyType

from linewarden.diagnostics import kinds
from linewarden.diagnostics.books import Books
from linewarden.diagnostics.errors import AttestationMissing, CaseMissing, SelectorNotPermitted
from linewarden.diagnostics.places import may_probe
from linewarden.diagnostics.ports import Places
from linewarden.diagnostics.probes.clock import probe_clock
from linewarden.diagnostics.probes.dns import probe_dns
from linewarden.diagnostics.probes.model import Findings, ProbeKind, ProbeOrder
from linewarden.diagnostics.probes.reach import probe_reachability
from linewarden.diagnostics.probes.sip import probe_options
from linewarden.diagnostics.probes.tls import probe_tls
from linewarden.diagnostics.records import canonical
from linewarden.diagnostics.steps import Occasion, Safe, Step
from linewarden.diagnostics.usage import Counted

PROBES: Mapping[ProbeKind, Callable[[ProbeOrder], Findings]] = MappingProxyType(
    {
        ProbeKind.SIP_OPTIONS: probe_options,
        ProbeKind.DNS_SIP: probe_dns,
        ProbeKind.TLS_CERTIFICATE: probe_tls,
        ProbeKind.REACHABILITY: probe_reachability,
        ProbeKind.CLOCK_OFFSET: probe_clock,
    }
)


class ProbeDesk:
    """Probes of all tenants. They pass the gates of a capture, apart from the second person: nobody is overheard."""

    def __init__(self, books: Books, safe: Safe, places: Places) -> None:
        self._books = books
        self._safe = safe
        self._places = places

    def begin(self, on: Occasion, id: str, order: ProbeOrder) -> Step[None]:
        """Record that a probe is run, before it is.

        Raises:
            CaseMissing: purpose or case is not stated.
            NotEnabled: diagnostics are not enabled.
            AttestationMissing: no attestation in force is for this purpose.
            SelectorNotPermitted: the target is not the tenant's.
        """
        if not on.case or not on.purpose or on.keeper is None:
            raise CaseMissing
        terms = self._books.enabled_terms(on.log)
        in_force = self._books.attestations_in_force(on.log, on.now_us)
        if all(one.statement.purpose != on.purpose for one in in_force):
            raise AttestationMissing
        if not may_probe(self._places.of(on.tenant), order.target):
            raise SelectorNotPermitted("target")
        private = self._safe.seal(on.keeper, {"target": order.target, "case": on.case})
        fields = {"probe": id, "probe_kind": order.kind, "purpose": on.purpose, "done": False}
        counted = Counted(on.now_us, (f"probe_{order.kind}",)) if terms.shares_usage else None
        return Step(on.log, (on.entry(kinds.PROBE_RUN, fields, [private]),), (), None, counted=counted)

    def end(self, on: Occasion, id: str, order: ProbeOrder, findings: Findings) -> Step[None]:
        """Record what came of it: sealed, because findings may name addresses; with their hash inside the seal."""
        if on.keeper is None:
            raise CaseMissing
        found = canonical(findings.values)
        private = self._safe.seal(on.keeper, {"findings": found.decode(), "sha256": hashlib.sha256(found).hexdigest()})
        fields = {"probe": id, "probe_kind": order.kind, "done": True, "succeeded": findings.succeeded}
        return Step(on.log, (on.entry(kinds.PROBE_RUN, fields, [private]),), (), None)


async def run_probe(order: ProbeOrder) -> Findings:
    """Run a probe in a thread; it ends within its timeout, give or take what the system's resolver takes."""
    return await asyncio.to_thread(PROBES[order.kind], order)
