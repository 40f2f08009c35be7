"""The composition root: the only place where settings become a running server."""

import asyncio
import gc
import socket
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import aio as health_aio
from grpc_reflection.v1alpha import reflection

from linewarden.audit.entry import SERVER_STARTED, SERVER_STOPPED, encode
from linewarden.audit.errors import LogUnavailable
from linewarden.audit.model import SYSTEM_LOG, Unit
from linewarden.audit.writer import Writer
from linewarden.authz.policies import Policies
from linewarden.authz.service import AccessControl
from linewarden.server.access import AccessService
from linewarden.server.audit import AuditService
from linewarden.server.callers import Callers
from linewarden.server.diagnostics.wiring import Diagnosing, open_diagnostics
from linewarden.server.door import Door
from linewarden.server.gatekeeper import Gatekeeper
from linewarden.server.large import LargeRequests
from linewarden.server.operating import create_system_log
from linewarden.server.policy import PolicyService
from linewarden.server.registration import Registration
from linewarden.server.settings import Settings
from linewarden.server.storage import Storage, open_checkpoints, open_storage
from linewarden.server.tenants import Tenants
from linewarden.server.tls import server_credentials
from linewarden.server.workers.door import open_worker_door
from linewarden.v1 import (
    access_pb2,
    access_pb2_grpc,
    audit_pb2,
    audit_pb2_grpc,
    diagnostics_pb2,
    diagnostics_pb2_grpc,
    policy_pb2,
    policy_pb2_grpc,
)

#: Objects made before the collector looks at the youngest, and how many looks pass before it looks at older ones.
COLLECTOR_THRESHOLDS = (50_000, 50, 50)

#: Threads for what blocks. They wait most of their time.
THREADS = 32

#: Failed authentications are entered this often, seconds, as counts.
REFUSALS_INTERVAL_S = 60.0

#: Before a server serves it loads policies for at most so long, seconds, the largest first. The others are loaded when
#: they are first asked for.
PRELOAD_S = 120.0

#: Callers that do not stop coming are told so for so long before the server stops nevertheless, seconds.
CLOSING_S = 1.0

_SERVICES = tuple(
    module.DESCRIPTOR.services_by_name[name].full_name
    for module, name in (
        (access_pb2, "AccessService"),
        (policy_pb2, "PolicyService"),
        (audit_pb2, "AuditService"),
        (diagnostics_pb2, "DiagnosticsService"),
    )
)


def now_us() -> int:
    """The wall clock, microseconds since 1970 UTC."""
    return time.time_ns() // 1_000


@dataclass
class Running:
    """A server that answers. `addresses` are host and port of each listener; capture workers have one of their own."""

    addresses: tuple[str, ...]
    worker_address: str
    _server: grpc.aio.Server
    _writer: Writer
    _storage: Storage
    _health: health_aio.HealthServicer
    _chores: "asyncio.Task[None]"
    _callers: Callers
    _diagnosing: Diagnosing
    _sweeping: "asyncio.Task[None]"
    _door: Door
    _worker_door: grpc.aio.Server | None

    def tenants(self) -> list[str]:
        """The names of all tenants, the oldest first.

        Raises:
            LogUnavailable: the database failed.
        """
        return [head.tenant for head in self._storage.log.heads() if head.tenant]

    async def drain(self, grace_s: float) -> None:
        """Stop taking requests, answer what came in, commit what waits, close. Loses nothing."""
        await self._health.enter_graceful_shutdown()
        self._chores.cancel()
        self._sweeping.cancel()
        await self._door.close(min(grace_s, CLOSING_S))
        await self._server.stop(grace_s)
        await self._diagnosing.close()
        if self._worker_door is not None:
            await self._worker_door.stop(None)
        try:
            await self._callers.record_refusals(self._writer)
            await self._writer.append(Unit(SYSTEM_LOG, (encode(SERVER_STOPPED, now_us(), {}),)))
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
    # More than Python gives by itself: what waits for a process or a disk must not hold up who looks after captures.
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS, "linewarden"))
    storage = await asyncio.to_thread(open_storage, settings)
    await asyncio.to_thread(create_system_log, storage.log, clock())
    writer = Writer(
        storage.log,
        batch_limit=settings.batch_limit,
        queue_limit=settings.queue_limit,
        timeout_s=settings.append_timeout_ms / 1_000,
        on_fault=_log_fault,
    )
    await writer.append(Unit(SYSTEM_LOG, (encode(SERVER_STARTED, clock(), {}),)))
    callers = Callers(storage.keys.load, clock)
    await callers.refresh()
    server = grpc.aio.server(
        interceptors=(Gatekeeper(callers), LargeRequests(settings.max_message_bytes)),
        options=_options(settings),
        # The door says UNAVAILABLE beyond the limit; gRPC's own refusal is for what never comes to the door.
        maximum_concurrent_rpcs=2 * settings.max_concurrent_requests or None,
    )
    health = health_aio.HealthServicer()
    policies = Policies(storage.policies, _log_excess)
    door, diagnosing = _add_services(server, settings, storage, policies, writer, callers, clock)
    health_pb2_grpc.add_HealthServicer_to_server(health, server)
    if settings.reflection:
        names = (*_SERVICES, "grpc.health.v1.Health", reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, server)
    _calm_collector()
    await _preload(policies)
    # Not before: from then on the system takes connections for this process, which other processes would serve sooner.
    addresses = tuple(_listen(server, settings, address) for address in settings.listen)
    await server.start()
    worker_door, worker_address = None, ""
    if settings.capture_listen:
        worker_door, worker_address = await open_worker_door(settings, diagnosing.hub)
    _calm_collector()
    for name in ("", *_SERVICES):
        await health.set(name, health_pb2.HealthCheckResponse.SERVING)
    chores = asyncio.create_task(_chores(callers, writer))
    sweeping = asyncio.create_task(diagnosing.sweep())
    return Running(
        addresses,
        worker_address,
        server,
        writer,
        storage,
        health,
        chores,
        callers,
        diagnosing,
        sweeping,
        door,
        worker_door,
    )


def _add_services(
    server: grpc.aio.Server,
    settings: Settings,
    storage: Storage,
    policies: Policies,
    writer: Writer,
    callers: Callers,
    clock: Callable[[], int],
) -> tuple[Door, Diagnosing]:
    directory = storage.directory(writer)
    control = AccessControl(policies, directory, writer)
    indexer = storage.indexer(directory)
    limit = settings.max_concurrent_requests or sys.maxsize
    door = Door(callers, Tenants(storage.log), policies, writer, clock, limit)
    access = AccessService(
        door, control, settings.decision_ttl_s * 1_000_000, settings.max_stream_messages, settings.max_stream_seconds
    )
    checkpoints = open_checkpoints(settings, storage, indexer)
    audit = AuditService(door, control, storage.reading(indexer, directory), checkpoints, storage.log)
    policy = PolicyService(door, control, policies, directory, writer)
    registration: Any = Registration(server)
    access_pb2_grpc.add_AccessServiceServicer_to_server(access, registration)
    audit_pb2_grpc.add_AuditServiceServicer_to_server(audit, registration)
    policy_pb2_grpc.add_PolicyServiceServicer_to_server(policy, registration)
    diagnosing = open_diagnostics(settings, storage, directory, policies, control, checkpoints, writer, door, clock)
    diagnostics_pb2_grpc.add_DiagnosticsServiceServicer_to_server(diagnosing.service, registration)
    return door, diagnosing


async def _preload(policies: Policies) -> None:
    """Load what the first questions are decided by, before anything is served."""
    left = await policies.preload(PRELOAD_S)
    if left:
        structlog.get_logger().warning("policies_not_preloaded", tenants=left)


def _log_excess(log: int) -> None:
    structlog.get_logger().warning("policy_over_limits", log=log)


def _listen(server: grpc.aio.Server, settings: Settings, address: str) -> str:
    host, _, _port = address.rpartition(":")
    if settings.plaintext:
        port = server.add_insecure_port(address)
    else:
        port = server.add_secure_port(address, server_credentials(settings, datetime.now(UTC)))
    if port == 0:
        raise OSError("cannot listen on that address")
    return f"{host}:{port}"


def _options(settings: Settings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 1 if settings.workers > 1 else 0),
        ("grpc.max_metadata_size", 16 * 1024),
        # A connection ends now and then, so that neither a forgotten one nor a greedy one holds its place for ever.
        ("grpc.max_connection_age_ms", 3_600_000),
        ("grpc.max_connection_age_grace_ms", 60_000),
        ("grpc.max_concurrent_streams", 1_000),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ]


async def _chores(callers: Callers, writer: Writer) -> None:
    while True:
        await asyncio.sleep(REFUSALS_INTERVAL_S)
        try:
            await callers.record_refusals(writer)
        except LogUnavailable:
            structlog.get_logger().warning("refusals_not_recorded")


def _log_fault(error: BaseException) -> None:
    cause = error.__cause__ or error
    structlog.get_logger().error("log_unavailable", error=type(cause).__name__)


def _calm_collector() -> None:
    """Let the cycle collector look at what requests leave behind, and not again and again at what stays.

    With its defaults it took a tenth of the time of a Check, and half a second at once beside a million rules. What a
    request makes is freed by its reference counts; only the few cycles wait for the collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTOR_THRESHOLDS)


def free_port(host: str) -> int:
    """A port nobody listens on now, for workers that must share one."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])
