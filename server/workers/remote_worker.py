"""A capture that runs at another host, as the supervisor of this process knows it."""

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

#: A worker that says nothing of a capture for so long is lost, seconds; it should say something every second.
SILENCE_S = 30.0
#: Once it is told to stop, words count no more: it has so long to begin with its evidence, and to end, seconds.
STOPPING_S = 60.0
#: What comes of the evidence earns time at this rate, bytes a second. A link that is slower than that delivers nothing.
_SLOWEST = 16_384
#: How often that is looked at, seconds.
_LOOK_S = 1.0
#: What age adds to a file: a header, and a little for each 64 KiB.
_HEADER_BYTES = 1 << 20


class RemoteWorker:
    """One capture. `say` speaks to its worker, `path` is where its evidence is to lie."""

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
        #: Whether it has begun, once that is known.
        self.begun: asyncio.Future[bool] = loop.create_future()

    def tally(self) -> Tally:
        """Return what happened to the packets, at the last word from the worker."""
        return self._tally

    def heartbeat(self, *, paused: bool) -> None:
        """Let it go on for another lease, taking packets or not."""
        beat = worker_pb2.CaptureHeartbeat(capture_id=self._capture_id, paused=paused)
        self._say(worker_pb2.ConnectResponse(heartbeat=beat))

    def stop(self, reason: StopReason) -> None:
        """Tell it to stop; the first reason counts."""
        if self._stopped:
            return
        self._stopped = True
        self._until = self._monotonic() + STOPPING_S
        order = worker_pb2.StopCapture(capture_id=self._capture_id, reason=number(reason))
        self._say(worker_pb2.ConnectResponse(stop=order))

    async def ended(self) -> Outcome:
        """Wait until it has ended and its evidence is here, or it is lost."""
        while not (await asyncio.wait({self._over}, timeout=_LOOK_S))[0]:
            if self._monotonic() > self._until:
                self.lose()
        outcome = self._over.result()
        if outcome.evidence is None:
            # Nobody vouches for a file without a record.
            await asyncio.to_thread(self._path.unlink, missing_ok=True)
        return outcome

    def hear_begun(self, *, begun: bool) -> None:
        """The worker has begun, or will not."""
        self._hear_word()
        if not self.begun.done():
            self.begun.set_result(begun)

    def hear_progress(self, message: worker_pb2.CaptureProgress) -> None:
        """The worker says how it goes.

        Raises:
            ValueError: what it says makes no sense.
        """
        self._hear_word()
        self._tally = tally_of(message.counters)

    def hear_ended(self, message: worker_pb2.CaptureEnded) -> None:
        """The worker says how it ended. Evidence is what it says only if that is what was delivered.

        Raises:
            ValueError: what it says makes no sense.
        """
        stated = evidence_said(message.evidence, self._path.name) if message.HasField("evidence") else None
        came = self._delivered
        whole = stated is not None and came == Delivered(stated.sealed_bytes, stated.sealed_sha256)
        reason = StopReason.DISK_LOW if self._disk_full else reason_of(message)
        self._tally = replace(tally_of(message.counters), complete=reason is not StopReason.WORKER_LOST)
        said = message.cause if message.cause in set(CaptureFailure) else ""
        if whole:
            self._end(Outcome(reason, self._tally, stated, said))
        else:
            here = (
                CaptureFailure.NO_ROOM
                if self._disk_full
                else CaptureFailure.NOT_SEALED
                if stated is None
                else CaptureFailure.NOT_DELIVERED
            )
            self._end(Outcome(reason, self._tally, None, said or here))

    def lose(self) -> None:
        """Nothing more will be heard of it."""
        self.hear_begun(begun=False)
        self._end(
            Outcome(StopReason.WORKER_LOST, replace(self._tally, complete=False), None, CaptureFailure.WORKER_LOST)
        )

    @property
    def over(self) -> bool:
        """Return whether its end is known: what comes of it afterwards is no evidence."""
        return self._over.done()

    def delivery(self) -> Delivery:
        """Return where its evidence is to be written, once.

        Raises:
            OSError: it cannot be begun, was begun already, or the capture is over.
        """
        if self._delivering or self.over:
            raise FileExistsError("the evidence is there already, or wanted no more")
        self._delivering = True
        return Delivery(self._path, self._most_bytes)

    def end_delivery(self) -> None:
        """Nothing more comes. What came whole is there, and nothing else is."""
        self._delivering = False

    def hear_part(self, size: int) -> None:
        """So many bytes of its evidence came in."""
        now = self._monotonic()
        self._until = min(max(self._until, now) + size / _SLOWEST, now + STOPPING_S)

    def _hear_word(self) -> None:
        if not self._stopped:
            self._until = self._monotonic() + SILENCE_S

    def hear_delivered(self, delivered: Delivered) -> None:
        """Its evidence is here."""
        self._delivered = delivered

    def hear_no_room(self) -> None:
        """There is no room for its evidence."""
        self._disk_full = True

    def _end(self, outcome: Outcome) -> None:
        if not self._over.done():
            self._over.set_result(outcome)
