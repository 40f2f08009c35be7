"""A worker process on this host with its sealer, as seen by the process that started them."""

import asyncio
import json
import os
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, NamedTuple

from linewarden.diagnostics.capture_model import Tally
from linewarden.diagnostics.captures.failures import CaptureFailure, failure_of
from linewarden.diagnostics.captures.ports import Order, Outcome
from linewarden.diagnostics.errors import DiagnosisUnavailable
from linewarden.diagnostics.evidence.folder import EvidenceFolder, evidence_of
from linewarden.diagnostics.evidence.seal_file import SealFile
from linewarden.diagnostics.evidence.sealer import Sealer, start_sealer
from linewarden.diagnostics.packets.evidence import Manifest
from linewarden.diagnostics.packets.launch import WorkerProcess, start_worker
from linewarden.diagnostics.packets.model import Counters, Rule, StopReason, WorkerState
from linewarden.diagnostics.packets.ticket import KEY_BYTES, digest

#: The longest time until a worker captures, seconds.
_START_S = 20.0
#: The longest time until worker and sealer end after a stop, seconds.
_END_S = 30.0


class _Report(NamedTuple):
    """The end of a worker as it reports it: the reason, the failure code if there is one, and the manifest."""

    reason: StopReason
    cause: str
    manifest: Manifest | None


class LocalWorker:
    """A worker with its sealer. `status` are the lines that the worker writes."""

    def __init__(
        self,
        capture_id: str,
        capture: WorkerProcess,
        status: asyncio.StreamReader,
        sealer: Sealer,
        folder: EvidenceFolder,
    ) -> None:
        self._capture_id = capture_id
        self._capture = capture
        self._status = status
        self._sealer = sealer
        self._folder = folder
        self._tally = Tally()
        self._report: _Report | None = None
        self._cause: CaptureFailure | None = None
        self._started: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._listening = asyncio.create_task(self._listen())
        self._killing: asyncio.TimerHandle | None = None
        # Its packets would go nowhere, and on a quiet interface the worker would not notice.
        sealer.when_lost(capture.process.kill)

    async def begin(self) -> None:
        """Wait until the worker captures.

        Raises:
            DiagnosisUnavailable: the worker refused its ticket, or took too long. `detail` is the cause.
        """
        try:
            async with asyncio.timeout(_START_S):
                captures = await asyncio.shield(self._started)
        except TimeoutError:
            captures, self._cause = False, CaptureFailure.SILENT
        if not captures:
            self._capture.process.kill()
            outcome = await self.ended()
            await asyncio.to_thread(self._clear)
            raise DiagnosisUnavailable(outcome.detail)

    def tally(self) -> Tally:
        """The counts of packets in the last report of the worker."""
        return self._tally

    def heartbeat(self, *, paused: bool) -> None:
        """Let the worker run for another lease, taking packets or not."""
        with suppress(OSError, ValueError):  # it is gone: `ended` reports the end
            self._capture.heartbeat(paused=paused)

    def stop(self, reason: StopReason) -> None:
        """Tell the worker to stop; the first reason counts. LEASE_LOST closes its pipe, as if this process ended."""
        if self._killing is not None:
            return
        self._killing = asyncio.get_running_loop().call_later(_END_S, self._capture.process.kill)
        with suppress(OSError, ValueError):
            if reason is StopReason.LEASE_LOST and self._capture.process.stdin is not None:
                self._capture.process.stdin.close()
            else:
                self._capture.stop(reason)

    async def ended(self) -> Outcome:
        """Wait until the worker has ended and its evidence is sealed. Incomplete evidence is deleted."""
        await self._listening
        await asyncio.to_thread(self._capture.process.wait)
        with suppress(OSError):
            if self._capture.process.stdin is not None:
                self._capture.process.stdin.close()
        if self._killing is not None:
            self._killing.cancel()
        outcome = self._outcome(await self._sealer.seal(_END_S))
        if outcome.evidence is None:
            await asyncio.to_thread(self._clear)
        return outcome

    def _outcome(self, sealed: SealFile | None) -> Outcome:
        report, tally = self._report, self._tally
        if report is None:
            # A worker that was lost may have taken more packets than it said.
            tally = replace(tally, complete=False)
            report = _Report(StopReason.WORKER_LOST, self._cause or CaptureFailure.WORKER_LOST, None)
        if sealed is None:
            # The sealer knows why a worker ended whose evidence was not taken.
            reason = StopReason.DISK_LOW if self._sealer.disk_full else report.reason
            return Outcome(reason, tally, None, self._sealer.cause)
        # Two processes counted and hashed the same bytes; where they differ, the file is not the captured one.
        if report.manifest not in {None, sealed.manifest}:
            return Outcome(report.reason, tally, None, CaptureFailure.DIFFERENT)
        return Outcome(report.reason, tally, evidence_of(self._folder.path(self._capture_id), sealed), report.cause)

    async def _listen(self) -> None:
        try:
            while line := await self._status.readline():
                self._hear(json.loads(line))
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
        ):  # a worker that writes invalid lines is ended like a silent one
            self._capture.process.kill()
        if not self._started.done():
            self._started.set_result(False)

    def _hear(self, message: dict[str, Any]) -> None:
        kind = message.pop("type")
        if kind == "counters":
            self._tally = _tally(message)
        elif kind == "report":
            code = str(message["code"])
            cause = failure_of(code) if code else ""
            report = _Report(StopReason(message["stop_reason"]), cause, Manifest(**message["manifest"]))
            self._tally, self._report = _tally(message["counters"]), report
        elif kind == "state":
            self._hear_state(WorkerState(message["state"]), str(message["code"]))

    def _hear_state(self, state: WorkerState, code: str) -> None:
        if state in {WorkerState.REFUSED, WorkerState.FAILED}:
            self._cause = failure_of(code)
        if not self._started.done():
            self._started.set_result(state is WorkerState.RUNNING)

    def _clear(self) -> None:
        with suppress(OSError):  # a rest is sealed, and deleted with the capture
            self._folder.clear(self._capture_id)


async def start(order: Order, folder: EvidenceFolder, input_fd: int | None) -> LocalWorker:
    """Start a worker with its sealer; `begin` waits until it captures.

    Raises:
        TicketRefused: the order is invalid.
        OSError: a process could not be started, or evidence of this capture exists already.
    """
    capture_id = order.ticket.id
    if folder.path(capture_id).exists():
        raise FileExistsError("evidence of this capture exists already")
    disk = os.open(folder.make(), os.O_RDONLY | os.O_DIRECTORY)
    try:
        key = os.urandom(KEY_BYTES)
        capture = await asyncio.to_thread(start_worker, order.ticket, key, input_fd=input_fd, disk_fd=disk)
    finally:
        os.close(disk)
    try:
        status = await _lines(capture)
        keys, digested = [one.public_key for one in order.readers], digest(order.ticket)
        where = (folder.path(capture_id), folder.seal_path(capture_id))
        sealer = await start_sealer(capture.evidence_fd, *where, keys, digested)
    except OSError:
        capture.process.kill()
        await asyncio.to_thread(capture.process.wait)
        raise
    finally:
        os.close(capture.evidence_fd)
    return LocalWorker(capture_id, capture, status, sealer, folder)


def _tally(said: dict[str, Any]) -> Tally:
    """Read the counts of packets. Raise ValueError or TypeError for anything but numbers, because they are recorded."""
    counted = asdict(Counters(**said))
    rules = counted.pop("rules")
    numbers = [*counted.values(), *rules.values()]
    if not set(rules) <= set(Rule) or not all(type(one) is int and one >= 0 for one in numbers):
        raise ValueError("the counters are invalid")
    return Tally(**counted, rules=rules)


async def _lines(capture: WorkerProcess) -> asyncio.StreamReader:
    """The lines of the worker. Writing to it never waits, because a worker that does not read loses its lease."""
    if capture.process.stdin is not None:
        os.set_blocking(capture.process.stdin.fileno(), False)
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), capture.process.stdout
    )
    return reader
