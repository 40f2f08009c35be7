"""What the figures were measured on: the machine and the versions of everything that takes part."""

import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import pysqlite3

_DISTRIBUTIONS = ("grpcio", "protobuf", "pycasbin", "SQLAlchemy", "psycopg", "cryptography", "orjson")


def machine() -> dict[str, str]:
    """The processor, its cores, the memory, the system."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "load when the run began": f"{os.getloadavg()[0]:.1f} (mean of one minute; other work slows all sides)",
    }


def versions() -> dict[str, str]:
    """The versions of Python and the libraries that matter for speed."""
    found = {"Python": platform.python_version()}
    found |= {name: version(name) for name in _DISTRIBUTIONS}
    return found | {"SQLite": pysqlite3.sqlite_version}


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"
