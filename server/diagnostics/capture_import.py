"""Import of capture files: from the stream of a call into the pipe of the worker that masks them.

No byte of the file is stored unmasked. The pipe holds unread bytes, and while it is full no more is read from the
caller. The last part marks the end of the file. The end of the stream does not, because a caller that disconnects looks
the same.
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

_NO_CAPTURE = Violation("content", "content.capture_file", "must begin like a pcap or pcapng file")
_NOT_WHOLE = Violation("last", "last.missing", "must be set in the last message of the file")


class CaptureImport:
    """The imports of this process. `most_bytes` is the maximum size of a file."""

    def __init__(self, supervisor: Supervisor, most_bytes: int) -> None:
        self._supervisor = supervisor
        self._most_bytes = most_bytes
        self._running: set[asyncio.Task[None]] = set()

    async def bring(self, log_id: int, capture: Capture, order: Order, parts: AsyncIterator[bytes]) -> None:
        """Run a capture that is recorded as running on the file in `parts`. Return when its end is recorded.

        If this call is cancelled, or `parts` raises, the capture ends with the reason ERROR.

        Raises:
            DiagnosisUnavailable: the worker did not start; the capture is recorded as failed.
            StreamLimitExceeded: the file is too long; the capture ended with the reason BYTES.
            Exception: any error of `parts`.
        """
        pipe = _Pipe()
        sending = asyncio.create_task(self._send(parts, pipe))
        running = asyncio.create_task(self._run(log_id, capture, order, pipe, sending))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        try:
            # A capture that is recorded as running must stay watched, even if the caller disconnects.
            await asyncio.shield(running)
        except asyncio.CancelledError:
            sending.cancel()
            raise

    async def _run(
        self, log_id: int, capture: Capture, order: Order, pipe: "_Pipe", sending: asyncio.Task[None]
    ) -> None:
        try:
            await self._supervisor.run(log_id, capture, order, pipe.far_end)
            pipe.close_far_end()
            ending = asyncio.create_task(self._supervisor.ended(log_id, capture.id))
            await asyncio.wait({ending, sending}, return_when=asyncio.FIRST_COMPLETED)
            fault = _fault_of(sending)
            if fault is not None:
                # The worker gets the order before it reads the end of the pipe, or the file would look complete.
                too_long = isinstance(fault, StreamLimitExceeded)
                self._supervisor.stop_now(log_id, capture.id, StopReason.BYTES if too_long else StopReason.ERROR)
            if sending.done():
                pipe.close()
            await ending
        finally:
            sending.cancel()
            await asyncio.wait({sending})
            _fault_of(sending)  # or asyncio would log it as never retrieved
            pipe.close()
        if fault is not None:
            raise fault

    async def _send(self, parts: AsyncIterator[bytes], pipe: "_Pipe") -> None:
        sent = 0
        with suppress(BrokenPipeError):  # the worker has reached a limit or is lost; its end says which
            async for part in parts:
                sent += len(part)
                if sent > self._most_bytes:
                    raise StreamLimitExceeded("bytes")
                await pipe.write(part)


def check_beginning(content: bytes) -> None:
    """Make sure that a file begins like a capture file.

    Raises:
        InvalidRequest: it begins with other bytes.
    """
    if content[:4] != MAGIC and not PcapReader.knows(content[:4]):
        raise InvalidRequest((_NO_CAPTURE,))


async def parts_of(
    first: pb.UploadCaptureRequest, rest: AsyncIterator[pb.UploadCaptureRequest]
) -> AsyncIterator[bytes]:
    """Yield the parts of a file, to its end.

    Raises:
        InvalidRequest: the last part is missing.
        Exception: any error of `rest`.
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
    """The pipe into a worker. The worker reads its far end; the near end never blocks the process."""

    def __init__(self) -> None:
        self.far_end, self._near_end = os.pipe()
        os.set_blocking(self._near_end, False)

    async def write(self, data: bytes) -> None:
        """Write all bytes, as fast as they are read. Raise BrokenPipeError if the worker has closed its end."""
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
        """Close the far end here, so that a write fails when the worker is gone. The worker has a copy."""
        if self.far_end >= 0:
            os.close(self.far_end)
            self.far_end = -1

    def close(self) -> None:
        """Close both ends, which marks the end of the file. No write may be in progress."""
        self.close_far_end()
        if self._near_end >= 0:
            os.close(self._near_end)
            self._near_end = -1


def _fault_of(sending: asyncio.Task[None]) -> BaseException | None:
    if not sending.done():
        return None
    return asyncio.CancelledError() if sending.cancelled() else sending.exception()
