"""The machine of a measurement, and the versions of everything that takes part."""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path
from time import sleep

import pysqlite3

_LOOK_S = 2

_DISTRIBUTIONS = ("grpcio", "protobuf", "pycasbin", "SQLAlchemy", "psycopg", "cryptography", "orjson")


def machine() -> dict[str, str]:
    """Return the processor, its cores, the memory and the system."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
    }


def busy() -> float:
    """Return the part of processor time in use, 0 to 1; 0 where the system does not report it."""
    if sys.platform != "linux":
        return 0.0
    idle_before, all_before = _ticks()
    sleep(_LOOK_S)
    idle, all_of_it = _ticks()
    return 1 - (idle - idle_before) / max(1, all_of_it - all_before)


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that matter for speed."""
    found = {"Python": platform.python_version()}
    found |= {name: version(name) for name in _DISTRIBUTIONS}
    return found | {"SQLite": pysqlite3.sqlite_version}


def _ticks() -> tuple[int, int]:
    fields = [int(field) for field in Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]]
    return fields[3] + fields[4], sum(fields)


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
