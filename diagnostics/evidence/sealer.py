"""The sealer of one worker: a process between the worker's evidence and the disk."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from linewarden.diagnostics.captures.failures import CaptureFailure
from linewarden.diagnostics.evidence.seal_file import SealFile, parse_seal
from linewarden.diagnostics.evidence.sealing import DISK_FULL, FAILED

_MODULE = "linewarden.diagnostics.evidence.sealing"


class Sealer:
    """A sealer that runs. It ends when its input does; before that, only if something is wrong."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._output = asyncio.create_task(self._listen())

    def when_lost(self, tell: Callable[[], None]) -> None:
        """Call `tell` as soon as it ends without having sealed: what the worker makes then goes nowhere."""
        self._output.add_done_callback(lambda _done: None if self._process.returncode == 0 else tell())

    async def seal(self, patience_s: float) -> SealFile | None:
        """Return what was sealed, once the worker has ended. One that takes longer than `patience_s` is ended itself."""
        try:
            async with asyncio.timeout(patience_s):
                output = await asyncio.shield(self._output)
        except TimeoutError:
            self._process.kill()
            output = await self._output
        return parse_seal(output) if self._process.returncode == 0 else None

    @property
    def disk_full(self) -> bool:
        """Return whether it ended for want of room."""
        return self._process.returncode == DISK_FULL

    @property
    def cause(self) -> CaptureFailure:
        """Return why nothing was sealed."""
        if self.disk_full:
            return CaptureFailure.NO_ROOM
        return CaptureFailure.NOT_SEALED if self._process.returncode in {0, FAILED} else CaptureFailure.SEALER_LOST

    async def _listen(self) -> bytes:
        output, _none = await self._process.communicate()
        return output


async def start_sealer(
    evidence_fd: int, path: Path, seal_path: Path, public_keys: Sequence[str], ticket_digest: bytes
) -> Sealer:
    """Return a sealer that reads `evidence_fd`, which stays the caller's.

    Raises:
        OSError: it cannot be started.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-P",
        "-m",
        _MODULE,
        *(f"--recipient={key_alone(one)}" for one in public_keys),
        f"--ticket-digest={ticket_digest.hex()}",
        f"--seal={seal_path}",
        str(path),
        stdin=evidence_fd,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        # A Ctrl-C is for the server, which then lets the capture end in order.
        start_new_session=True,
    )
    return Sealer(process)


def key_alone(public_key: str) -> str:
    """Return a public key without the comment of SSH, a name or mail address: every user of the host sees arguments."""
    return " ".join(public_key.split()[:2]) if public_key.startswith("ssh-") else public_key
