"""The AccessService with its real log and without a network: the handlers that a listener would call."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from time import process_time, thread_time
from types import SimpleNamespace
from typing import Any, NamedTuple

from linewarden.audit.writer import Writer
from linewarden.authz.policies import Policies
from linewarden.authz.service import AccessControl
from linewarden.server.access import AccessServicer
from linewarden.server.admission import Admission
from linewarden.server.bootstrap import now_us
from linewarden.server.callers import Callers
from linewarden.server.capacity import capacity_of
from linewarden.server.early_authentication import IDENTITY, token_of
from linewarden.server.rpc import Rpcs
from linewarden.server.settings import load_settings
from linewarden.server.storage import Storage, open_storage
from linewarden.server.tenants import Tenants
from linewarden.v1 import access_pb2

#: Answers a request as it came from a connection with the bytes of its answer.
Act = Callable[[bytes], Awaitable[bytes]]


class Cost(NamedTuple):
    """Processor time of one call in microseconds: of the event loop, and of the writer's thread."""

    loop: float
    thread: float


class Service:
    """The handlers of a service's folder. `policies` and `storage` are those behind them."""

    def __init__(
        self, check: Any, check_batch: Any, callers: Callers, token: str, policies: Policies, storage: Storage
    ):
        self._check = check
        self._check_batch = check_batch
        self._callers = callers
        self._metadata = (("user-agent", "bench"), ("authorization", f"Bearer {token}"))
        self.policies = policies
        self.storage = storage

    async def check(self, frame: bytes) -> bytes:
        """Answer a Check."""
        request = access_pb2.CheckRequest.FromString(frame)
        IDENTITY.set(self._callers.authenticate(token_of(self._metadata)))
        answer: access_pb2.CheckResponse = await self._check(request, None)
        return answer.SerializeToString()

    async def check_batch(self, frame: bytes) -> bytes:
        """Answer a CheckBatch."""
        request = access_pb2.CheckBatchRequest.FromString(frame)
        IDENTITY.set(self._callers.authenticate(token_of(self._metadata)))
        answer: access_pb2.CheckBatchResponse = await self._check_batch(request, None)
        return answer.SerializeToString()


@asynccontextmanager
async def opened(settings_file: Path) -> AsyncIterator[Service]:
    """Open the service of a folder, and close it."""
    settings = load_settings(settings_file)
    token = (settings_file.parent / "secrets/api-key").read_text().strip()
    storage = open_storage(settings)
    timeout_s = settings.append_timeout_ms / 1e3
    limits = {"batch_limit": settings.batch_limit, "queue_limit": settings.queue_limit}
    writer = Writer(storage.log, **limits, timeout_s=timeout_s)
    try:
        callers, policies = Callers(storage.keys.load, now_us), Policies(storage.policies)
        await callers.refresh()
        capacity, handlers = capacity_of(settings), _Handlers()
        admission = Admission(callers, Tenants(storage.log), policies, writer, now_us, capacity)
        server: Any = handlers
        rpcs = Rpcs(server, admission, capacity.streams, settings.max_stream_messages)
        control = AccessControl(policies, storage.directory(writer))
        servicer = AccessServicer(control, settings.decision_ttl_s * 1_000_000)
        rpcs.add(access_pb2.DESCRIPTOR.services_by_name["AccessService"], servicer)
        yield Service(handlers.unary("Check"), handlers.unary("CheckBatch"), callers, token, policies, storage)
    finally:
        await writer.close()
        storage.close()


async def press(act: Act, frames: Iterable[bytes], at_once: int) -> None:
    """Ask all questions, so many at a time."""
    turns = iter(frames)

    async def work() -> None:
        for frame in turns:
            await act(frame)

    await asyncio.gather(*(work() for _ in range(at_once)))


async def cost(act: Act, frames: list[bytes], at_once: int) -> Cost:
    """Ask all questions; return the processor time of one."""
    all_before, own_before = process_time(), thread_time()
    await press(act, frames, at_once)
    own = thread_time() - own_before
    return Cost(own / len(frames) * 1e6, (process_time() - all_before - own) / len(frames) * 1e6)


class _Handlers:
    """The part of a gRPC server to which services are added."""

    def __init__(self) -> None:
        self._services: list[Any] = []

    def add_generic_rpc_handlers(self, handlers: Any) -> None:
        """Keep the handlers of a service."""
        self._services.extend(handlers)

    def unary(self, method: str) -> Any:
        """Return the behaviour that gRPC calls for a method of AccessService."""
        details: Any = SimpleNamespace(method=f"/linewarden.v1.AccessService/{method}", invocation_metadata=())
        return next(found.unary_unary for one in self._services if (found := one.service(details)) is not None)
