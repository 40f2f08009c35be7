"""The sealer of one worker: a process between the evidence of the worker and the disk."""

import asyncio
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from linewarden.diagnostics.captures.failures import CaptureFailure
from linewarden.diagnostics.evidence.seal_file import SealFile, parse_seal
from linewarden.diagnostics.evidence.sealing import DISK_FULL, FAILED

_MODULE = "linewarden.diagnostics.evidence.sealing"


class Sealer:
    """A running sealer. It ends when its input ends, or earlier if it fails."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._output = asyncio.create_task(self._listen())

    def when_lost(self, tell: Callable[[], None]) -> None:
        """Call `tell` as soon as the sealer ends without having sealed, because the evidence is lost from then on."""
        self._output.add_done_callback(lambda _done: None if self._process.returncode == 0 else tell())

    async def seal(self, patience_s: float) -> SealFile | None:
        """Return the seal once the worker has ended. Kill a sealer that takes longer than `patience_s`."""
        try:
            async with asyncio.timeout(patience_s):
                output = await asyncio.shield(self._output)
        except TimeoutError:
            self._process.kill()
            output = await self._output
        return parse_seal(output) if self._process.returncode == 0 else None

    @property
    def disk_full(self) -> bool:
        """Return whether the sealer ended because the disk was full."""
        return self._process.returncode == DISK_FULL

    @property
    def cause(self) -> CaptureFailure:
        """Return the cause of a missing seal."""
        if self.disk_full:
            return CaptureFailure.NO_ROOM
        return CaptureFailure.NOT_SEALED if self._process.returncode in {0, FAILED} else CaptureFailure.SEALER_LOST

    async def _listen(self) -> bytes:
        output, _none = await self._process.communicate()
        return output


async def start_sealer(
    evidence_fd: int, path: Path, seal_path: Path, public_keys: Sequence[str], ticket_digest: bytes
) -> Sealer:
    """Start a sealer that reads `evidence_fd`; the caller closes it.

    Raises:
        OSError: the process cannot be started.
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
        # A Ctrl-C is meant for the server, which then ends the capture in order.
        start_new_session=True,
    )
    return Sealer(process)


def key_alone(public_key: str) -> str:
    """Return a public key without its SSH comment, because every user of the host can see arguments."""
    return " ".join(public_key.split()[:2]) if public_key.startswith("ssh-") else public_key
