"""The changes that record a probe: its start and its result."""

import hashlib

from linewarden.diagnostics import kinds
from linewarden.diagnostics.change import ActorContext, Change
from linewarden.diagnostics.codec import canonical
from linewarden.diagnostics.errors import AttestationMissing, CaseMissing, SelectorNotPermitted
from linewarden.diagnostics.places import check_worker, may_probe
from linewarden.diagnostics.ports import Places
from linewarden.diagnostics.private_values import PrivateValues
from linewarden.diagnostics.probes.model import ProbeOrder, ProbeResult
from linewarden.diagnostics.probes.ports import ProbeRunner
from linewarden.diagnostics.repository import Repository
from linewarden.diagnostics.usage import Counted


class ProbeService:
    """The use cases of probes. They have the preconditions of a capture except approval, because no call is heard."""

    def __init__(
        self, repository: Repository, private_values: PrivateValues, places: Places, workers: ProbeRunner
    ) -> None:
        self._repository = repository
        self._private_values = private_values
        self._places = places
        self._workers = workers

    def begin(self, ctx: ActorContext, id: str, order: ProbeOrder) -> Change[None]:
        """Record the start of a probe, before it runs.

        Raises:
            CaseMissing: purpose or case is not stated.
            NotEnabled: diagnostics are not enabled.
            AttestationMissing: no attestation in force is for this purpose.
            SelectorNotPermitted: the target or the worker is not the tenant's.
            DiagnosisUnavailable: that worker is not connected.
        """
        if not ctx.case or not ctx.purpose:
            raise CaseMissing
        found, terms = self._repository.enabled_terms(ctx.log)
        in_force = self._repository.attestations_in_force(ctx.log, ctx.now_us)
        covering = [one for one in in_force if one.attestation.statement.purpose == ctx.purpose]
        if not covering:
            raise AttestationMissing
        place = self._places.of(ctx.tenant)
        check_worker(place, order.worker)
        if not may_probe(place, order.target):
            raise SelectorNotPermitted("target")
        self._workers.check_ready(order.worker)
        private = self._private_values.seal(ctx.tenant_key_holder, {"target": order.target, "case": ctx.case})
        fields = {"probe": id, "probe_kind": order.kind, "purpose": ctx.purpose, "worker": order.worker, "done": False}
        relies = (found, *covering[0].records)
        counted = Counted(ctx.now_us, (f"probe_{order.kind}",)) if terms.shares_usage else None
        return Change(
            ctx.log, (ctx.entry(kinds.PROBE_RUN, fields, [private]),), (), None, relies=relies, counted=counted
        )

    def end(self, ctx: ActorContext, id: str, order: ProbeOrder, findings: ProbeResult) -> Change[None]:
        """Record the result. Findings and their hash are sealed, because findings may name addresses."""
        found = canonical(findings.values)
        private = self._private_values.seal(
            ctx.tenant_key_holder, {"findings": found.decode(), "sha256": hashlib.sha256(found).hexdigest()}
        )
        fields = {"probe": id, "probe_kind": order.kind, "done": True, "succeeded": findings.succeeded}
        return Change(ctx.log, (ctx.entry(kinds.PROBE_RUN, fields, [private]),), (), None)
