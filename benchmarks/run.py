"""`make bench`: measure the service beside its references, and write RESULTS.md.

A full run takes some minutes and writes benchmarks/RESULTS.md. A run of some parts replaces these parts of it. A quick
run writes benchmarks/.cache/RESULTS.md instead.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import anatomy
import appends
import clients
import decisions
import indexing
import rpcs
import tenants
import workers
from machine import busy, machine, versions
from results import page, part, parts_of
from section import Section

HERE = Path(__file__).resolve().parent
CACHE = HERE / ".cache"


@dataclass(frozen=True, slots=True)
class Extent:
    """The number of rounds, calls and seconds of a run."""

    sizes: Sequence[int]
    rounds: int
    rpc_rounds: int
    seconds: float
    entries: int
    calls: int
    logs: Sequence[int]
    tenants: int


FULL = Extent((10, 1_000, 10_000, 100_000, 1_000_000), 7, 7, 2.0, 40_000, 6_000, (10_000, 100_000, 1_000_000), 2_000)
QUICK = Extent((10, 1_000, 10_000), 3, 3, 0.7, 5_000, 2_000, (10_000, 40_000), 200)

PARTS: dict[str, Callable[[Path, Extent], Section]] = {
    "decisions": lambda _scratch, extent: decisions.measure(extent.sizes, extent.rounds),
    "appends": lambda scratch, extent: appends.measure(scratch, extent.rounds, extent.entries),
    "grpc": lambda scratch, extent: rpcs.measure(scratch, CACHE, extent.rpc_rounds, extent.seconds),
    "clients": lambda scratch, extent: clients.measure(scratch, extent.rpc_rounds),
    "index": lambda scratch, extent: indexing.measure(scratch, extent.logs, extent.rounds),
    "tenants": lambda scratch, extent: tenants.measure(scratch, extent.tenants, extent.rounds),
    "workers": lambda scratch, extent: workers.measure(scratch, extent.rounds, extent.seconds),
    "profile": lambda scratch, extent: anatomy.measure(scratch, extent.rounds, extent.calls),
}


def main() -> None:
    """Measure the chosen parts, write the results and show them."""
    parser = argparse.ArgumentParser(description="Measure Linewarden beside its references.")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds, fewer rules")
    parser.add_argument(
        "--only", nargs="+", choices=sorted(PARTS), default=list(PARTS), metavar="NAME", help=", ".join(PARTS)
    )
    parser.add_argument("--full", action="store_true", help="also a log of 10,000,000 entries, which takes an hour")
    chosen = parser.parse_args()
    extent = QUICK if chosen.quick else FULL
    if chosen.full:
        extent = replace(extent, logs=(*extent.logs, 10_000_000))
    command = "benchmarks/run.py" + (" --quick" if chosen.quick else "") + (" --full" if chosen.full else "")
    command += "" if chosen.only == list(PARTS) else f" --only {' '.join(chosen.only)}"
    CACHE.mkdir(exist_ok=True)
    file = (CACHE if chosen.quick else HERE) / "RESULTS.md"
    parts = parts_of(file.read_text(encoding="utf-8")) if file.exists() and not chosen.quick else {}
    for name in chosen.only:
        print(f"measuring {name} …", flush=True)
        parts[name] = _measured(PARTS[name], extent, command)
        # Written after each part, so that a run that is stopped keeps what it measured.
        file.write_text(page({name: parts[name] for name in PARTS if name in parts}), encoding="utf-8")
        print(parts[name], flush=True)
    print(f"written to {file.relative_to(HERE.parent)}")


def _measured(measure: Callable[[Path, Extent], Section], extent: Extent, command: str) -> str:
    """Return the text of a part."""
    began, when, before = monotonic(), datetime.now(UTC), busy()
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="run-", ignore_cleanup_errors=True) as scratch:
        section = measure(Path(scratch), extent)
    minutes = (monotonic() - began) / 60
    return part(when, minutes, command, [before, busy()], {**machine(), **versions()}, section)


if __name__ == "__main__":
    main()
