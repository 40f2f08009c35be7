"""Orders to a worker at another host that its server did not give."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import grpc
import pytest

from linewarden.audit.note import Signer
from linewarden.diagnostics.agent import connection_loop
from linewarden.diagnostics.agent.enrolment import Enrolment
from linewarden.diagnostics.agent.messages import PROTOCOL
from linewarden.diagnostics.agent.orders import sign_capture, sign_probe
from linewarden.diagnostics.capture_model import Reader
from linewarden.diagnostics.captures.ports import Order
from linewarden.diagnostics.packets.model import CaptureLimits, Profile
from linewarden.diagnostics.packets.ticket import StartTicket
from linewarden.diagnostics.probes.model import ProbeKind, ProbeOrder
from linewarden.v1 import worker_pb2
from linewarden.v1.worker_pb2_grpc import (
    CaptureWorkerServiceServicer,
    add_CaptureWorkerServiceServicer_to_server,
)
from tests.deadlines import HANG_S
from tests.integration.branches import Branch, prepare
from tests.integration.conftest import Site
from tests.integration.diagnosing import IDENTITY, customer


@pytest.fixture
async def branch(sqlite_site: Site) -> AsyncIterator[Branch]:
    """Yield a customer that has permitted captures, with a listener for workers."""
    async with customer(sqlite_site, **prepare(sqlite_site)) as (acme, running):
        await acme.permit()
        yield Branch(sqlite_site, acme, running)


def _ticket(**more: Any) -> StartTicket:
    limits = CaptureLimits(60, 1 << 20, 10_000, 65_535, 0, 1_000, 10)
    usual: dict[str, Any] = {"id": "s1", "tenant": "acme", "who": "w", "why": "y", "profile": Profile.HEADERS,
                             "limits": limits, "start_before_ns": time.time_ns() + 10**10, "worker": "branch",
                             "interface": "lo"}  # fmt: skip
    return StartTicket(**usual | more)


@pytest.mark.parametrize("fault", ["another key", "another worker", "stale", "another interface", "no note", "a path"])
async def test_a_worker_refuses_what_its_server_has_not_ordered(branch: Branch, fault: str) -> None:
    """A worker refuses an order with another signature, worker, time or interface."""
    enrolment = branch.enrol()
    seed = bytes(32) if fault == "another key" else None
    signer = Signer("test.example/log/orders", seed) if seed else _signer(branch)
    ticket = {
        "another worker": _ticket(worker="other"),
        "stale": _ticket(start_before_ns=time.time_ns() - 1),
        "another interface": _ticket(interface="eth7"),
        "a path": _ticket(id="../x"),
    }.get(fault, _ticket())
    note = (
        "alice" if fault == "no note" else sign_capture(Order(ticket, (Reader("", str(IDENTITY.to_public())),)), signer)
    )
    said = await _answer_of(
        branch, enrolment, worker_pb2.ConnectResponse(start=worker_pb2.SignedOrder(note=note, id="s1"))
    )
    assert said.refused.capture_id == "s1"
    assert not enrolment.spool.exists()


async def test_a_worker_refuses_probes_that_are_not_ordered(branch: Branch) -> None:
    """A worker refuses an order to probe that its server has not signed."""
    order = worker_pb2.ConnectResponse(probe=worker_pb2.SignedOrder(note="alice", id="p1"))
    said = await _answer_of(branch, branch.enrol(), order)
    assert (said.probed.probe_id, said.probed.succeeded) == ("p1", False)


def _signer(branch: Branch) -> Signer:
    return branch.running._diagnostics.remote_workers._signer


async def _answer_of(
    branch: Branch, enrolment: Enrolment, order: worker_pb2.ConnectResponse
) -> worker_pb2.ConnectRequest:
    """Return the answer of a real worker to an order of a fake server."""
    (answer,) = await _answers_of(branch, enrolment, [order], 1)
    return answer


async def _answers_of(
    branch: Branch, enrolment: Enrolment, orders: list[worker_pb2.ConnectResponse], count: int
) -> list[worker_pb2.ConnectRequest]:
    """Return so many answers of a real worker to orders of a fake server."""
    answers: asyncio.Queue[worker_pb2.ConnectRequest] = asyncio.Queue()

    class Server(CaptureWorkerServiceServicer):
        async def Connect(self, request_iterator: Any, _context: Any) -> AsyncIterator[worker_pb2.ConnectResponse]:  # noqa: N802
            yield worker_pb2.ConnectResponse(welcome=worker_pb2.WorkerWelcome(protocol=PROTOCOL))
            for order in orders:
                yield order
            async for message in request_iterator:
                if not message.HasField("hello"):
                    answers.put_nowait(message)

        async def DeliverEvidence(self, _request_iterator: Any, _context: Any) -> Any:  # noqa: N802
            raise AssertionError("nothing was captured")

    settings = branch.site.settings
    credentials = grpc.ssl_server_credentials(
        [(settings.tls_key.read_bytes(), settings.tls_certificate.read_bytes())],
        settings.capture_worker_ca.read_bytes(),
        require_client_auth=True,
    )
    server = grpc.aio.server()
    add_CaptureWorkerServiceServicer_to_server(Server(), server)  # type: ignore[no-untyped-call,unused-ignore]
    port = server.add_secure_port("localhost:0", credentials)
    await server.start()
    stop = asyncio.Event()
    attending = asyncio.create_task(
        connection_loop.run(replace(enrolment, servers=(f"localhost:{port}",)), lambda _server: None, stop)
    )
    try:
        async with asyncio.timeout(HANG_S):
            return [await answers.get() for _ in range(count)]
    finally:
        stop.set()
        await attending
        await server.stop(None)


async def test_an_order_is_taken_once(branch: Branch) -> None:
    """A worker executes a signed order once, over any number of connections."""
    enrolment = branch.enrol()
    note = worker_pb2.SignedOrder(note=sign_probe("p1", _probe(), time.time_ns(), _signer(branch)), id="p1")
    order = worker_pb2.ConnectResponse(probe=note)
    said = await _answers_of(branch, enrolment, [order, order], 2)
    assert sorted(one.probed.findings.get("error", "") for one in said)[1] == "refused"


async def test_one_process_attends_for_a_folder(branch: Branch) -> None:
    """A second process of the same worker is refused before it empties the spool of the first."""
    enrolment = branch.enrol()
    async with branch.attending(enrolment):
        with pytest.raises(OSError, match="runs already"):
            await connection_loop.run(enrolment, lambda _server: None, asyncio.Event())


def _probe() -> ProbeOrder:
    return ProbeOrder(ProbeKind.REACHABILITY, "127.0.0.1", 9, "tcp", 0.5, "branch")
