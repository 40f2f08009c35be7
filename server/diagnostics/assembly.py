"""Assembly of diagnostics in a process, from settings and storage: the servicers and the jobs behind them."""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import structlog

from linewarden.audit.checkpoints import Checkpoints
from linewarden.audit.directory import Directory
from linewarden.audit.entry import encode
from linewarden.audit.errors import LogUnavailable
from linewarden.audit.model import SYSTEM_LOG, Unit
from linewarden.audit.note import Signer
from linewarden.audit.writer import Writer
from linewarden.authz.authority import Authority
from linewarden.authz.policies import Policies
from linewarden.diagnostics.agent.local_workers import LocalWorkers
from linewarden.diagnostics.agent.orders import order_signer
from linewarden.diagnostics.captures.ports import LEASE_S
from linewarden.diagnostics.captures.recorder import ServiceRecorder
from linewarden.diagnostics.captures.requests import Maxima
from linewarden.diagnostics.captures.runs import CaptureService
from linewarden.diagnostics.captures.supervisor import Supervisor
from linewarden.diagnostics.captures.sweeper import Sweeper
from linewarden.diagnostics.consent.attestations import AttestationService
from linewarden.diagnostics.consent.mailings import MailingService
from linewarden.diagnostics.consent.notices import NoticeService
from linewarden.diagnostics.consent.smtp import MailQueue, SmtpMailer
from linewarden.diagnostics.consent.terms import TermsService
from linewarden.diagnostics.packets.model import CaptureLimits
from linewarden.diagnostics.private_values import PrivateValues
from linewarden.diagnostics.probes.service import ProbeService
from linewarden.diagnostics.repository import Repository
from linewarden.diagnostics.store.records import RecordStore
from linewarden.diagnostics.store.usage import UsageStore
from linewarden.diagnostics.usage import Usage
from linewarden.server.admission import Admission
from linewarden.server.diagnostics.attestations import AttestationServicer
from linewarden.server.diagnostics.capture_import import CaptureImport
from linewarden.server.diagnostics.captures import CaptureServicer
from linewarden.server.diagnostics.mail_jobs import MailJobs
from linewarden.server.diagnostics.notices import NoticeServicer
from linewarden.server.diagnostics.places_file import read_places
from linewarden.server.diagnostics.probe_jobs import ProbeJobs
from linewarden.server.diagnostics.probes import ProbeServicer
from linewarden.server.diagnostics.recorded_changes import PolicyRights, Recorder
from linewarden.server.diagnostics.rpc import Services
from linewarden.server.diagnostics.terms import TermsServicer
from linewarden.server.diagnostics.usage import UsageServicer
from linewarden.server.settings import Settings
from linewarden.server.storage import Storage, read_seed
from linewarden.server.workers.remote_workers import RemoteWorkers
from linewarden.server.workers.router import WorkerRouter

#: The interval of sweeps for unwatched captures and past days, seconds.
SWEEP_INTERVAL_S = 5.0

_SNAPLEN = 262_144


@dataclass(frozen=True, slots=True)
class DiagnosticsRuntime:
    """The servicers, by the name of their service, and the jobs behind them."""

    servicers: Mapping[str, object]
    supervisor: Supervisor
    mail_jobs: MailJobs
    probe_jobs: ProbeJobs
    sweeper: Sweeper
    usage: Usage
    remote_workers: RemoteWorkers
    now_us: Callable[[], int]

    async def close(self) -> None:
        """End mails, probes and captures of this process, and record how they ended."""
        await self.mail_jobs.close()
        await self.probe_jobs.close()
        await self.supervisor.close()

    async def sweep(self) -> None:
        """Sweep again and again, until cancelled."""
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
    authority: Authority,
    checkpoints: Checkpoints,
    writer: Writer,
    admission: Admission,
    clock: Callable[[], int],
) -> DiagnosticsRuntime:
    """Build diagnostics for a process.

    Raises:
        ValueError, OSError: the places file cannot be used.
    """
    repository, private_values = Repository(RecordStore(storage.log)), PrivateValues(directory)
    local_workers, places = LocalWorkers(settings.evidence_dir), read_places(settings.places_file)
    remote_workers = _remote_workers(settings, local_workers, writer, clock)
    workers = WorkerRouter(local_workers, remote_workers)
    usage = Usage(UsageStore(storage.log), settings.usage_threshold)
    notices, recorder = (
        NoticeService(repository, private_values),
        Recorder(authority, directory, repository.knows, clock),
    )
    mail_jobs = MailJobs(recorder, MailingService(repository, notices, _new_id), _mail_queue(settings), clock)
    probe_jobs = ProbeJobs(recorder, ProbeService(repository, private_values, places, workers), workers)
    rights, service_recorder = PolicyRights(policies, clock), ServiceRecorder(writer, clock)
    supervisor = Supervisor(
        repository,
        private_values,
        rights,
        workers,
        service_recorder,
        holder=secrets.token_hex(8),
        now_us=clock,
        monotonic=time.monotonic,
    )

    def signer(log_id: int) -> Signer:
        return checkpoints.signer(storage.log.head(log_id))

    services = Services(
        repository,
        private_values,
        TermsService(repository),
        notices,
        AttestationService(repository, private_values, notices, signer, _new_id),
        CaptureService(repository, private_values, places, workers, _maxima(settings), _new_id),
        supervisor,
        usage,
        mail_jobs,
        probe_jobs,
        rights,
        CaptureImport(supervisor, settings.capture_max_bytes),
        workers,
    )
    servicers = {
        "TermsService": TermsServicer(recorder, services),
        "NoticeService": NoticeServicer(recorder, services),
        "AttestationService": AttestationServicer(recorder, services),
        "CaptureService": CaptureServicer(recorder, services, admission, settings.max_stream_seconds, clock),
        "ProbeService": ProbeServicer(recorder, services),
        "UsageService": UsageServicer(recorder, services),
    }
    sweeper = Sweeper(repository, workers, service_recorder, supervisor.watches, clock, time.monotonic)
    return DiagnosticsRuntime(servicers, supervisor, mail_jobs, probe_jobs, sweeper, usage, remote_workers, clock)


def _new_id() -> str:
    return secrets.token_hex(16)


def _remote_workers(
    settings: Settings, local_workers: LocalWorkers, writer: Writer, clock: Callable[[], int]
) -> RemoteWorkers:
    async def record(kind: str, worker: str) -> None:
        await writer.append(Unit(SYSTEM_LOG, (encode(kind, clock(), {"worker": worker}),)))

    signer = order_signer(settings.service_name, read_seed(settings.signing_key_file))
    return RemoteWorkers(signer, local_workers.path, record, lambda: clock() * 1_000, time.monotonic)


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


def _mail_queue(settings: Settings) -> MailQueue:
    if not settings.smtp_server:
        return MailQueue(None)
    host, _, port = settings.smtp_server.rpartition(":")
    mailer = SmtpMailer(host.strip("[]"), int(port), settings.smtp_sender, starttls=settings.smtp_starttls)
    return MailQueue(mailer, settings.smtp_domains)
