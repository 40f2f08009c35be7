"""The steps that record a probe: that it is run, and what came of it."""

import hashlib

from linewarden.diagnostics import kinds
from linewarden.diagnostics.change import Occasion, Safe, Step
from linewarden.diagnostics.codec import canonical
from linewarden.diagnostics.errors import AttestationMissing, CaseMissing, SelectorNotPermitted
from linewarden.diagnostics.places import check_worker, may_probe
from linewarden.diagnostics.ports import Places
from linewarden.diagnostics.probes.model import Findings, ProbeOrder
from linewarden.diagnostics.probes.ports import ProbeRunner
from linewarden.diagnostics.repository import Books
from linewarden.diagnostics.usage import Counted


class ProbeDesk:
    """Probes of all tenants. They pass the gates of a capture, apart from the second person: nobody is overheard."""

    def __init__(self, books: Books, safe: Safe, places: Places, workers: ProbeRunner) -> None:
        self._books = books
        self._safe = safe
        self._places = places
        self._workers = workers

    def begin(self, on: Occasion, id: str, order: ProbeOrder) -> Step[None]:
        """Record that a probe is run, before it is.

        Raises:
            CaseMissing: purpose or case is not stated.
            NotEnabled: diagnostics are not enabled.
            AttestationMissing: no attestation in force is for this purpose.
            SelectorNotPermitted: the target, or the worker that is to ask, is not the tenant's.
            DiagnosisUnavailable: that worker is not there.
        """
        if not on.case or not on.purpose:
            raise CaseMissing
        found, terms = self._books.enabled_terms(on.log)
        in_force = self._books.attestations_in_force(on.log, on.now_us)
        grounds = [one for one in in_force if one.attestation.statement.purpose == on.purpose]
        if not grounds:
            raise AttestationMissing
        place = self._places.of(on.tenant)
        check_worker(place, order.worker)
        if not may_probe(place, order.target):
            raise SelectorNotPermitted("target")
        self._workers.check_ready(order.worker)
        private = self._safe.seal(on.tenant_itself, {"target": order.target, "case": on.case})
        fields = {"probe": id, "probe_kind": order.kind, "purpose": on.purpose, "worker": order.worker, "done": False}
        relies = (found, *grounds[0].records)
        counted = Counted(on.now_us, (f"probe_{order.kind}",)) if terms.shares_usage else None
        return Step(on.log, (on.entry(kinds.PROBE_RUN, fields, [private]),), (), None, relies=relies, counted=counted)

    def end(self, on: Occasion, id: str, order: ProbeOrder, findings: Findings) -> Step[None]:
        """Record what came of it: sealed, because findings may name addresses; with their hash inside the seal."""
        found = canonical(findings.values)
        private = self._safe.seal(
            on.tenant_itself, {"findings": found.decode(), "sha256": hashlib.sha256(found).hexdigest()}
        )
        fields = {"probe": id, "probe_kind": order.kind, "done": True, "succeeded": findings.succeeded}
        return Step(on.log, (on.entry(kinds.PROBE_RUN, fields, [private]),), (), None)
