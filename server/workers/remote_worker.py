"""A capture at another host, as the supervisor of this process sees it."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from linewarden.diagnostics.agent.messages import evidence_said, reason_of, tally_of
from linewarden.diagnostics.capture_model import Tally
from linewarden.diagnostics.captures.failures import CaptureFailure
from linewarden.diagnostics.captures.ports import Order, Outcome
from linewarden.diagnostics.packets.model import StopReason
from linewarden.server.diagnostics.messages import number
from linewarden.server.workers.delivery import Delivered, Delivery
from linewarden.v1 import worker_pb2

Say = Callable[[worker_pb2.ConnectResponse], None]

#: A worker that sends no message about a capture for this time is lost, seconds. It should send one every second.
SILENCE_S = 30.0
#: The time from an order to stop until the delivery begins, and until the end, seconds. Progress does not extend it.
STOPPING_S = 60.0
#: Delivered bytes extend the time at this rate, bytes a second. A slower connection cannot deliver evidence.
_SLOWEST = 16_384
#: The interval of checks of the time limit, seconds.
_LOOK_S = 1.0
#: The overhead of age: a header, and a few bytes for each 64 KiB.
_HEADER_BYTES = 1 << 20


class RemoteWorker:
    """One capture. `say` sends a message to its worker, `path` is the path of its evidence."""

    def __init__(self, order: Order, say: Say, path: Path, monotonic: Callable[[], float]) -> None:
        loop = asyncio.get_running_loop()
        self._capture_id = order.ticket.id
        self._most_bytes = order.ticket.limits.bytes + order.ticket.limits.bytes // 1_000 + _HEADER_BYTES
        self._say = say
        self._path = path
        self._monotonic = monotonic
        self._until = monotonic() + SILENCE_S
        self._tally = Tally()
        self._stopped = False
        self._delivering = False
        self._delivered: Delivered | None = None
        self._disk_full = False
        self._over: asyncio.Future[Outcome] = loop.create_future()
        #: The result: whether the capture has begun.
        self.begun: asyncio.Future[bool] = loop.create_future()

    def tally(self) -> Tally:
        """Return the counters of the last message of the worker."""
        return self._tally

    def heartbeat(self, *, paused: bool) -> None:
        """Renew the lease of the worker. A paused worker takes no packets."""
        beat = worker_pb2.CaptureHeartbeat(capture_id=self._capture_id, paused=paused)
        self._say(worker_pb2.ConnectResponse(heartbeat=beat))

    def stop(self, reason: StopReason) -> None:
        """Order the worker to stop; the first reason counts."""
        if self._stopped:
            return
        self._stopped = True
        self._until = self._monotonic() + STOPPING_S
        order = worker_pb2.StopCapture(capture_id=self._capture_id, reason=number(reason))
        self._say(worker_pb2.ConnectResponse(stop=order))

    async def ended(self) -> Outcome:
        """Wait until the capture has ended and its evidence is delivered, or until the worker is lost."""
        while not (await asyncio.wait({self._over}, timeout=_LOOK_S))[0]:
            if self._monotonic() > self._until:
                self.lose()
        outcome = self._over.result()
        if outcome.evidence is None:
            # A file without a record is not evidence.
            await asyncio.to_thread(self._path.unlink, missing_ok=True)
        return outcome

    def hear_begun(self, *, begun: bool) -> None:
        """Note that the worker has begun, or has refused."""
        self._hear_word()
        if not self.begun.done():
            self.begun.set_result(begun)

    def hear_progress(self, message: worker_pb2.CaptureProgress) -> None:
        """Note the progress of the worker.

        Raises:
            ValueError: the message is invalid.
        """
        self._hear_word()
        self._tally = tally_of(message.counters)

    def hear_ended(self, message: worker_pb2.CaptureEnded) -> None:
        """Note the end of the worker. Its evidence counts only if it equals the delivered file.

        Raises:
            ValueError: the message is invalid.
        """
        stated = evidence_said(message.evidence, self._path.name) if message.HasField("evidence") else None
        came = self._delivered
        whole = stated is not None and came == Delivered(stated.sealed_bytes, stated.sealed_sha256)
        reason = StopReason.DISK_LOW if self._disk_full else reason_of(message)
        self._tally = replace(tally_of(message.counters), complete=reason is not StopReason.WORKER_LOST)
        cause = message.cause if message.cause in set(CaptureFailure) else ""
        if whole:
            self._end(Outcome(reason, self._tally, stated, cause))
        else:
            local_cause = (
                CaptureFailure.NO_ROOM
                if self._disk_full
                else CaptureFailure.NOT_SEALED
                if stated is None
                else CaptureFailure.NOT_DELIVERED
            )
            self._end(Outcome(reason, self._tally, None, cause or local_cause))

    def lose(self) -> None:
        """Note that the worker is lost."""
        self.hear_begun(begun=False)
        self._end(
            Outcome(StopReason.WORKER_LOST, replace(self._tally, complete=False), None, CaptureFailure.WORKER_LOST)
        )

    @property
    def over(self) -> bool:
        """Return whether its end is known. A file that arrives afterwards is not evidence."""
        return self._over.done()

    def delivery(self) -> Delivery:
        """Return the delivery of its evidence, once.

        Raises:
            OSError: it cannot be opened, was begun already, or the capture is over.
        """
        if self._delivering or self.over:
            raise FileExistsError("the evidence was delivered already, or the capture is over")
        self._delivering = True
        return Delivery(self._path, self._most_bytes)

    def end_delivery(self) -> None:
        """Note the end of the delivery."""
        self._delivering = False

    def hear_part(self, size: int) -> None:
        """Note `size` delivered bytes of its evidence."""
        now = self._monotonic()
        self._until = min(max(self._until, now) + size / _SLOWEST, now + STOPPING_S)

    def _hear_word(self) -> None:
        if not self._stopped:
            self._until = self._monotonic() + SILENCE_S

    def hear_delivered(self, delivered: Delivered) -> None:
        """Note that its evidence is delivered."""
        self._delivered = delivered

    def hear_no_room(self) -> None:
        """Note that the disk has no room for its evidence."""
        self._disk_full = True

    def _end(self, outcome: Outcome) -> None:
        if not self._over.done():
            self._over.set_result(outcome)
