"""Workers on this host: a process that captures, and one that seals what it makes, with a pipe between them.

This process never sees the evidence. Should it die, the worker loses its pipe and stops, the sealer finds the end of
its input and closes the file: what was captured is sealed all the same.

    worker    --evidence pipe-->    sealer    -->    <session>.pcapng.age
    ^ ticket, heartbeats  | counters, report  | seal: sizes, hashes
    +---- this process <--+-------------------+
"""

import asyncio
import io
import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from linewarden.diagnostics.capture.errors import TicketRefused
from linewarden.diagnostics.capture.launch import WorkerProcess, start_worker
from linewarden.diagnostics.capture.model import StopReason, WorkerState
from linewarden.diagnostics.capture.ticket import KEY_BYTES, digest
from linewarden.diagnostics.errors import DiagnosisUnavailable, ReaderUnusable
from linewarden.diagnostics.ports import Order, Outcome
from linewarden.diagnostics.probes.model import Findings, ProbeOrder
from linewarden.diagnostics.probes.process import run_probe
from linewarden.diagnostics.sealing import DISK_FULL, ReaderInvalid, seal
from linewarden.diagnostics.session import Evidence, Reader, Tally

#: How long a worker may take until it captures, seconds.
_START_S = 20.0
#: How long worker and sealer may take to end after they were told to, seconds.
_END_S = 30.0

_SEALING = "linewarden.diagnostics.sealing"


class LocalWorkers:
    """Starts workers on this host, and keeps sealed evidence in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def check_readers(self, readers: tuple[Reader, ...]) -> None:
        """Make sure that evidence can be sealed for them.

        Raises:
            ReaderUnusable: a public key is none.
        """
        try:
            seal(io.BytesIO(), io.BytesIO(), [one.public_key for one in readers], bytes(32))
        except ReaderInvalid:
            raise ReaderUnusable from None

    def path(self, session: str) -> Path:
        """Where the sealed evidence of a session is."""
        return self._folder / f"{session}.pcapng.age"

    def delete(self, session: str) -> None:
        """Delete the evidence of a session, if there is any.

        Raises:
            DiagnosisUnavailable: it cannot be deleted.
        """
        try:
            self.path(session).unlink(missing_ok=True)
        except OSError:
            raise DiagnosisUnavailable from None

    def check_ready(self, worker: str) -> None:
        """This host is always there. Workers of others are not started here.

        Raises:
            DiagnosisUnavailable: it is one of another host.
        """
        if worker:
            raise DiagnosisUnavailable

    async def probe(self, order: ProbeOrder) -> Findings:
        """Run a probe in a process of its own."""
        return await run_probe(order)

    async def launch(self, order: Order, /, input_fd: int | None = None) -> "LocalWorker":
        """Start a worker and its sealer. `input_fd` is where the capture file of an order for one comes in.

        Raises:
            DiagnosisUnavailable: they did not start.
        """
        path = self.path(order.ticket.id)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            worker = await _start(order, self._folder, path, input_fd)
        except (TicketRefused, OSError):
            raise DiagnosisUnavailable from None
        await worker.begin()
        return worker


class LocalWorker:
    """A worker with its sealer. `status` are the lines that the worker says."""

    def __init__(
        self, capture: WorkerProcess, status: asyncio.StreamReader, sealer: asyncio.subprocess.Process, path: Path
    ) -> None:
        self._capture = capture
        self._status = status
        self._sealer = sealer
        self._path = path
        self._tally = Tally()
        self._report: dict[str, Any] | None = None
        self._started: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._listening = asyncio.create_task(self._listen())
        self._killing: asyncio.TimerHandle | None = None

    async def begin(self) -> None:
        """Wait until the worker captures.

        Raises:
            DiagnosisUnavailable: it refused its ticket, or took too long.
        """
        try:
            async with asyncio.timeout(_START_S):
                captures = await asyncio.shield(self._started)
        except TimeoutError:
            captures = False
        if not captures:
            self._capture.process.kill()
            await self.ended()
            self._path.unlink(missing_ok=True)
            raise DiagnosisUnavailable

    def tally(self) -> Tally:
        """What happened to the packets, at the last word from the worker."""
        return self._tally

    def heartbeat(self, *, paused: bool) -> None:
        """Let it go on for another lease, taking packets or not."""
        with suppress(OSError, ValueError):  # it is gone: `ended` says how
            self._capture.heartbeat(paused=paused)

    def stop(self, reason: StopReason) -> None:
        """Tell it to stop; the first reason counts. LEASE_LOST lets go of it, as if this process had ended."""
        if self._killing is not None:
            return
        self._killing = asyncio.get_running_loop().call_later(_END_S, self._capture.process.kill)
        with suppress(OSError, ValueError):
            if reason is StopReason.LEASE_LOST and self._capture.process.stdin is not None:
                self._capture.process.stdin.close()
            else:
                self._capture.stop(reason)

    async def ended(self) -> Outcome:
        """Wait until the worker has ended and its evidence is sealed."""
        await self._listening
        await asyncio.to_thread(self._capture.process.wait)
        with suppress(OSError):
            if self._capture.process.stdin is not None:
                self._capture.process.stdin.close()
        if self._killing is not None:
            self._killing.cancel()
        sealed = await self._seal()
        report = self._report
        if report is None:
            # A worker whose evidence nobody takes has nothing to report; who knows why is the sealer.
            full = self._sealer.returncode == DISK_FULL
            reason = StopReason.DISK_LOW if full else StopReason.WORKER_LOST
            return Outcome(reason, self._tally, self._evidence(sealed))
        # Two processes counted and hashed the same bytes; where they differ, the file is not what was captured.
        agreed = sealed is not None and sealed["manifest"] == report["manifest"]
        return Outcome(StopReason(report["stop_reason"]), self._tally, self._evidence(sealed) if agreed else None)

    async def _listen(self) -> None:
        try:
            while line := await self._status.readline():
                self._hear(json.loads(line))
        except (ValueError, KeyError, TypeError):  # a worker that talks nonsense is ended, as one that says nothing
            self._capture.process.kill()
        if not self._started.done():
            self._started.set_result(False)

    def _hear(self, message: dict[str, Any]) -> None:
        kind = message.pop("type")
        if kind == "counters":
            self._tally = Tally(**message)
        elif kind == "report":
            self._tally = Tally(**message["counters"])
            self._report = message
        elif kind == "state" and not self._started.done():
            self._started.set_result(message["state"] == WorkerState.RUNNING)

    async def _seal(self) -> dict[str, Any] | None:
        try:
            async with asyncio.timeout(_END_S):
                output, _ = await self._sealer.communicate()
        except TimeoutError:
            self._sealer.kill()
            await self._sealer.wait()
            return None
        if self._sealer.returncode != 0:
            return None
        sealed: dict[str, Any] = json.loads(output)
        return sealed

    def _evidence(self, sealed: dict[str, Any] | None) -> Evidence | None:
        if sealed is None:
            return None
        manifest = sealed["manifest"]
        return Evidence(
            file=self._path.name,
            plain_bytes=manifest["bytes"],
            plain_sha256=manifest["sha256"],
            chain=manifest["chain"],
            sealed_bytes=sealed["bytes"],
            sealed_sha256=sealed["sha256"],
        )


async def _start(order: Order, folder: Path, path: Path, input_fd: int | None) -> LocalWorker:
    disk = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        key = os.urandom(KEY_BYTES)
        capture = await asyncio.to_thread(start_worker, order.ticket, key, input_fd=input_fd, disk_fd=disk)
    finally:
        os.close(disk)
    try:
        status = await _lines(capture)
        sealer = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            _SEALING,
            *(f"--recipient={one.public_key}" for one in order.readers),
            f"--ticket-digest={digest(order.ticket).hex()}",
            str(path),
            stdin=capture.evidence_fd,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            # A Ctrl-C is for the server, which then lets the capture end in order.
            start_new_session=True,
        )
    except OSError:
        capture.process.kill()
        await asyncio.to_thread(capture.process.wait)
        raise
    finally:
        os.close(capture.evidence_fd)
    return LocalWorker(capture, status, sealer, path)


async def _lines(capture: WorkerProcess) -> asyncio.StreamReader:
    """What the worker says. Telling it something must never wait: a worker that does not listen loses its lease."""
    if capture.process.stdin is not None:
        os.set_blocking(capture.process.stdin.fileno(), False)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), capture.process.stdout
    )
    return reader
