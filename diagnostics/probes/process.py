"""Running a probe in a process of its own, with an end whatever the process does."""

import asyncio
import json
import sys
from dataclasses import asdict
from typing import Any

from linewarden.diagnostics.probes.model import ProbeOrder, ProbeResult

_MODULE = "linewarden.diagnostics.probes"

#: How long the start of the process and the system's resolver may take beyond the timeout of the probe, seconds.
_MARGIN_S = 5.0

#: What a probe whose process was ended, or ended itself, has found.
LOST = ProbeResult(succeeded=False, values={"error": "probe_lost"})


async def run_probe(order: ProbeOrder) -> ProbeResult:
    """Run a probe. Whatever becomes of its process, there are findings; they may be `LOST`."""
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
    """Return the findings, as far as a process that was turned by its peer can be believed to say any."""
    try:
        stated: Any = json.loads(found)
        values = {str(name): str(value) for name, value in stated["values"].items()}
        return ProbeResult(succeeded=stated["succeeded"] is True, values=values)
    except (ValueError, KeyError, TypeError, AttributeError):
        return LOST
