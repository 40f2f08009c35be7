"""Processes: one or several serving processes that share addresses, and one housekeeping process.

The first process is the parent. Its children end when it ends, also after a crash, because each holds the read end of a
pipe whose write end only the parent has.
"""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import structlog

from linewarden.audit.errors import LogDamaged
from linewarden.audit.housekeeping import Housekeeper
from linewarden.server.bootstrap import Running, calm_collector, clock_of, now_us, start
from linewarden.server.settings import Settings
from linewarden.server.storage import Storage, open_storage
from linewarden.server.transports.unix_socket import INHERITED

#: The delay before an ended child is replaced, and the time for a child to end after SIGTERM, seconds.
RESPAWN_S = 1.0
CHILD_TIMEOUT_S = 30.0

#: The niceness of housekeeping: a process of a request gets three times its share of a core, and is woken first. At 15
#: it was 28 times, so on a busy machine checkpoints came minutes late and the index fell behind. Indexing takes at most
#: a fifth of the time of the requests behind it, so a quarter of a core suffices to keep up.
NICENESS = 5

#: The byte by which a parent tells its housekeeping process that the database is open.
_GO = b"g"


async def serve(settings: Settings, config: Path | None, on_ready: Callable[[Running], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        Exception: any error of `bootstrap.start`.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    # It is started first, so that its imports take place while this process starts, and not before a checkpoint.
    opened = asyncio.Event()
    housekeeper = asyncio.create_task(_keep(("housekeep", "--wait"), config, {}, opened))
    try:
        running = await start(settings)
    except BaseException:
        housekeeper.cancel()
        await asyncio.gather(housekeeper, return_exceptions=True)
        raise
    opened.set()
    children = [_environment(running, number) for number in range(1, settings.workers)]
    inherited = () if running.transport.socket is None else (running.transport.socket,)
    workers = [asyncio.create_task(_keep(("serve", "--worker"), config, one, inherited=inherited)) for one in children]
    try:
        on_ready(running)
        await stop.wait()
    finally:
        for worker in workers:
            worker.cancel()
        await running.drain(settings.drain_s)
        await asyncio.gather(*workers, return_exceptions=True)
        # It ends last, because it signs checkpoints for all answers.
        housekeeper.cancel()
        await asyncio.gather(housekeeper, return_exceptions=True)


async def serve_worker(settings: Settings) -> None:
    """Serve on the addresses of the parent, until the parent ends."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    _when_parent_ends(lambda: loop.call_soon_threadsafe(stop.set))
    running = await start(settings)
    await stop.wait()
    await running.drain(settings.drain_s)


def keep_house(settings: Settings, *, wait: bool) -> None:
    """Index, sign checkpoints and append heartbeats until a signal, or until the parent ends.

    With `wait`, begin when the parent has opened the database, which may include a migration.
    """
    # Until then SIGTERM ends the process, and SIGINT in a terminal is for the parent, which then ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if wait and os.read(0, 1) != _GO:
        return
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _when_parent_ends(stop.set)
    storage = open_storage(settings)
    try:
        housekeeper = housekeeper_of(storage, settings, _log_fault, _log_progress)
        # Not earlier, because the first checkpoint waits for it. A start is short.
        housekeeper.round()
        calm_collector()
        os.nice(NICENESS)
        housekeeper.run(stop)
    finally:
        storage.close()


def housekeeper_of(
    storage: Storage,
    settings: Settings,
    on_fault: Callable[[int, Exception], None],
    on_progress: Callable[[int, int, int], None] = lambda _log, _indexed, _size: None,
) -> Housekeeper:
    """Return the background work on an opened database."""
    indexer = storage.indexer(storage.directory(_NoWriter()))
    return Housekeeper(
        storage.log,
        indexer,
        storage.checkpoints(),
        checkpoint_s=settings.checkpoint_interval_s,
        heartbeat_s=settings.heartbeat_s,
        clock=clock_of(storage, now_us),
        on_fault=on_fault,
        on_progress=on_progress,
    )


class _NoWriter:
    """A writer that is never used, because housekeeping introduces no person."""

    def append(self, unit: object) -> "asyncio.Future[int]":
        """Never called."""
        raise AssertionError(unit)


def _environment(running: Running, number: int) -> dict[str, str]:
    """Return the environment of a child: the shared addresses, and its separate address for capture workers."""
    environment = {"LINEWARDEN_LISTEN": ",".join(running.addresses)}
    if running.transport.socket is not None:
        environment["LINEWARDEN_LISTEN_SOCKET"] = f"{INHERITED}{running.transport.socket}"
    if running.worker_address:
        host, _, port = running.worker_address.rpartition(":")
        environment["LINEWARDEN_CAPTURE_LISTEN"] = f"{host}:{int(port) + number}"
    return environment


async def _keep(
    command: tuple[str, ...],
    config: Path | None,
    environment: dict[str, str],
    opened: asyncio.Event | None = None,
    inherited: tuple[int, ...] = (),
) -> None:
    """Run a child and replace it when it ends. End it when cancelled. Tell it when the database is `opened`.

    It gets the descriptors that are `inherited`.
    """
    call = ["-m", "linewarden.cli", *command, *(() if config is None else ("--config", str(config)))]
    while True:
        child = await asyncio.create_subprocess_exec(
            sys.executable, *call, stdin=asyncio.subprocess.PIPE, env=os.environ | environment, pass_fds=inherited
        )
        telling = asyncio.create_task(_tell(child, opened))
        try:
            await child.wait()
        except asyncio.CancelledError:
            await _end(child)
            raise
        finally:
            telling.cancel()
        structlog.get_logger().error("child_ended")
        await asyncio.sleep(RESPAWN_S)


async def _tell(child: asyncio.subprocess.Process, opened: asyncio.Event | None) -> None:
    if opened is not None and child.stdin is not None:
        await opened.wait()
        child.stdin.write(_GO)


async def _end(child: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        child.terminate()
    try:
        async with asyncio.timeout(CHILD_TIMEOUT_S):
            await child.wait()
    except TimeoutError:
        child.kill()
        await child.wait()


def _when_parent_ends(act: Callable[[], object]) -> None:
    def wait() -> None:
        while os.read(0, 1):
            pass
        act()

    threading.Thread(target=wait, name="linewarden-parent", daemon=True).start()


def _log_progress(log_id: int, indexed: int, size: int) -> None:
    structlog.get_logger().info("index_being_filled", log=log_id, indexed=indexed, size=size)


def _log_fault(log_id: int, fault: Exception) -> None:
    damaged = {"entries": fault.entries()} if isinstance(fault, LogDamaged) else {}
    structlog.get_logger().error("housekeeping_fault", log=log_id, error=type(fault).__name__, **damaged)
