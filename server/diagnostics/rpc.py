"""The base of the diagnostics servicers: their use cases, and the records that a request names."""

import asyncio
from dataclasses import dataclass
from typing import Any, TypeVar

from linewarden.authz.model import Verb
from linewarden.authz.service import Access
from linewarden.diagnostics.captures.ports import WorkerLauncher
from linewarden.diagnostics.captures.runs import CaptureService
from linewarden.diagnostics.captures.supervisor import Supervisor
from linewarden.diagnostics.consent.attestations import AttestationService
from linewarden.diagnostics.consent.notices import NoticeService
from linewarden.diagnostics.consent.terms import TermsService
from linewarden.diagnostics.kinds import ATTESTATION, CAPTURE_RECORD, NOTICE
from linewarden.diagnostics.ports import Rights
from linewarden.diagnostics.private_values import PrivateValues
from linewarden.diagnostics.repository import Repository
from linewarden.diagnostics.usage import Usage
from linewarden.server.admission import AdmittedRequest
from linewarden.server.diagnostics.capture_import import CaptureImport
from linewarden.server.diagnostics.mail_jobs import MailJobs
from linewarden.server.diagnostics.probe_jobs import ProbeJobs
from linewarden.server.diagnostics.recorded_changes import Recorder, diagnostics_access
from linewarden.server.pages import asked_page, next_token

T = TypeVar("T")

#: The fields by which requests name records, and the kinds of these records.
_FIELDS = {CAPTURE_RECORD: "capture_id", NOTICE: "notice_id", ATTESTATION: "attestation_id"}


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases, jobs and workers that the servicers call."""

    repository: Repository
    private_values: PrivateValues
    terms: TermsService
    notices: NoticeService
    attestations: AttestationService
    captures: CaptureService
    supervisor: Supervisor
    usage: Usage
    mail_jobs: MailJobs
    probe_jobs: ProbeJobs
    rights: Rights
    capture_import: CaptureImport
    workers: WorkerLauncher


class DiagnosticsServicer:
    """The shared part of all diagnostics servicers."""

    def __init__(self, recorder: Recorder, services: Services) -> None:
        self._recorder = recorder
        self._services = services

    async def _page(self, admitted: AdmittedRequest, request: Any, record: type[T], kind: str) -> tuple[list[T], str]:
        """Return the records of the page that a request asks for, the newest first, and the token of the next page.

        The right to view them is checked and recorded first.
        """
        before, size = asked_page(request)
        await self._recorder.read(admitted, own_diagnostics(admitted, Verb.VIEW_METADATA))
        repository = self._services.repository
        found = await asyncio.to_thread(repository.page, admitted.log, record, kind, before, size + 1)
        return [one for _stored, one in found[:size]], next_token(found[:size], more=len(found) > size)


def own_diagnostics(admitted: AdmittedRequest, verb: Verb) -> Access:
    """Return an access to the diagnostics of the tenant that a request is about."""
    return diagnostics_access(admitted.tenant, verb)


def named_in(request: Any) -> dict[str, str]:
    """Return the ids of records that a request names, by the kind of record."""
    return {kind: getattr(request, field, "") for kind, field in _FIELDS.items()}
