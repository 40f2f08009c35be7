"""A customer on its way to a capture, and the events that can disturb it, for the cases of refusals and faults.

Each step and each event has a word, so that a case can be written as data.
"""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from acme import LIMITS, statement
from google.protobuf.json_format import ParseDict

from linewarden.server.bootstrap import Running, now_us, start
from linewarden.v1 import attestation_pb2, capture_pb2, notice_pb2, probe_pb2
from tests.deadlines import FACTOR, HANG_S
from tests.integration.captures import MESSAGE, gone, sealer_of, worker_of, written
from tests.integration.captures import SECRET as BODY
from tests.integration.conftest import Client, Server, Site, processes
from tests.integration.diagnosing import RULES, Diagnosing, asked
from tests.integration.disks import holding, small_disk
from tests.integration.sweeps import sweep_until_lost

#: The content of messages that are sent over loopback during a capture.
SECRET = b"0815-unseen-4711"
SENT = MESSAGE.replace(BODY, SECRET)

_VENDOR = "allow //vendor/otto attest_notice diagnostics any"
_MORE = (
    _VENDOR,
    "allow //vendor/otto capture_approve capture any",
    "allow admin capture_raw_filter capture any",
)
_WITHOUT_START = "allow admin capture_request,capture_read,view_metadata capture any"
_OTHERS = """
[globex]
interfaces = ["eth9"]
networks = ["198.51.100.0/24"]
hosts = ["sip.globex.example"]
[globex.trunks]
northern = ["198.51.100.7"]
[globex.workers]
depot = ["lo"]
"""
_WIDE = """
[acme]
interfaces = ["lo"]
hosts = ["127.0.0.1"]
[acme.trunks]
carrier = ["127.0.0.1"]
[acme.workers]
branch = ["lo"]
"""
_NARROW = """
[acme]
interfaces = ["lo"]
networks = ["192.0.2.0/24"]
"""
_DISK_FREE = 1


def free_port() -> int:
    """Return a port on which no process listens now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class Clock:
    """The wall clock with an adjustable error."""

    ahead_s: int = 0

    def __call__(self) -> int:
        """Return the time in microseconds."""
        return now_us() + self.ahead_s * 1_000_000


@dataclass
class Scene:
    """A customer, its server, and its progress. `server` is the process of the server, if it is a child."""

    site: Site
    acme: Diagnosing
    clock: Clock = field(default_factory=Clock)
    server: Server | None = None
    capture: str = ""
    running: Running | None = None
    attestation: str = ""
    version: int = 1
    port: int = field(default_factory=free_port)
    undoing: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def steps(self) -> dict[str, Callable[[], Awaitable[Any]]]:
        """The steps that a customer can take."""
        much = {"bytes": 64 << 20, "packets": 1_000_000}
        return {
            "enable": self.acme.enable,
            "disable": lambda: self.acme.ask("DisableDiagnostics"),
            "publish": self._publish,
            "attest": self._attest,
            "attest for an hour": lambda: self._attest(valid_s=3_600),
            "withdraw": lambda: self.acme.ask("WithdrawAttestation", attestation_id=self.attestation),
            "ask": self._ask,
            "ask for longer": lambda: self._ask(seconds=601),
            "ask for much": lambda: self._ask(**much),
            "approve": lambda: self.acme.ask("ApproveCapture", "berta", capture_id=self.capture),
            "start": self._start,
        }

    @property
    def events(self) -> dict[str, Callable[[], Awaitable[Any]]]:
        """The events that can happen to a customer."""
        return {
            "two looks at the gates": lambda: asyncio.sleep(2.5 * FACTOR),
            "the approver leaves": lambda: self._change([RULES[2]], []),
            "the starter loses the right": lambda: self._change([RULES[1]], [_WITHOUT_START]),
            "the worker is killed": self._kill_worker,
            "the sealer is killed": self._kill_sealer,
            "the disk becomes full": self._fill_disk,
            "the server is killed": self._kill_server,
        }

    async def begin_anew(self) -> None:
        """Reset the customer: no capture waits or runs, nothing is permitted or attested."""
        self.capture = self.attestation = ""
        if (await self.acme.ask("GetDiagnostics")).diagnostics.enabled:
            await self.acme.ask("DisableDiagnostics")
        for one in (await self.acme.ask("ListAttestations", page_size=100)).attestations:
            if not one.HasField("withdrawn_at"):
                await self.acme.ask("WithdrawAttestation", attestation_id=one.id)

    async def call(self, method: str, subject: str, changes: dict[str, Any]) -> Any:
        """Call a method with valid fields, of which some are changed."""
        request = Diagnosing.request(method, subject, **self._good(method))
        ParseDict(_written_out(changes), request)
        return await self.acme.client.call(getattr(self.acme.stub, method), request)

    def send(self, count: int = 5) -> None:
        """Send messages with a secret to the port that is captured."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            for _ in range(count):
                sender.sendto(SENT, ("127.0.0.1", self.port))

    async def captured(self, count: int) -> None:
        """Wait until the capture has written so many packets."""
        await written(self.acme, self.capture, count)

    def _good(self, method: str) -> dict[str, Any]:
        capture = {"capture_id": self.capture or "none"}
        texts = [notice_pb2.NoticeText(language="en", text="told")]
        goods: dict[str, dict[str, Any]] = {
            "PublishNotice": {"notice_id": "faults", "texts": texts, "channels": [1], "audience": "all staff"},
            "MakeAttestation": {"statement": statement(notice_version=self.version)},
            "WithdrawAttestation": {"attestation_id": self.attestation},
            "DisableDiagnostics": {},
            "RequestCapture": self._wanted(),
            "RunProbe": {
                "kind": probe_pb2.PROBE_KIND_REACHABILITY,
                "target": "127.0.0.1",
                "port": 9,
                "timeout_ms": 500,
            },
        }
        return goods.get(method, capture)

    def _wanted(self, **limits: int) -> dict[str, Any]:
        wanted = capture_pb2.CaptureLimits()
        wanted.CopyFrom(LIMITS)
        wanted.MergeFrom(capture_pb2.CaptureLimits(**{"disk_free_min": _DISK_FREE} | limits))
        ports = [capture_pb2.PortRange(low=self.port, high=self.port)]
        return asked(limits=wanted, selector=capture_pb2.CaptureSelector(ports=ports))

    async def _publish(self) -> None:
        self.version = (await self.acme.publish()).version

    async def _attest(self, valid_s: int = 86_400 * 30) -> None:
        until = attestation_pb2.AttestationStatement()
        until.valid_until.FromDatetime(datetime.now(UTC) + timedelta(seconds=valid_s))
        made = await self.acme.attest(notice_version=self.version, valid_until=until.valid_until)
        self.attestation = made.id

    async def _ask(self, **limits: int) -> None:
        self.capture = (await self.acme.ask("RequestCapture", **self._wanted(**limits))).capture.id

    async def _start(self) -> None:
        """Start, and check that the capture takes packets."""
        await self.acme.ask("StartCapture", capture_id=self.capture)
        self.send(5)
        await self.captured(5)

    async def _change(self, gone: list[str], come: list[str]) -> None:
        """Change the policy until the case is over."""
        await self.acme.client.change(remove=gone, add=come)
        self.undoing.push_async_callback(self.acme.client.change, remove=come, add=gone)

    async def _kill_worker(self) -> None:
        os.kill(worker_of(self.capture), signal.SIGKILL)

    async def _kill_sealer(self) -> None:
        os.kill(sealer_of(self.capture), signal.SIGKILL)

    async def _fill_disk(self) -> None:
        async with asyncio.timeout(HANG_S):
            while (await self.acme.capture(self.capture)).state == capture_pb2.CAPTURE_STATE_RUNNING:
                self.send(300)
                assert holding(self.site.settings.data_dir, SECRET) == []

    async def _kill_server(self) -> None:
        """Kill the server's process; then start another server, which finds the losses."""
        assert self.server is not None
        parent = self.server.process.pid
        left = worker_of(self.capture, parent), sealer_of(self.capture, parent)
        self.server.kill()
        await gone(*left)
        self.acme, running = await self.undoing.enter_async_context(_serving(self.site, self.clock, _WIDE))
        await sweep_until_lost(running)


@asynccontextmanager
async def scene(site: Site, kind: str = "") -> AsyncIterator[Scene]:
    """Yield a customer on a server: with an adjustable clock, a small disk or a child process where a case needs it."""
    clock = Clock()
    if kind == "process":
        async with _process(site) as (acme, server):
            made = Scene(site, acme, clock, server)
            async with made.undoing:
                yield made
        return
    async with AsyncExitStack() as stack:
        if kind == "small disk":
            stack.enter_context(small_disk(Path(site.settings.evidence_dir)))
        places = _NARROW if kind == "narrow" else _WIDE
        acme, running = await stack.enter_async_context(_serving(site, clock, places))
        await acme.client.change(add=[*RULES, *_MORE])
        yield Scene(site, acme, clock, running=running)


@asynccontextmanager
async def _serving(site: Site, clock: Clock, places: str) -> AsyncIterator[tuple[Diagnosing, Running]]:
    """Serve in this process."""
    file = site.settings.data_dir / "places.toml"
    file.write_text(places + _OTHERS)
    running = await start(
        site.settings.model_copy(update={"places_file": file, "capture_min_disk_free": _DISK_FREE}), clock=clock
    )
    try:
        async with Client(running.addresses[0], site.token) as client:
            yield Diagnosing(client), running
    finally:
        await running.drain(0)


@asynccontextmanager
async def _process(site: Site) -> AsyncIterator[tuple[Diagnosing, Server]]:
    """Serve in a child process."""
    (site.settings.data_dir / "places.toml").write_text(_WIDE + _OTHERS)
    stated = {"LINEWARDEN_PLACES_FILE": "places.toml", "LINEWARDEN_CAPTURE_MIN_DISK_FREE": str(_DISK_FREE)}
    async with processes(site, 1, **stated) as (server,), Client(server.address, site.token) as client:
        await client.change(add=[*RULES, *_MORE])
        yield Diagnosing(client), server


def _written_out(value: Any) -> Any:
    """Return a value with its repetitions expanded."""
    if not isinstance(value, dict):
        return value
    if "times" in value:
        return value["of"] * value["times"]
    return {name: _written_out(one) for name, one in value.items()}
