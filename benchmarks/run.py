"""`make bench`: measure the service beside its references, and write RESULTS.md.

A full run takes some minutes and writes benchmarks/RESULTS.md. A quick or partial run writes
benchmarks/.cache/RESULTS.md instead.
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
from results import page
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
    began, when, others = monotonic(), datetime.now(UTC), [busy()]
    CACHE.mkdir(exist_ok=True)
    sections = []
    for name, part in PARTS.items():
        if name in chosen.only:
            print(f"measuring {name} …", flush=True)
            sections.append(_measured(part, extent))
            others.append(busy())
    command = "benchmarks/run.py" + (" --quick" if chosen.quick else "") + (" --full" if chosen.full else "")
    command += "" if chosen.only == list(PARTS) else f" --only {' '.join(chosen.only)}"
    facts = {"The machine": machine(), "Versions": versions()}
    text = page(when, (monotonic() - began) / 60, command, others, facts, sections)
    whole = not chosen.quick and set(chosen.only) == set(PARTS)
    file = (HERE if whole else CACHE) / "RESULTS.md"
    file.write_text(text, encoding="utf-8")
    print(f"{text}\nwritten to {file.relative_to(HERE.parent)}")


def _measured(part: Callable[[Path, Extent], Section], extent: Extent) -> Section:
    with tempfile.TemporaryDirectory(dir=CACHE, prefix="run-", ignore_cleanup_errors=True) as scratch:
        return part(Path(scratch), extent)


if __name__ == "__main__":
    main()
