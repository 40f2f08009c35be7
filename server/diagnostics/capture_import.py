"""Capture files that someone brings into custody: out of a call, into the pipe of the worker that masks them.

No byte of such a file is stored here. The pipe holds what the worker has not read yet, and while it is full nothing
more is taken from the caller. That a file came to its end is said by its last part, never by a stream that closes:
from here that looks the same as a caller that went away.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import suppress

from linewarden.diagnostics.capture_model import Capture
from linewarden.diagnostics.captures.ports import Order
from linewarden.diagnostics.captures.supervisor import Supervisor
from linewarden.diagnostics.packets.model import StopReason
from linewarden.diagnostics.packets.pcap_file import PcapReader
from linewarden.diagnostics.packets.pcapng_file import MAGIC
from linewarden.server.errors import InvalidRequest, StreamLimitExceeded, Violation
from linewarden.v1 import capture_pb2 as pb

_NO_CAPTURE = Violation("content", "content.capture_file", "must begin as a pcap or pcapng file does")
_NOT_WHOLE = Violation("last", "last.missing", "the file must come to its end")


class CaptureImport:
    """The files that come in to this process. `most_bytes` is the size of the longest one."""

    def __init__(self, supervisor: Supervisor, most_bytes: int) -> None:
        self._supervisor = supervisor
        self._most_bytes = most_bytes
        self._coming: set[asyncio.Task[None]] = set()

    async def bring(self, log_id: int, capture: Capture, order: Order, parts: AsyncIterator[bytes]) -> None:
        """Run a capture that was recorded as running on the file in `parts`; returns when its end is recorded.

        When whoever waits for this is cancelled, or `parts` raises, the capture ends with the reason ERROR.

        Raises:
            DiagnosisUnavailable: the worker did not start; the capture is recorded as failed.
            StreamLimitExceeded: the file is too long; the capture ended with the reason BYTES.
            what `parts` raises.
        """
        pipe = _Pipe()
        mailing = asyncio.create_task(self._send(parts, pipe))
        coming = asyncio.create_task(self._attend(log_id, capture, order, pipe, mailing))
        self._coming.add(coming)
        coming.add_done_callback(self._coming.discard)
        try:
            # A capture that is recorded as running must not be left without its watcher, whoever goes away.
            await asyncio.shield(coming)
        except asyncio.CancelledError:
            mailing.cancel()
            raise

    async def _attend(
        self, log_id: int, capture: Capture, order: Order, pipe: "_Pipe", mailing: asyncio.Task[None]
    ) -> None:
        try:
            await self._supervisor.run(log_id, capture, order, pipe.far_end)
            pipe.close_far_end()
            ending = asyncio.create_task(self._supervisor.ended(log_id, capture.id))
            await asyncio.wait({ending, mailing}, return_when=asyncio.FIRST_COMPLETED)
            fault = _fault_of(mailing)
            if fault is not None:
                # The worker hears this before it finds the end of the pipe, or the file would look whole.
                too_long = isinstance(fault, StreamLimitExceeded)
                self._supervisor.stop_now(log_id, capture.id, StopReason.BYTES if too_long else StopReason.ERROR)
            if mailing.done():
                pipe.close()
            await ending
        finally:
            mailing.cancel()
            await asyncio.wait({mailing})
            _fault_of(mailing)  # or it would be reported as one that nobody looked at
            pipe.close()
        if fault is not None:
            raise fault

    async def _send(self, parts: AsyncIterator[bytes], pipe: "_Pipe") -> None:
        sent = 0
        with suppress(BrokenPipeError):  # the worker has reached a limit, or is lost: its end says which
            async for part in parts:
                sent += len(part)
                if sent > self._most_bytes:
                    raise StreamLimitExceeded("bytes")
                await pipe.write(part)


def check_beginning(content: bytes) -> None:
    """Make sure that a file begins as a capture file does.

    Raises:
        InvalidRequest: it does not.
    """
    if content[:4] != MAGIC and not PcapReader.knows(content[:4]):
        raise InvalidRequest((_NO_CAPTURE,))


async def parts_of(
    first: pb.UploadCaptureRequest, rest: AsyncIterator[pb.UploadCaptureRequest]
) -> AsyncIterator[bytes]:
    """Yield the parts of a file, to its end.

    Raises:
        InvalidRequest: the last part does not come.
        what `rest` raises.
    """
    yield first.content
    if first.last:
        return
    async for message in rest:
        yield message.content
        if message.last:
            return
    raise InvalidRequest((_NOT_WHOLE,))


class _Pipe:
    """The pipe into a worker. Its far end is for the worker; ours never blocks the process."""

    def __init__(self) -> None:
        self.far_end, self._near_end = os.pipe()
        os.set_blocking(self._near_end, False)

    async def write(self, data: bytes) -> None:
        """Write all of it, as fast as it is read. Raises BrokenPipeError when nobody reads any more."""
        rest = memoryview(data)
        while rest:
            try:
                rest = rest[os.write(self._near_end, rest) :]
            except BlockingIOError:
                await self._room()

    async def _room(self) -> None:
        loop = asyncio.get_running_loop()
        room = asyncio.Event()
        loop.add_writer(self._near_end, room.set)
        try:
            await room.wait()
        finally:
            loop.remove_writer(self._near_end)

    def close_far_end(self) -> None:
        """The worker has its own; only without ours does a write find out that it is gone."""
        if self.far_end >= 0:
            os.close(self.far_end)
            self.far_end = -1

    def close(self) -> None:
        """The end of the file. Nobody may be writing."""
        self.close_far_end()
        if self._near_end >= 0:
            os.close(self._near_end)
            self._near_end = -1


def _fault_of(mailing: asyncio.Task[None]) -> BaseException | None:
    if not mailing.done():
        return None
    return asyncio.CancelledError() if mailing.cancelled() else mailing.exception()
