"""The AccessService with its real log and without a network: the handlers that a listener would call."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from time import process_time, thread_time
from typing import NamedTuple

from linewarden.audit.writer import Writer
from linewarden.authz.policies import Policies
from linewarden.authz.service import AccessControl
from linewarden.server.access import AccessServicer
from linewarden.server.admission import Admission
from linewarden.server.bootstrap import now_us
from linewarden.server.callers import Callers
from linewarden.server.capacity import capacity_of
from linewarden.server.rpc import Rpc, served
from linewarden.server.settings import load_settings
from linewarden.server.storage import Storage, open_storage
from linewarden.server.tenants import Tenants
from linewarden.v1 import access_pb2

#: The limit of an append, seconds: longer than a server's, so that a busy machine does not end a measurement.
_TIMEOUT_S = 30.0

#: Answers a request as it came from a connection with the bytes of its answer.
Act = Callable[[bytes], Awaitable[bytes]]


class Cost(NamedTuple):
    """Processor time of one call in microseconds: of the event loop, and of the writer's thread."""

    loop: float
    thread: float


class Service:
    """The rpcs of a service's folder, by path. `policies` and `storage` are those behind them."""

    def __init__(self, rpcs: list[Rpc], callers: Callers, token: str, policies: Policies, storage: Storage) -> None:
        self._rpcs = {rpc.path.rpartition("/")[2]: rpc for rpc in rpcs}
        self._callers = callers
        self._token = token
        self.policies = policies
        self.storage = storage

    async def check(self, frame: bytes) -> bytes:
        """Answer a Check."""
        return await self._answer(self._rpcs["Check"], frame)

    async def check_batch(self, frame: bytes) -> bytes:
        """Answer a CheckBatch."""
        return await self._answer(self._rpcs["CheckBatch"], frame)

    async def _answer(self, rpc: Rpc, frame: bytes) -> bytes:
        caller = await self._callers.admit(self._token)
        return rpc.write(await rpc.call(caller, rpc.read(frame)))


@asynccontextmanager
async def opened(settings_file: Path) -> AsyncIterator[Service]:
    """Open the service of a folder, and close it."""
    settings = load_settings(settings_file)
    token = (settings_file.parent / "secrets/api-key").read_text().strip()
    storage = open_storage(settings)
    writer = Writer(
        storage.log,
        batch_limit=settings.batch_limit,
        queue_limit=settings.queue_limit,
        timeout_s=_TIMEOUT_S,
    )
    try:
        callers, policies = Callers(storage.keys.load, now_us), Policies(storage.policies)
        await callers.refresh()
        capacity = capacity_of(settings)
        admission = Admission(callers, Tenants(storage.log), policies, writer, now_us, capacity)
        control = AccessControl(policies, storage.directory(writer))
        servicer = AccessServicer(control, settings.decision_ttl_s * 1_000_000)
        service = access_pb2.DESCRIPTOR.services_by_name["AccessService"]
        rpcs = served(service, servicer, admission, capacity.streams, settings.max_stream_messages)
        yield Service(rpcs, callers, token, policies, storage)
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
