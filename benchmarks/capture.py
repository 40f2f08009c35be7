"""Capture RTP from loopback at a steady rate, masked and sealed to disk, and report the losses.

    python benchmarks/capture.py [--rate 50000] [--seconds 10] [--profile signalling]

Several processes send G.711-sized RTP; the real worker captures, the real sealer writes an age file. tcpdump and
scapy's sniff run under the same load when they are there. Needs root or CAP_NET_RAW. Counts must agree: what was sent,
what the kernel says it received, what was delivered, dropped, written.
"""

import argparse
import importlib
import json
import multiprocessing
import os
import resource
import secrets
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import machine
from results import table

from linewarden.diagnostics.packets.launch import WorkerProcess, start_worker
from linewarden.diagnostics.packets.model import CaptureLimits, Profile, Selector, StopReason, Transport
from linewarden.diagnostics.packets.ticket import KEY_BYTES, StartTicket, digest

_PAGE = Path(__file__).with_name("CAPTURE.md")
_HEAD = """\
# Capturing

Written by `make bench-capture`; {when:%Y-%m-%d %H:%M} UTC. G.711-sized RTP on loopback, {rate:,} packets a second for
{seconds} seconds (scapy: at most 5), from two processes on the same machine. Linewarden masks what it captures and
seals it for a reader; tcpdump writes it as it is, scapy counts it, and sees every packet of loopback twice.
"""

PORT = 40_000
SENDERS = 2
PAYLOAD = 160


def send(rate: int, seconds: float, number: int, sent: Any) -> None:
    """Send RTP at `rate` packets a second, in bursts of a millisecond."""
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.connect(("127.0.0.1", PORT))
    header, media = struct.Struct("!BBHII").pack, os.urandom(PAYLOAD)
    began, count = time.perf_counter(), 0
    while (passed := time.perf_counter() - began) < seconds:
        while count < passed * rate:
            out.send(header(0x80, 0, count & 0xFFFF, 160 * count & 0xFFFFFFFF, number) + media)
            count += 1
        time.sleep(0.001)
    sent.value = count


def load(rate: int, seconds: float) -> int:
    """Run the senders to their end; return the number of packets they sent."""
    counts = [multiprocessing.Value("q", 0) for _ in range(SENDERS)]
    senders = [
        multiprocessing.Process(target=send, args=(rate // SENDERS, seconds, number, counts[number]))
        for number in range(SENDERS)
    ]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    return sum(count.value for count in counts)


def ticket(profile: Profile, seconds: int) -> StartTicket:
    """Return an order to capture the load."""
    return StartTicket(
        id="bench",
        tenant="bench",
        who="benchmark",
        why="measuring",
        profile=profile,
        limits=CaptureLimits(seconds + 30, 10**12, 10**9, 262_144, 0, 10**9, 30),
        start_before_ns=time.time_ns() + 10**10,
        interface="lo",
        selector=Selector(ports=((PORT, PORT),), transport=Transport.UDP),
    )


def status_line(worker: WorkerProcess, kind: str) -> dict[str, Any]:
    """Return the next status line of one kind."""
    stdout = worker.process.stdout
    while stdout is not None and (line := stdout.readline()):
        message: dict[str, Any] = json.loads(line)
        if message["type"] == kind:
            return message
    raise SystemExit("the worker ended without a report")


def bench_worker(profile: Profile, rate: int, seconds: int, folder: Path) -> dict[str, Any]:
    """Run the worker under load."""
    order = ticket(profile, seconds)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    worker = start_worker(order, secrets.token_bytes(KEY_BYTES))
    recipient = _recipient()
    sealer = subprocess.Popen(
        [
            *(sys.executable, "-m", "linewarden.diagnostics.evidence.sealing", f"--recipient={recipient}"),
            *(f"--ticket-digest={digest(order).hex()}", str(folder / f"{profile}.age")),
        ],
        stdin=worker.evidence_fd,
        stdout=subprocess.PIPE,
    )
    os.close(worker.evidence_fd)
    first = status_line(worker, "state")
    if first["state"] != "running":
        raise SystemExit(f"the worker refused: {first['detail']}")
    sent = load(rate, seconds)
    worker.stop(StopReason.REQUESTED)
    report = status_line(worker, "report")
    made = json.loads(sealer.communicate()[0])
    worker.process.wait()
    if made["manifest"] != report["manifest"]:
        raise SystemExit("worker and sealer disagree on the evidence")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    counters: dict[str, Any] = report["counters"]
    if counters["received"] != counters["delivered"] + counters["dropped"]:
        raise SystemExit("the counters do not agree")
    return {
        "tool": f"linewarden {profile}",
        "sent": sent,
        "received": counters["received"],
        "lost": sent - counters["written"],
        "sealed_mb": made["bytes"] / 1e6,
        "all_cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
    }


def bench_tcpdump(rate: int, seconds: int, folder: Path) -> dict[str, Any]:
    """Run tcpdump under load, with a 64 MiB buffer."""
    process = subprocess.Popen(
        ["tcpdump", "-i", "lo", "-Q", "in", "-B", "65536", "-w", str(folder / "t.pcap"), f"udp port {PORT}"],
        stderr=subprocess.PIPE,
        text=True,
    )
    time.sleep(1)
    sent = load(rate, seconds)
    time.sleep(1)
    process.terminate()
    said = process.communicate()[1]
    captured = next(int(line.split()[0]) for line in said.splitlines() if "packets captured" in line)
    return {"tool": "tcpdump", "sent": sent, "received": captured, "lost": sent - captured}


def bench_scapy(rate: int, seconds: int) -> dict[str, Any]:
    """Run scapy's AsyncSniffer under load; it only counts."""
    from scapy.sendrecv import AsyncSniffer  # noqa: PLC0415 - slow to load, and it may be missing

    seen = [0]

    def count(_: object) -> None:
        seen[0] += 1

    sniffer = AsyncSniffer(iface="lo", filter=f"udp port {PORT}", store=False, prn=count)
    sniffer.start()
    time.sleep(1)
    sent = load(rate, seconds)
    sniffer.stop()
    # It sees every packet of loopback twice.
    return {"tool": "scapy sniff", "sent": 2 * sent, "received": seen[0], "lost": 2 * sent - seen[0]}


def _recipient() -> str:
    identity: Any = importlib.import_module("pyrage").x25519.Identity.generate()
    return str(identity.to_public())


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=50_000, help="packets a second")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--profile", choices=[p.value for p in Profile], default="signalling")
    parser.add_argument("--compare", action="store_true", help="also scapy, and tcpdump where it is installed")
    parser.add_argument("--write", action="store_true", help="write benchmarks/CAPTURE.md as well")
    options = parser.parse_args()
    # Bound and never read, because the kernel then drops the packets at no cost to the measurement.
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink.bind(("127.0.0.1", PORT))
    with tempfile.TemporaryDirectory() as folder:
        rows = [bench_worker(Profile(options.profile), options.rate, options.seconds, Path(folder))]
        if options.compare and shutil.which("tcpdump"):
            rows.append(bench_tcpdump(options.rate, options.seconds, Path(folder)))
        if options.compare:
            rows.append(bench_scapy(options.rate, min(options.seconds, 5)))
    for row in rows:
        print(
            "  ".join(f"{name} {round(value, 2) if isinstance(value, float) else value}" for name, value in row.items())
        )
    if options.write:
        _PAGE.write_text(_page(rows, options.rate, options.seconds), encoding="utf-8")


def _page(rows: list[dict[str, Any]], rate: int, seconds: int) -> str:
    """Return the figures as Markdown. Received is what the kernel says passed the filter, or what a tool reports."""
    heads = ("tool", "sent", "received", "lost", "sealed_mb", "all_cpu_s")
    cells = [[_cell(row.get(head, "")) for head in heads] for row in rows]
    names = ("tool", "sent", "received", "lost", "masked and sealed, MB", "processor time with the senders', s")
    facts = [["", ""], *([name, value] for name, value in machine().items())]
    return "\n".join(
        (_HEAD.format(when=datetime.now(UTC), rate=rate, seconds=seconds), table([names, *cells]), table(facts))
    )


def _cell(value: Any) -> str:
    return f"{value:,.1f}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


if __name__ == "__main__":
    main()
