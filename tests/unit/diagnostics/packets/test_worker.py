"""The run of a capture with its pipes: orders, limits, reasons to stop, evidence and its chain."""

import dataclasses
import hashlib
import io
import json
import os
from collections.abc import Sequence
from typing import Any

import pytest

from linewarden.diagnostics.packets.control import Orders, PipeSink, Status
from linewarden.diagnostics.packets.errors import EvidenceLost, OrderInvalid, SourceUnusable, TicketRefused
from linewarden.diagnostics.packets.evidence import CHUNK, Chain, EvidenceWriter
from linewarden.diagnostics.packets.model import (
    CaptureLimits,
    Frame,
    Interface,
    Profile,
    Selector,
    SourceCounters,
    StopReason,
)
from linewarden.diagnostics.packets.source_file import open_capture
from linewarden.diagnostics.packets.ticket import StartTicket, digest
from linewarden.diagnostics.packets.worker import Surroundings, Worker

LIMITS = CaptureLimits(60, 10_000_000, 1_000_000, 65_535, 0, 10, 30)
TICKET = StartTicket("cap-1", "acme", "alice", "case 4711", Profile.HEADERS, LIMITS, 10**18, interface="lo")
FRAME = Frame(1_000, bytes(60), 60)


class _Script:
    """A source that gives what it was told to, and a clock that moves by a second with each read."""

    def __init__(self, *batches: list[Frame] | Exception | None, dropped: int = 0) -> None:
        self.batches = list(batches)
        self.now = 0.0
        self.dropped = dropped
        self.given = 0
        self.closed = False
        self.calls: list[str] = []
        self.interfaces: Sequence[Interface] = (Interface("lo", 1),)

    def read(self, timeout: float) -> list[Frame] | None:
        self.now += max(timeout, 1.0)
        batch = self.batches.pop(0) if self.batches else []
        if isinstance(batch, Exception):
            raise batch
        self.given += len(batch or [])
        return batch

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")

    def stop(self) -> None:
        """Nothing more is made up."""

    def counters(self) -> list[SourceCounters]:
        return [SourceCounters(self.given + self.dropped, self.dropped)]

    def close(self) -> None:
        self.closed = True


class _Sink:
    """Keeps the evidence."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data


class _ScriptedOrders(Orders):
    """Orders of which some come only while the capture is paused; a second passes with each wait."""

    def __init__(self, fd: int, source: _Script, writer: int, while_paused: Sequence[bytes]) -> None:
        super().__init__(fd, lambda: source.now)
        self._source, self._writer, self._coming = source, writer, list(while_paused)

    def wait(self, seconds: float) -> None:
        self._source.now += max(seconds, 1.0)
        if self._coming:
            os.write(self._writer, self._coming.pop(0))


class _Run:
    """One capture with a scripted source, and what came of it."""

    def __init__(
        self,
        source: _Script,
        orders: bytes = b"",
        *,
        free: int | None = None,
        ended: bool = False,
        from_file: bool = False,
        while_paused: Sequence[bytes] = (),
        **limits: int,
    ) -> None:
        ticket = dataclasses.replace(TICKET, limits=dataclasses.replace(LIMITS, **limits))
        if from_file:
            ticket = dataclasses.replace(ticket, interface="", file="case.pcap")
        self.ticket = ticket
        self.sink = _Sink()
        order_reader, self.order_writer = os.pipe()
        os.write(self.order_writer, orders)
        status_reader, status_writer = os.pipe()
        world = Surroundings(
            orders=_ScriptedOrders(order_reader, source, self.order_writer, while_paused),
            status=Status(status_writer),
            now_ns=lambda: 5_000,
            monotonic=lambda: source.now,
            disk_free=lambda: free,
            ended=lambda: ended,
        )
        self.reason = Worker(ticket, source, EvidenceWriter(ticket, "", self.sink, 1_000), world).run()
        os.close(status_writer)
        with os.fdopen(status_reader, "rb") as lines:
            self.lines: list[dict[str, Any]] = [json.loads(line) for line in lines]
        for fd in (order_reader, self.order_writer):
            os.close(fd)
        self.report = next(line for line in self.lines if line["type"] == "report")

    @property
    def counters(self) -> dict[str, Any]:
        counters: dict[str, Any] = self.report["counters"]
        return counters

    def stored(self) -> list[Frame]:
        return list(open_capture(io.BytesIO(self.sink.data)))


STOP = b'{"order":"stop","reason":"%s"}\n'
BEAT = b'{"order":"heartbeat","paused":false}\n'
PAUSE = b'{"order":"heartbeat","paused":true}\n'


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (lambda: _Run(_Script(None)), StopReason.REQUESTED),
        (lambda: _Run(_Script(), seconds=5), StopReason.TIME),
        (lambda: _Run(_Script([FRAME] * 10), packets=3), StopReason.PACKETS),
        (lambda: _Run(_Script([FRAME] * 100), bytes=4_096), StopReason.BYTES),
        (lambda: _Run(_Script([FRAME]), free=99, disk_free_min=100), StopReason.DISK_LOW),
        (lambda: _Run(_Script([FRAME], dropped=11)), StopReason.LOSS_BUDGET),
        (lambda: _Run(_Script([FRAME]), ended=True), StopReason.WORKER_LOST),
        (lambda: _Run(_Script(), lease_seconds=3), StopReason.LEASE_LOST),
        (lambda: _Run(_Script(SourceUnusable("cut"))), StopReason.ERROR),
        (lambda: _Run(_Script(RuntimeError("captured bytes"))), StopReason.ERROR),
        (lambda: _Run(_Script(), b"nonsense\n"), StopReason.ERROR),
        (lambda: _Run(_Script(), STOP % b"requested"), StopReason.REQUESTED),
        (lambda: _Run(_Script(), BEAT + STOP % b"attestation_withdrawn"), StopReason.ATTESTATION_WITHDRAWN),
        (lambda: _Run(_Script(), STOP % b"attestation_expired"), StopReason.ATTESTATION_EXPIRED),
        (lambda: _Run(_Script(), STOP % b"approver_left"), StopReason.APPROVER_LEFT),
        (lambda: _Run(_Script(), STOP % b"policy_changed"), StopReason.POLICY_CHANGED),
    ],
    ids=lambda value: value.value if isinstance(value, StopReason) else "",
)
def test_every_reason_closes_the_evidence(run: Any, reason: StopReason):
    """Whatever ends a capture is named once, and the evidence can be read to its end and matches its manifest."""
    done = run()
    assert done.reason is reason
    assert done.report["stop_reason"] == reason
    assert [line["state"] for line in done.lines if line["type"] == "state"] == ["running", "stopping", "done"]
    assert len(done.stored()) == done.counters["written"]
    chain = Chain(digest(done.ticket))
    chain.add(done.sink.data)
    assert dataclasses.asdict(chain.manifest()) == done.report["manifest"]
    assert f"stop reason: {reason}".encode() in done.sink.data


def test_counters_add_up():
    """Every packet that was received is dropped, written, not selected or over the limit."""
    done = _Run(_Script([FRAME] * 4, [FRAME] * 4, [FRAME] * 4, dropped=2), packets=6)
    counters = done.counters
    assert counters["received"] == counters["delivered"] + counters["dropped"] == 14
    assert counters["delivered"] == counters["written"] + counters["not_selected"] + counters["over_limit"]
    assert (counters["written"], counters["over_limit"], counters["unparsed"]) == (6, 6, 6)
    assert counters["rules"] == {"not_ip": 6}


def test_packets_in_flight_are_written():
    """Packets that arrived before the order to stop are written, unless a limit forbids it."""
    assert _Run(_Script([FRAME], [FRAME] * 5), STOP % b"requested").counters["written"] == 6


def test_pause():
    """A paused capture takes nothing, and the evidence says from when to when; what came in before is written."""
    source = _Script([FRAME], [FRAME] * 2, [], [], [FRAME] * 4, None)
    run = _Run(source, PAUSE, while_paused=[PAUSE, b"", BEAT])
    assert run.reason is StopReason.REQUESTED
    assert source.calls == ["pause", "resume"]
    assert run.counters["written"] == 7
    data = run.sink.data
    assert data.index(b"paused") < data.index(b"resumed") < data.index(b"stop reason: requested")
    states = [line["state"] for line in run.lines if line["type"] == "state"]
    assert states == ["running", "paused", "running", "stopping", "done"]


def test_pause_does_not_stop_the_clock():
    """The limit of time and the lease go on while a capture is paused, and an order to stop is heard."""
    assert _Run(_Script(), PAUSE, seconds=5).reason is StopReason.TIME
    assert _Run(_Script(), PAUSE, lease_seconds=3).reason is StopReason.LEASE_LOST
    stop = STOP % b"policy_changed"
    assert _Run(_Script(), PAUSE, while_paused=[b"", stop]).reason is StopReason.POLICY_CHANGED


def test_losses_of_a_file_do_not_stop_it():
    """Losses that a capture file records are reported, and do not count against the loss budget."""
    done = _Run(_Script([FRAME], [FRAME], None, dropped=99), from_file=True)
    assert done.reason is StopReason.REQUESTED
    assert done.counters["dropped"] == 99
    assert done.counters["written"] == 2


def test_fault_is_told_without_what_was_captured():
    """A fault in the worker names its kind, never its text, which could be captured data."""
    report = _Run(_Script(RuntimeError("secret"))).report
    assert report["detail"] == "RuntimeError"


def test_evidence_says_who_and_why():
    """Who, why, ticket, profile and selection stand in the evidence itself."""
    ticket = dataclasses.replace(TICKET, selector=Selector(extensions=("200",)))
    sink = _Sink()
    EvidenceWriter(ticket, "(udp)", sink, 0).flush()
    for text in (b"who: alice", b"why: case 4711", b"ticket: cap-1", b"profile: headers", b"(udp)", b"extensions: 200"):
        assert text in sink.data


def test_chain():
    """The chain is SHA-256 over the link before and a chunk of constant size, however the stream was cut."""
    data = bytes(range(256)) * 1_000
    pieces = Chain(b"ticket")
    for at in range(0, len(data), 777):
        pieces.add(data[at : at + 777])
    link = hashlib.sha256(b"linewarden evidence chain v1\0ticket").digest()
    for at in range(0, len(data), CHUNK):
        link = hashlib.sha256(link + data[at : at + CHUNK]).digest()
    manifest = pieces.manifest()
    assert manifest.chain == link.hex()
    assert (manifest.chunks, manifest.bytes) == (4, len(data))
    assert manifest.sha256 == hashlib.sha256(data).hexdigest()
    assert Chain(b"other").manifest().chain != Chain(b"ticket").manifest().chain


def test_first_line_is_the_ticket():
    """Without a whole line in time, or when the pipe closes, there is no ticket."""
    reader, writer = os.pipe()
    now = iter(range(100))
    os.write(writer, b"the ticket\n" + BEAT)
    assert Orders(reader, lambda: next(now)).ticket(5) == "the ticket"
    os.write(writer, b"half a ti")
    with pytest.raises(TicketRefused):
        Orders(reader, lambda: next(now)).ticket(0.1)
    os.close(writer)
    with pytest.raises(TicketRefused):
        Orders(reader, lambda: next(now)).ticket(50)
    os.close(reader)


def test_closed_pipe_ends_the_lease():
    """When the starter is gone, the lease is lost at once."""
    reader, writer = os.pipe()
    orders = Orders(reader, lambda: 0.0)
    assert orders.stop_ordered(10) is None
    os.close(writer)
    assert orders.stop_ordered(10) is StopReason.LEASE_LOST
    os.close(reader)


@pytest.mark.parametrize(
    "line",
    [
        b"{}",
        b"[]",
        b"\xff",
        STOP[:-1] % b"worker_lost",
        b'{"order":"start"}',
        b'{"order":"heartbeat"}',
        b'{"order":"heartbeat","paused":1}',
        b'{"order":"stop","reason":["requested"]}',
        STOP[:-2] % b"requested" + b',"paused":true}',
        b"[" * 9_000,
    ],
)
def test_what_is_no_order(line: bytes):
    """A line that is no order, or gives a reason that is the worker's own, is refused."""
    reader, writer = os.pipe()
    orders = Orders(reader, lambda: 0.0)
    os.write(writer, line + b"\n")
    with pytest.raises(OrderInvalid):
        orders.stop_ordered(10)
    os.close(reader)
    os.close(writer)


def test_endless_line():
    """A line without an end is refused before it fills the memory."""
    reader, writer = os.pipe()
    orders = Orders(reader, lambda: 0.0)
    os.write(writer, b"x" * 60_000)
    assert orders.stop_ordered(10) is None
    os.write(writer, b"x" * 60_000)
    with pytest.raises(OrderInvalid):
        orders.stop_ordered(10)
    os.close(reader)
    os.close(writer)


def test_evidence_goes_into_pipes_only(tmp_path: Any):
    """A regular file is refused as a place for evidence."""
    with (tmp_path / "plain").open("wb") as file, pytest.raises(EvidenceLost):
        PipeSink(file.fileno(), 1)


def test_reader_that_stalls_or_leaves():
    """Evidence that is not read for the length of the lease, or whose pipe closes, is lost, and that is reported."""
    reader, writer = os.pipe()
    sink = PipeSink(writer, 0.1)
    with pytest.raises(EvidenceLost):
        sink.write(bytes(1 << 20))
    os.close(reader)
    with pytest.raises(EvidenceLost):
        sink.write(b"x")
    os.close(writer)


def test_status_does_not_wait():
    """A status line that is not read is dropped, and a closed pipe harms nothing."""
    reader, writer = os.pipe()
    status = Status(writer)
    for _ in range(100):
        status.report({"padding": "x" * 3_000}, 0)
    os.close(reader)
    status.report({}, 0)
    os.close(writer)
