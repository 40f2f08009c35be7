"""The composition root: the only place where settings become a running server."""

import asyncio
import gc
import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import grpc
import structlog
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection

from linewarden.audit.clock import Clock
from linewarden.audit.entry import SERVER_STARTED, SERVER_STOPPED, encode
from linewarden.audit.errors import LogUnavailable, RolledBack, UnsafeDatabase
from linewarden.audit.model import SYSTEM_LOG, Unit
from linewarden.audit.writer import Writer
from linewarden.authz.authority import Authority
from linewarden.authz.policies import Policies
from linewarden.authz.policy_changes import PolicyChanges
from linewarden.authz.service import AccessControl
from linewarden.server.access import AccessServicer
from linewarden.server.admission import Admission
from linewarden.server.audit import AuditServicer
from linewarden.server.authentication import Authentication
from linewarden.server.callers import Callers
from linewarden.server.capacity import Capacity, capacity_of
from linewarden.server.connections import bound_connections, ports_of, report_connections
from linewarden.server.diagnostics.assembly import DiagnosticsRuntime, open_diagnostics
from linewarden.server.large_requests import LargeRequests
from linewarden.server.log_monitor import LogMonitor
from linewarden.server.operator_actions import create_system_log
from linewarden.server.policy import PolicyServicer
from linewarden.server.public_services import Health, Reflection
from linewarden.server.rpc import Rpc, served
from linewarden.server.settings import Settings
from linewarden.server.storage import Storage, open_storage
from linewarden.server.tenants import Tenants
from linewarden.server.transports import Served, Transport, open_transport
from linewarden.server.workers.listener import open_worker_listener
from linewarden.v1 import (
    access_pb2,
    attestation_pb2,
    audit_pb2,
    capture_pb2,
    notice_pb2,
    policy_pb2,
    probe_pb2,
    terms_pb2,
    usage_pb2,
)

#: Thresholds of the garbage collector: new objects before a young collection, and collections before an older one.
COLLECTOR_THRESHOLDS = (50_000, 50, 50)

#: Threads for blocking calls. They wait most of their time.
THREADS = 32

#: The interval at which refusals for lack of capacity are logged as counts, seconds.
REPORT_INTERVAL_S = 10.0

#: Failed authentications are entered into the system log as counts, once per this number of reports.
REPORTS_OF_AN_ENTRY = 6

#: Before a server serves it loads policies for at most this time, seconds, the largest first. It loads the others at
#: their first request.
PRELOAD_S = 120.0

#: How long a stopping server rejects further requests before it stops, seconds.
CLOSING_S = 1.0

#: The services of the contract for callers. Capture workers use a separate one.
SERVICES: tuple[ServiceDescriptor, ...] = tuple(
    service
    for module in (
        access_pb2,
        attestation_pb2,
        audit_pb2,
        capture_pb2,
        notice_pb2,
        policy_pb2,
        probe_pb2,
        terms_pb2,
        usage_pb2,
    )
    for service in module.DESCRIPTOR.services_by_name.values()
)
_NAMES = tuple(service.full_name for service in SERVICES)


def now_us() -> int:
    """Return the wall clock, microseconds since 1970 UTC."""
    return time.time_ns() // 1_000


@dataclass
class Running:
    """A running server. `worker_address` is host and port for capture workers."""

    transport: Transport
    worker_address: str
    _writer: Writer
    _storage: Storage
    _health: Health
    _chores: "asyncio.Task[None]"
    _callers: Callers
    _diagnostics: DiagnosticsRuntime
    _sweeping: "asyncio.Task[None]"
    _monitoring: "asyncio.Task[None]"
    _clock: Clock
    _admission: Admission
    _worker_server: grpc.aio.Server | None

    @property
    def addresses(self) -> tuple[str, ...]:
        """Host and port of each listener."""
        return self.transport.addresses

    def tenants(self) -> list[str]:
        """Return the names of all tenants, the oldest first.

        Raises:
            LogUnavailable: the database failed.
        """
        return [head.tenant for head in self._storage.log.heads() if head.tenant]

    async def drain(self, grace_s: float) -> None:
        """Reject new requests, answer admitted ones, commit waiting entries, close. No entry is lost."""
        await self._health.enter_graceful_shutdown()
        self._chores.cancel()
        self._sweeping.cancel()
        self._monitoring.cancel()
        await self._admission.close(min(grace_s, CLOSING_S), grace_s)
        await self.transport.close()
        await self._diagnostics.close()
        if self._worker_server is not None:
            await self._worker_server.stop(None)
        try:
            await self._callers.record_refusals(self._writer)
            await self._writer.append(Unit(SYSTEM_LOG, (encode(SERVER_STOPPED, self._clock(), {}),)))
        except LogUnavailable:
            structlog.get_logger().warning("stop_not_recorded")
        await self._writer.close()
        self._storage.close()


async def start(settings: Settings, *, clock: Callable[[], int] = now_us) -> Running:
    """Open the database and serve.

    Raises:
        UnsafeDatabase: the database does not promise what the log needs.
        LogUnavailable: it failed.
        ValueError, OSError: keys, certificates or addresses cannot be used.
    """
    # More than Python's default, because waiting for a process or a disk must not delay the supervisor of captures.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "linewarden"))
    storage = await asyncio.to_thread(open_storage, settings)
    await asyncio.to_thread(create_system_log, storage.log, clock())
    capacity = capacity_of(settings)
    health = Health(capacity.health, capacity.refusals)
    monitor = LogMonitor(storage.continuity, lambda serving: _set_health(health, serving=serving))
    # Before the first record is made, because it continues from the latest time of all logs.
    await monitor.look()
    clock = clock_of(storage, clock)
    writer = Writer(
        storage.log,
        batch_limit=settings.batch_limit,
        queue_limit=settings.queue_limit,
        timeout_s=settings.append_timeout_ms / 1_000,
        on_fault=_log_fault,
    )
    callers = Callers(storage.keys.load, clock)
    with suppress(RolledBack):  # it is reported, and every answer is refused, until the operator acts
        await writer.append(Unit(SYSTEM_LOG, (encode(SERVER_STARTED, clock(), {}),)))
        await callers.refresh()
    connections = bound_connections(settings.max_connections)
    policies = Policies(storage.policies, _log_excess)
    rpcs, admission, diagnostics = _services(settings, storage, policies, writer, callers, capacity, clock)
    rpcs += health.rpcs
    if settings.reflection:
        names = (*_NAMES, "grpc.health.v1.Health", reflection.SERVICE_NAME)
        rpcs += Reflection(names, capacity.reflection, capacity.refusals).rpcs
    calm_collector()
    await _preload(policies)
    # Not earlier, because from then on the system accepts connections that other processes would serve sooner.
    front = Served(rpcs, Authentication(callers, capacity), LargeRequests(settings.max_message_bytes))
    transport = await open_transport(settings, front, connections)
    worker_server, worker_address = None, ""
    if settings.capture_listen:
        worker_server, worker_address = await open_worker_listener(settings, diagnostics.remote_workers)
    calm_collector()
    await monitor.look()
    monitoring = asyncio.create_task(monitor.run())
    chores = asyncio.create_task(_chores(callers, writer, capacity, connections, ports_of(transport.addresses)))
    sweeping = asyncio.create_task(diagnostics.sweep())
    return Running(
        transport,
        worker_address,
        writer,
        storage,
        health,
        chores,
        callers,
        diagnostics,
        sweeping,
        monitoring,
        clock,
        admission,
        worker_server,
    )


async def _set_health(health: Health, *, serving: bool) -> None:
    status = health_pb2.HealthCheckResponse
    for name in ("", *_NAMES):
        await health.set(name, status.SERVING if serving else status.NOT_SERVING)


def clock_of(storage: Storage, wall_us: Callable[[], int]) -> Clock:
    """Return the clock of the logs in a database."""
    return Clock(wall_us, lambda: time.monotonic_ns() // 1_000, lambda: storage.log.marks.latest_us)


def _services(
    settings: Settings,
    storage: Storage,
    policies: Policies,
    writer: Writer,
    callers: Callers,
    capacity: Capacity,
    clock: Callable[[], int],
) -> tuple[list[Rpc], Admission, DiagnosticsRuntime]:
    directory = storage.directory(writer)
    control = AccessControl(policies, directory)
    authority = Authority(control, directory)

    def forget(log_id: int) -> None:
        policies.forget(log_id)
        directory.forget(log_id)

    storage.log.marks.on_recovered = forget
    indexer = storage.indexer(directory)
    checkpoints = storage.checkpoints()
    admission = Admission(callers, Tenants(storage.log), policies, writer, clock, capacity)
    diagnostics = open_diagnostics(
        settings, storage, directory, policies, authority, checkpoints, writer, admission, clock
    )
    servicers = {
        "AccessService": AccessServicer(control, settings.decision_ttl_s * 1_000_000, settings.number_region),
        "AuditService": AuditServicer(
            authority, storage.reading(indexer, directory), checkpoints, storage.log, storage.verified
        ),
        "PolicyService": PolicyServicer(authority, PolicyChanges(authority, policies, directory), policies),
        **diagnostics.servicers,
    }
    rpcs = [
        rpc
        for service in SERVICES
        for rpc in served(service, servicers[service.name], admission, capacity.streams, settings.max_stream_messages)
    ]
    return rpcs, admission, diagnostics


async def _preload(policies: Policies) -> None:
    """Load policies before the first request is served."""
    left = await policies.preload(PRELOAD_S)
    if left:
        structlog.get_logger().warning("policies_not_preloaded", tenants=left)


def _log_excess(log_id: int) -> None:
    structlog.get_logger().warning("policy_over_limits", log=log_id)


async def _chores(
    callers: Callers, writer: Writer, capacity: Capacity, connections: int, ports: frozenset[int]
) -> None:
    for turn in itertools.count(1):
        await asyncio.sleep(REPORT_INTERVAL_S)
        capacity.report()
        await asyncio.to_thread(report_connections, ports, connections)
        if turn % REPORTS_OF_AN_ENTRY == 0:
            try:
                await callers.record_refusals(writer)
            except LogUnavailable:
                structlog.get_logger().warning("refusals_not_recorded")


def _log_fault(error: BaseException) -> None:
    cause = error.__cause__ or error
    if isinstance(cause, UnsafeDatabase):
        structlog.get_logger().error("database_unsafe", promise=str(cause))
    else:
        structlog.get_logger().error("log_unavailable", error=type(cause).__name__)


def calm_collector() -> None:
    """Let the cycle collector check the objects of requests, and not long-lived objects again and again.

    With its defaults it took a tenth of the time of a Check, and half a second at once with a million rules. Objects of
    a request are freed by their reference counts; only the few cycles wait for the collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)
