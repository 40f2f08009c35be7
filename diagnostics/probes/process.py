"""Run of a probe in a separate process, with a time limit that the process cannot exceed."""

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Any

from linewarden.diagnostics.probes.model import ProbeOrder, ProbeResult

_MODULE = "linewarden.diagnostics.probes"

#: The time for the start of the process and the system's resolver beyond the timeout of the probe, seconds.
_MARGIN_S = 5.0

#: The result of a probe whose process failed or was killed.
LOST = ProbeResult(succeeded=False, values={"error": "probe_lost"})


async def run_probe(order: ProbeOrder) -> ProbeResult:
    """Run a probe; return `LOST` if its process fails."""
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-m",
            _MODULE,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"},
            start_new_session=True,
        )
    except OSError:
        return LOST
    try:
        async with asyncio.timeout(order.timeout_s + _MARGIN_S):
            found, _none = await process.communicate(json.dumps(asdict(order)).encode())
    except TimeoutError:
        return LOST
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return _findings(found) if process.returncode == 0 else LOST


def _findings(found: bytes) -> ProbeResult:
    """Return the findings in the output of a process, which a hostile peer may have taken over."""
    try:
        stated: Any = json.loads(found)
        values = {str(name): str(value) for name, value in stated["values"].items()}
        return ProbeResult(succeeded=stated["succeeded"] is True, values=values)
    except (ValueError, KeyError, TypeError, AttributeError):
        return LOST
