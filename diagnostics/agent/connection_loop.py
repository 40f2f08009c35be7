"""The connect loop of a worker's host: dials in to each process of the server, again whenever a connection is lost.

Captures run here in the same confined process as on the server's host, and the same sealer beside it. Sealed evidence
waits in the spool until it is delivered. When the connection to the server is lost, captures stop and their evidence is
deleted, because no record of it would exist.
"""

import asyncio
import fcntl
import os
import random
import time
from collections.abc import Callable
from pathlib import Path

import grpc
import structlog

from linewarden.diagnostics.agent.enrolment import Enrolment
from linewarden.diagnostics.agent.local_workers import LocalWorkers
from linewarden.diagnostics.agent.order_stream import Host, OrderStream
from linewarden.v1.worker_pb2_grpc import CaptureWorkerServiceStub

#: Between two attempts to reach a server, seconds; the wait doubles with each.
_RETRY_S = 1.0
_LONGEST_RETRY_S = 30.0
#: After a connection that lived so long the wait begins anew, seconds.
_SOUND_S = 60.0

_KEEPALIVE = [
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.max_receive_message_length", 1 << 20),
]


async def run(enrolment: Enrolment, on_connected: Callable[[str], None], stop: asyncio.Event) -> None:
    """Carry out the orders of the servers of an enrolment until `stop`. Captures that run then are ended and delivered.

    `on_connected` is called with the address of a server each time it accepts the worker.

    Raises:
        OSError: another process runs the same worker.
    """
    lock = _locked(enrolment.spool.parent)
    _clear(enrolment.spool)
    host = Host(LocalWorkers(enrolment.spool))
    connections = [_Connection(enrolment, host, server, on_connected) for server in enrolment.servers]
    tasks = [asyncio.create_task(one.keep_open()) for one in connections]
    await stop.wait()
    await asyncio.gather(*(one.finish() for one in connections))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    os.close(lock)


def _locked(folder: Path) -> int:
    """Lock the folder of a worker, because another process of the same worker would empty its spool.

    Raises:
        OSError: another process holds the lock.
    """
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise OSError(f"the worker of {folder} runs already: stop the other process first") from None
    return lock


def _clear(spool: Path) -> None:
    """Delete the evidence that an earlier process left, because no record of it exists."""
    for left in spool.glob("*.pcapng.age*"):
        left.unlink()
    for left in spool.glob("*.seal*"):
        left.unlink()


class _Connection:
    """The connection of this host to one process of the server, made again whenever it is lost."""

    def __init__(self, enrolment: Enrolment, host: Host, server: str, on_connected: Callable[[str], None]) -> None:
        self._enrolment = enrolment
        self._host = host
        self._server = server
        self._on_connected = on_connected
        self._stream: OrderStream | None = None

    async def keep_open(self) -> None:
        """Connect again and again, until cancelled."""
        wait_s = _RETRY_S
        while True:
            begun = time.monotonic()
            try:
                async with grpc.aio.secure_channel(self._server, self._enrolment.credentials, _KEEPALIVE) as channel:
                    self._stream = OrderStream(self._enrolment, self._host, CaptureWorkerServiceStub(channel))
                    await self._stream.run(lambda: self._on_connected(self._server))
            except grpc.aio.AioRpcError as error:
                structlog.get_logger().warning("connection_lost", code=error.code().name)
            finally:
                self._stream = None
            wait_s = _RETRY_S if time.monotonic() - begun > _SOUND_S else min(2 * wait_s, _LONGEST_RETRY_S)
            await asyncio.sleep(wait_s * random.uniform(0.5, 1))  # noqa: S311 - so that not all come at once

    async def finish(self) -> None:
        """End the captures that run, and wait until they are delivered."""
        if self._stream is not None:
            await self._stream.finish()
