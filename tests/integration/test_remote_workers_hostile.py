"""Hostile and faulty workers: strangers, false reports, and workers that never end."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from linewarden.diagnostics.agent.messages import PROTOCOL
from linewarden.server.tls import certificate_builder, pem_of
from linewarden.server.workers.certificates import issue, make_authority
from linewarden.v1 import capture_pb2, probe_pb2, worker_pb2
from linewarden.v1.worker_pb2_grpc import (
    CaptureWorkerServiceStub,
)
from tests.deadlines import HANG_S
from tests.integration.branches import Branch, prepare, until
from tests.integration.captures import ended
from tests.integration.conftest import Site
from tests.integration.diagnosing import customer


@pytest.fixture
async def branch(sqlite_site: Site) -> AsyncIterator[Branch]:
    """Yield a customer that has permitted captures, with a listener for workers."""
    async with customer(sqlite_site, **prepare(sqlite_site)) as (acme, running):
        await acme.permit()
        yield Branch(sqlite_site, acme, running)


async def test_strangers_do_not_attend(branch: Branch) -> None:
    """The listener refuses a worker without certificate, with one of another authority, or with one without a name."""
    folder, now = branch.folder, datetime.now(UTC)
    make_authority(folder / "other.crt", folder / "other.key", now)
    other = issue("branch", (folder / "other.crt").read_bytes(), (folder / "other.key").read_bytes(), now)
    trust = (folder / "tls/ca.crt").read_bytes()
    for credentials in (grpc.ssl_channel_credentials(trust), grpc.ssl_channel_credentials(trust, *other)):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _attend_once(branch.port, credentials)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "worker.attended" not in branch.kinds()


async def test_a_callers_certificate_names_no_worker(branch: Branch) -> None:
    """The listener refuses a certificate of the right authority without a worker's name."""
    trust = (branch.folder / "tls/ca.crt").read_bytes()
    credentials = grpc.ssl_channel_credentials(trust, *_nameless(branch))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _attend_once(branch.port, credentials)
    assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("said", ["nothing", "no hello", "another protocol"])
async def test_a_worker_begins_with_hello(branch: Branch, said: str) -> None:
    """The server refuses a worker whose first message is not a hello, and does not record it as connected."""
    first = {
        "nothing": worker_pb2.ConnectRequest(),
        "no hello": worker_pb2.ConnectRequest(begun=worker_pb2.CaptureBegun(capture_id="x")),
        "another protocol": worker_pb2.ConnectRequest(hello=worker_pb2.WorkerHello(protocol=2)),
    }[said]
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await _attend_once(branch.port, branch.enrol().credentials, first)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "worker.attended" not in branch.kinds()


async def test_the_workers_listener_has_no_other_service(branch: Branch) -> None:
    """The listener for workers serves the worker's service only, and no other listener serves it."""
    async with grpc.aio.secure_channel(f"localhost:{branch.port}", branch.enrol().credentials) as channel:
        call: Any = channel.unary_unary("/linewarden.v1.AccessService/Check")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(b"", metadata=branch.acme.client.metadata)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    stub: Any = CaptureWorkerServiceStub(branch.acme.client.channel)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        async for _message in stub.Connect(iter([]), metadata=branch.acme.client.metadata):
            pass
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


class Puppet:
    """A worker whose messages a test chooses."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.stub: Any = CaptureWorkerServiceStub(channel)
        self.queue: asyncio.Queue[worker_pb2.ConnectRequest] = asyncio.Queue()
        call: Any = self.stub.Connect(self._said())
        self.call = call
        self.say(hello=worker_pb2.WorkerHello(protocol=PROTOCOL))

    def say(self, **said: Any) -> None:
        """Send a message."""
        self.queue.put_nowait(worker_pb2.ConnectRequest(**said))

    async def hear(self, kind: str) -> Any:
        """Wait for a message of a kind."""
        async with asyncio.timeout(HANG_S):
            async for message in self.call:
                if message.HasField(kind):
                    return getattr(message, kind)
        return pytest.fail(f"no {kind} came")

    async def deliver(self, capture: str, content: bytes) -> Any:
        """Deliver bytes as evidence."""
        part = worker_pb2.DeliverEvidenceRequest(capture_id=capture, content=content)
        return await self.stub.DeliverEvidence(iter([part]), timeout=HANG_S)

    async def _said(self) -> AsyncIterator[worker_pb2.ConnectRequest]:
        while True:
            yield await self.queue.get()


@asynccontextmanager
async def puppet(branch: Branch) -> AsyncIterator[tuple[Puppet, str]]:
    """Yield a worker under a test's control, whose capture it has reported as begun."""
    async with grpc.aio.secure_channel(f"localhost:{branch.port}", branch.enrol().credentials) as channel:
        made = Puppet(channel)
        await made.hear("welcome")
        id = await branch.armed()
        starting = asyncio.create_task(branch.acme.ask("StartCapture", capture_id=id))
        assert (await made.hear("start")).id == id
        made.say(begun=worker_pb2.CaptureBegun(capture_id=id))
        await starting
        yield made, id


def _evidence_of(content: bytes, **more: Any) -> capture_pb2.Evidence:
    usual: dict[str, Any] = {"plain_bytes": 1, "plain_sha256": "0" * 64, "chain": "0" * 64}
    came = {"sealed_bytes": len(content), "sealed_sha256": hashlib.sha256(content).hexdigest()}
    return capture_pb2.Evidence(**usual | came | more)


def _ended(id: str, evidence: capture_pb2.Evidence | None) -> worker_pb2.CaptureEnded:
    return worker_pb2.CaptureEnded(
        capture_id=id,
        stop_reason=capture_pb2.CAPTURE_STOP_REASON_TIME,
        counters=capture_pb2.CaptureCounters(),
        evidence=evidence,
    )


@pytest.mark.parametrize("lie", ["not delivered", "another hash", "another size"])
async def test_evidence_is_what_was_delivered(branch: Branch, lie: str) -> None:
    """The server discards evidence that differs from the worker's report, and keeps no file."""
    async with puppet(branch) as (made, id):
        if lie != "not delivered":
            await made.deliver(id, b"sealed")
        stated = {
            "not delivered": _evidence_of(b"sealed"),
            "another hash": _evidence_of(b"sealed", sealed_sha256="1" * 64),
            "another size": _evidence_of(b"sealed", sealed_bytes=7),
        }[lie]
        made.say(ended=_ended(id, stated))
        capture = await ended(branch.acme, id)
    assert (capture.state, capture.stop_reason) == (
        capture_pb2.CAPTURE_STATE_FAILED,
        capture_pb2.CAPTURE_STOP_REASON_TIME,
    )
    assert branch.files() == []


async def test_evidence_is_delivered_once_within_the_limit_for_a_known_session(branch: Branch) -> None:
    """The server refuses a second file, a file that is too long, and one of another capture; the first stays."""
    async with puppet(branch) as (made, id):
        for other in ("another", "../../x"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await made.deliver(other, b"x")
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        parts = (worker_pb2.DeliverEvidenceRequest(capture_id=id, content=bytes(1 << 20)) for _ in range(9))
        with pytest.raises(grpc.aio.AioRpcError):
            await made.stub.DeliverEvidence(parts, timeout=HANG_S)
        await until(lambda: not branch.files())
        came = await made.deliver(id, b"sealed")
        assert (came.sealed_bytes, came.sealed_sha256) == (6, hashlib.sha256(b"sealed").hexdigest())
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await made.deliver(id, b"other")
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        made.say(ended=_ended(id, _evidence_of(b"sealed")))
        capture = await ended(branch.acme, id)
        assert (capture.state, capture.evidence.sealed_bytes) == (capture_pb2.CAPTURE_STATE_SEALED, 6)


@pytest.mark.parametrize(
    "said",
    [
        {
            "progress": worker_pb2.CaptureProgress(
                capture_id="ID", counters=capture_pb2.CaptureCounters(rules={"alice": 1})
            )
        },
        {
            "progress": worker_pb2.CaptureProgress(
                capture_id="ID", counters=capture_pb2.CaptureCounters(received=1 << 60)
            )
        },
        {"ended": _ended("ID", capture_pb2.Evidence(plain_sha256="alice"))},
        {"ended": worker_pb2.CaptureEnded(capture_id="ID", counters=capture_pb2.CaptureCounters())},
        {"hello": worker_pb2.WorkerHello(protocol=PROTOCOL)},
        {},
    ],
    ids=["rule", "number", "hash", "reason", "hello", "nothing"],
)
async def test_a_worker_that_talks_nonsense_is_lost(branch: Branch, said: dict[str, Any]) -> None:
    """The server records nothing of a malformed message, ends the connection, and fails the capture."""
    async with puppet(branch) as (made, id):
        for message in said.values():
            if hasattr(message, "capture_id"):
                message.capture_id = id
        made.say(**said)
        capture = await ended(branch.acme, id)
    assert (capture.state, capture.stop_reason) == (
        capture_pb2.CAPTURE_STATE_FAILED,
        capture_pb2.CAPTURE_STOP_REASON_WORKER_LOST,
    )
    assert not any("alice" in str(entry) for entry in branch.site.entries() if entry["kind"].startswith("capture."))


async def test_a_worker_that_dials_in_again_takes_its_place(branch: Branch) -> None:
    """A worker that connects again ends its earlier stream with the captures on it, and gets the new orders."""
    async with puppet(branch) as (_made, id), branch.attending():
        assert (await ended(branch.acme, id)).stop_reason == capture_pb2.CAPTURE_STOP_REASON_WORKER_LOST
        where = {"target": "127.0.0.1", "port": branch.port, "timeout_ms": 2_000, "worker": "branch"}
        assert (await branch.acme.ask("RunProbe", kind=probe_pb2.PROBE_KIND_REACHABILITY, **where)).succeeded


async def _attend_once(
    port: int, credentials: grpc.ChannelCredentials, first: worker_pb2.ConnectRequest | None = None
) -> None:
    hello = first or worker_pb2.ConnectRequest(hello=worker_pb2.WorkerHello(protocol=PROTOCOL))
    async with grpc.aio.secure_channel(f"localhost:{port}", credentials) as channel:
        stub: Any = CaptureWorkerServiceStub(channel)
        async for _message in stub.Connect(iter([hello]), timeout=HANG_S):
            return


def _nameless(branch: Branch) -> tuple[bytes, bytes]:
    """Return a key and a certificate of the workers' authority that names no worker."""
    settings, key = branch.site.settings, ec.generate_private_key(ec.SECP256R1())
    issuer = x509.load_pem_x509_certificate(settings.capture_worker_ca.read_bytes())
    signing = serialization.load_pem_private_key(settings.capture_worker_ca_key.read_bytes(), None)
    assert isinstance(signing, ec.EllipticCurvePrivateKey)
    names = x509.SubjectAlternativeName([x509.DNSName("urn:linewarden:worker:branch")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "branch")])
    certificate = certificate_builder(name, issuer.subject, key, datetime.now(UTC)).add_extension(names, critical=False)
    return pem_of(key), certificate.sign(signing, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


async def test_a_probe_whose_worker_leaves_has_its_end_in_the_log(branch: Branch) -> None:
    """The log records the end of a probe whose worker left as a failure."""
    async with grpc.aio.secure_channel(f"localhost:{branch.port}", branch.enrol().credentials) as channel:
        made = Puppet(channel)
        await made.hear("welcome")
        where = {"target": "127.0.0.1", "timeout_ms": 9_000, "worker": "branch"}
        asking = asyncio.create_task(branch.acme.refused("RunProbe", kind=probe_pb2.PROBE_KIND_REACHABILITY, **where))
        await made.hear("probe")
        made.call.cancel()
        assert await asking == "DIAGNOSIS_UNAVAILABLE"
    first, last = (entry for entry in branch.site.entries() if entry["kind"] == "probe.run")
    assert (first["done"], last["done"], last["succeeded"]) == (False, True, False)
    assert last["time"] > first["time"]


async def test_a_probe_whose_caller_leaves_has_its_end_in_the_log(branch: Branch) -> None:
    """The log records the result of a probe whose caller left."""
    async with grpc.aio.secure_channel(f"localhost:{branch.port}", branch.enrol().credentials) as channel:
        made = Puppet(channel)
        await made.hear("welcome")
        where = {"target": "127.0.0.1", "timeout_ms": 9_000, "worker": "branch"}
        asking = asyncio.create_task(branch.acme.ask("RunProbe", kind=probe_pb2.PROBE_KIND_REACHABILITY, **where))
        id = (await made.hear("probe")).id
        asking.cancel()
        await asyncio.sleep(0.2)
        made.say(probed=worker_pb2.ProbeDone(probe_id=id, succeeded=True, findings={"connect_ms": "1"}))
        await until(lambda: [e.get("done") for e in branch.site.entries() if e["kind"] == "probe.run"] == [False, True])


async def test_two_deliveries_of_one_capture_do_not_meet(branch: Branch) -> None:
    """The server refuses a second delivery for a capture while the first one runs."""
    async with puppet(branch) as (made, id):
        more: asyncio.Queue[bytes] = asyncio.Queue()

        async def parts() -> AsyncIterator[worker_pb2.DeliverEvidenceRequest]:
            while content := await more.get():
                yield worker_pb2.DeliverEvidenceRequest(capture_id=id, content=content)

        first: Any = made.stub.DeliverEvidence(parts(), timeout=HANG_S)
        more.put_nowait(b"sea")
        await until(lambda: branch.evidence.exists() and bool(list(branch.evidence.glob("*.part"))))
        with pytest.raises(grpc.aio.AioRpcError):
            await made.deliver(id, b"other")
        more.put_nowait(b"led")
        more.put_nowait(b"")
        assert (await first).sealed_bytes == 6
        made.say(ended=_ended(id, _evidence_of(b"sealed")))
        assert (await ended(branch.acme, id)).state == capture_pb2.CAPTURE_STATE_SEALED
    assert (branch.evidence / f"{id}.pcapng.age").read_bytes() == b"sealed"


async def test_evidence_that_comes_after_the_end_is_refused(branch: Branch) -> None:
    """The server refuses evidence after the end of its capture is recorded, and keeps no file."""
    async with puppet(branch) as (made, id):
        made.say(ended=_ended(id, None))
        assert (await ended(branch.acme, id)).state == capture_pb2.CAPTURE_STATE_FAILED
        with pytest.raises(grpc.aio.AioRpcError):
            await made.deliver(id, b"sealed")
    assert list(branch.evidence.glob("*.age*")) == []


async def test_a_worker_that_talks_and_never_ends_is_stopped_and_lost(branch: Branch) -> None:
    """The server stops a capture at its time limit, and fails it if its worker does not end."""
    link = branch.running._diagnostics.remote_workers
    async with puppet(branch) as (made, id):
        (worker,) = link._connections["branch"].captures.values()
        await branch.acme.ask("StopCapture", capture_id=id)
        assert (await made.hear("stop")).capture_id == id
        until_s = worker._until
        for _ in range(5):
            made.say(progress=worker_pb2.CaptureProgress(capture_id=id, counters=capture_pb2.CaptureCounters()))
            await asyncio.sleep(0.1)
        assert worker._until == until_s
        worker._until = 0.0
        capture = await ended(branch.acme, id)
    assert (capture.state, capture.stop_reason) == (
        capture_pb2.CAPTURE_STATE_FAILED,
        capture_pb2.CAPTURE_STOP_REASON_REQUESTED,
    )


async def test_a_worker_that_comes_again_and_again_is_refused(branch: Branch) -> None:
    """The server refuses a worker that reconnects too often, because each connection makes two entries."""
    enrolment = branch.enrol()
    for _ in range(10):
        await _attend_once(branch.port, enrolment.credentials)
    for _ in range(4):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await _attend_once(branch.port, enrolment.credentials)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert branch.kinds().count("worker.attended") == 10
