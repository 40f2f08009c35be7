"""What a process needs for diagnostics, put together from settings and storage: the service and what runs behind it."""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from linewarden.audit.checkpoints import Checkpoints
from linewarden.audit.directory import Directory
from linewarden.audit.entry import encode
from linewarden.audit.errors import LogUnavailable
from linewarden.audit.model import SYSTEM_LOG, Unit
from linewarden.audit.note import Signer
from linewarden.audit.writer import Writer
from linewarden.authz.policies import Policies
from linewarden.authz.service import AccessControl
from linewarden.diagnostics.agent.local_workers import LocalWorkers
from linewarden.diagnostics.agent.orders import order_signer
from linewarden.diagnostics.captures.requests import Maxima
from linewarden.diagnostics.captures.runs import CaptureRuns
from linewarden.diagnostics.captures.supervisor import Supervisor
from linewarden.diagnostics.captures.sweeper import Sweeper
from linewarden.diagnostics.change import Safe
from linewarden.diagnostics.consent.attestations import AttestationDesk
from linewarden.diagnostics.consent.mailings import SendingDesk
from linewarden.diagnostics.consent.notices import NoticeDesk
from linewarden.diagnostics.consent.smtp import Post, SmtpMailer
from linewarden.diagnostics.consent.terms import TermsDesk
from linewarden.diagnostics.packets.model import CaptureLimits
from linewarden.diagnostics.probes.service import ProbeDesk
from linewarden.diagnostics.recorder import Recorder
from linewarden.diagnostics.repository import Books
from linewarden.diagnostics.store.records import RecordStore
from linewarden.diagnostics.store.usage import UsageStore
from linewarden.diagnostics.usage import Usage
from linewarden.server.diagnostics.capture_import import Custody
from linewarden.server.diagnostics.evidence import DiagnosticsService
from linewarden.server.diagnostics.mail_jobs import Mailing
from linewarden.server.diagnostics.messages import LEASE_S
from linewarden.server.diagnostics.places_file import read_places
from linewarden.server.diagnostics.probe_jobs import Probing
from linewarden.server.diagnostics.recorded_changes import PolicyRights, Steps
from linewarden.server.diagnostics.rpc import Desks
from linewarden.server.door import Door
from linewarden.server.settings import Settings
from linewarden.server.storage import Storage, read_seed
from linewarden.server.workers.remote_workers import Hub
from linewarden.server.workers.router import Fleet

#: How often a process looks for captures that nobody watches and days that are over, seconds.
SWEEP_INTERVAL_S = 5.0

_SNAPLEN = 262_144


@dataclass(frozen=True, slots=True)
class Diagnosing:
    """The service and what runs behind it."""

    service: DiagnosticsService
    supervisor: Supervisor
    mailing: Mailing
    probing: Probing
    sweeper: Sweeper
    usage: Usage
    hub: Hub
    now_us: Callable[[], int]

    async def close(self) -> None:
        """Let mails, probes and captures of this process come to an end that is recorded."""
        await self.mailing.close()
        await self.probing.close()
        await self.supervisor.close()

    async def sweep(self) -> None:
        """Go round until cancelled."""
        while True:
            await asyncio.sleep(SWEEP_INTERVAL_S)
            try:
                await self.sweeper.sweep()
                await asyncio.to_thread(self.usage.close_days, self.now_us())
            except LogUnavailable:
                structlog.get_logger().warning("diagnostics_not_swept")


def open_diagnostics(
    settings: Settings,
    storage: Storage,
    directory: Directory,
    policies: Policies,
    control: AccessControl,
    checkpoints: Checkpoints,
    writer: Writer,
    door: Door,
    clock: Callable[[], int],
) -> Diagnosing:
    """Put it together.

    Raises:
        ValueError, OSError: the file of places cannot be used.
    """
    books, safe = Books(RecordStore(storage.log)), Safe(directory)
    here, places = LocalWorkers(settings.evidence_dir), read_places(settings.places_file)
    hub = _hub(settings, here, writer, clock)
    workers = Fleet(here, hub)
    usage = Usage(UsageStore(storage.log), settings.usage_threshold)
    notices, steps = NoticeDesk(books, safe), Steps(control, directory, books.knows, clock)
    mailing = Mailing(steps, SendingDesk(books, notices, _new_id), _post(settings), clock)
    probing = Probing(steps, ProbeDesk(books, safe, places, workers), workers)
    rights, recorder = PolicyRights(policies, clock), Recorder(writer, clock)
    supervisor = Supervisor(
        books,
        safe,
        rights,
        workers,
        recorder,
        holder=secrets.token_hex(8),
        now_us=clock,
        monotonic=time.monotonic,
    )

    def signer(log: int) -> Signer:
        return checkpoints.signer(storage.log.head(log))

    desks = Desks(
        books,
        safe,
        TermsDesk(books),
        notices,
        AttestationDesk(books, safe, notices, signer, _new_id),
        CaptureRuns(books, safe, places, workers, _maxima(settings), _new_id),
        supervisor,
        usage,
        mailing,
        probing,
        rights,
        Custody(supervisor, settings.capture_max_bytes),
        workers,
    )
    service = DiagnosticsService(door, steps, desks, settings.max_stream_seconds, clock)
    sweeper = Sweeper(books, workers, recorder, supervisor.watches, clock, time.monotonic)
    return Diagnosing(service, supervisor, mailing, probing, sweeper, usage, hub, clock)


def _new_id() -> str:
    return secrets.token_hex(16)


def _hub(settings: Settings, here: LocalWorkers, writer: Writer, clock: Callable[[], int]) -> Hub:
    async def record(kind: str, worker: str) -> None:
        await writer.append(Unit(SYSTEM_LOG, (encode(kind, clock(), {"worker": worker}),)))

    signer = order_signer(settings.service_name, read_seed(settings.signing_key_file))
    return Hub(signer, here.path, record, lambda: clock() * 1_000, time.monotonic)


def _maxima(settings: Settings) -> Maxima:
    limits = CaptureLimits(
        seconds=settings.capture_max_seconds,
        bytes=settings.capture_max_bytes,
        packets=settings.capture_max_packets,
        snaplen=_SNAPLEN,
        disk_free_min=settings.capture_min_disk_free,
        loss_budget=settings.capture_max_loss,
        lease_seconds=LEASE_S,
    )
    return Maxima(
        limits,
        running=settings.capture_max_running,
        waiting=settings.capture_max_waiting,
        stored=settings.capture_max_stored,
    )


def _post(settings: Settings) -> Post:
    if not settings.smtp_server:
        return Post(None)
    host, _, port = settings.smtp_server.rpartition(":")
    mailer = SmtpMailer(host.strip("[]"), int(port), settings.smtp_sender, starttls=settings.smtp_starttls)
    return Post(mailer, settings.smtp_domains)
