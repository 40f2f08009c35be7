"""What all parts of DiagnosticsService share: the desks, and the way a request goes in.

Each answer follows one pattern: the policy decides who may, a desk of `diagnostics` makes the step, and both are
appended together. What a desk refuses is recorded as well.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.descriptor import Descriptor

from linewarden.authz.model import Verb
from linewarden.authz.service import Access
from linewarden.diagnostics.captures.ports import WorkerLauncher
from linewarden.diagnostics.captures.runs import CaptureRuns
from linewarden.diagnostics.captures.supervisor import Supervisor
from linewarden.diagnostics.change import Safe
from linewarden.diagnostics.consent.attestations import AttestationDesk
from linewarden.diagnostics.consent.notices import NoticeDesk
from linewarden.diagnostics.consent.terms import TermsDesk
from linewarden.diagnostics.ports import Rights
from linewarden.diagnostics.repository import Books
from linewarden.diagnostics.usage import Usage
from linewarden.server.access import ServicerContext
from linewarden.server.diagnostics.capture_import import Custody
from linewarden.server.diagnostics.mail_jobs import Mailing
from linewarden.server.diagnostics.probe_jobs import Probing
from linewarden.server.diagnostics.recorded_changes import Steps, of_tenant
from linewarden.server.door import Door, Entrance
from linewarden.server.errors import abort
from linewarden.server.validation import Validator, compile_validator
from linewarden.v1 import diagnostics_pb2 as pb
from linewarden.v1.diagnostics_pb2_grpc import DiagnosticsServiceServicer

T = TypeVar("T")

SERVICE = "DiagnosticsService"

#: Records on a page, where the request does not say.
DEFAULT_PAGE_SIZE = 20


@dataclass(frozen=True, slots=True)
class Desks:
    """Everything the service hands requests to."""

    books: Books
    safe: Safe
    terms: TermsDesk
    notices: NoticeDesk
    attestations: AttestationDesk
    captures: CaptureRuns
    supervisor: Supervisor
    usage: Usage
    mailing: Mailing
    probing: Probing
    rights: Rights
    custody: Custody
    workers: WorkerLauncher


class DeskService(DiagnosticsServiceServicer):
    """The part without methods of the contract."""

    def __init__(self, door: Door, steps: Steps, desks: Desks, max_stream_s: float, now_us: Callable[[], int]) -> None:
        self._door = door
        self._steps = steps
        self._desks = desks
        self._max_stream_s = max_stream_s
        self._now_us = now_us
        self._validators = {
            name: compile_validator(message)
            for name, message in pb.DESCRIPTOR.message_types_by_name.items()
            if name.endswith("Request")
        }

    async def _serve(
        self, context: ServicerContext, request: Any, answer: Callable[[Entrance], Awaitable[T]], name: str = ""
    ) -> T:
        """Let a request in by its own name, or that of its method, and answer it, or end the call as fits."""
        kind: Descriptor = request.DESCRIPTOR
        method = (SERVICE, f"{SERVICE}/{name or kind.name.removesuffix('Request')}")
        try:
            return await self._door.serve(context, request, method, self._validator(kind), answer)
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller gets a status that says so
            await abort(context, error)

    def _validator(self, kind: Descriptor) -> Validator:
        return self._validators[kind.name]

    async def _nudge(self, log: int, captures: tuple[str, ...]) -> None:
        """Let workers of this process hear at once what is recorded; those of others look every second."""
        for id in captures:
            _stored, capture = await asyncio.to_thread(self._desks.books.capture, log, id)
            if capture.stop_reason is not None:
                self._desks.supervisor.nudge(log, id, capture.stop_reason)


def of_own(entrance: Entrance, verb: Verb) -> Access:
    """An access to the diagnostics of the tenant that a request came in for."""
    return of_tenant(entrance.tenant, verb)
