"""Parts that the unit tests of captures share: clocks that are set, workers that obey, a store on SQLite."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from linewarden.audit.clock import Clock as LogClock
from linewarden.audit.directory import TENANT_KEY_HOLDER, Directory
from linewarden.audit.keyring import Keyring
from linewarden.audit.model import Unit
from linewarden.audit.note import Signer
from linewarden.audit.store import schema as audit_schema
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.persons import PersonStore
from linewarden.audit.writer import Writer
from linewarden.diagnostics.capture_model import Capture, CaptureRight, Evidence, PacketSelector, Reader, Tally
from linewarden.diagnostics.captures.failures import CaptureFailure
from linewarden.diagnostics.captures.ports import Order, Outcome
from linewarden.diagnostics.captures.recorder import ServiceRecorder
from linewarden.diagnostics.captures.requests import CaptureRequest, Maxima
from linewarden.diagnostics.captures.runs import CaptureService
from linewarden.diagnostics.captures.supervisor import Supervisor
from linewarden.diagnostics.captures.sweeper import HOLD_S, Sweeper
from linewarden.diagnostics.change import ActorContext, Change, R
from linewarden.diagnostics.consent.attestations import AttestationService
from linewarden.diagnostics.consent.notices import NoticeService
from linewarden.diagnostics.consent.terms import TermsService
from linewarden.diagnostics.consent_model import (
    AttestedTexts,
    ChannelEvidence,
    ConsentMode,
    LegalBasis,
    NoticeChannel,
    NoticeText,
    PromisedLimits,
    Responsibility,
    Statement,
)
from linewarden.diagnostics.errors import DiagnosisUnavailable, FilterInvalid
from linewarden.diagnostics.packets.model import CaptureLimits, Profile, StopReason
from linewarden.diagnostics.places import Place
from linewarden.diagnostics.ports import Requester
from linewarden.diagnostics.private_values import PrivateValues
from linewarden.diagnostics.probes.model import ProbeOrder, ProbeResult
from linewarden.diagnostics.repository import Repository
from linewarden.diagnostics.store import schema
from linewarden.diagnostics.store.records import RecordStore
from tests.deadlines import HANG_S

LOG = 1
SECOND = 1_000_000
LIMITS = CaptureLimits(
    seconds=600, bytes=1 << 20, packets=1_000, snaplen=65_535, disk_free_min=0, loss_budget=10, lease_seconds=10
)
MAXIMA = Maxima(LIMITS, running=3, waiting=5, stored=100 << 20)
EVIDENCE = Evidence("x.age", 10, "aa", "bb", 20, "cc")


@dataclass
class Clock:
    """A wall clock and a monotonic clock that move only when they are told to, each by itself."""

    us: int = 1_800_000_000 * SECOND
    seconds: float = 100.0

    def now_us(self) -> int:
        """The wall clock."""
        return self.us

    def monotonic(self) -> float:
        """The monotonic clock."""
        return self.seconds

    def pass_time(self, seconds: float) -> None:
        """Let time pass on both."""
        self.us += int(seconds * SECOND)
        self.seconds += seconds


@dataclass
class ObedientWorker:
    """A worker that captures nothing and ends when it is told to, with that reason."""

    heartbeats: int = 0
    paused: bool = False
    heard: list[bool] = field(default_factory=list)
    patient: bool = False
    orders: list[StopReason] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    evidence: Evidence | None = EVIDENCE
    detail: str = ""

    def tally(self) -> Tally:
        """Some packets."""
        return Tally(received=3, delivered=3, written=3)

    def heartbeat(self, *, paused: bool) -> None:
        """Count it."""
        self.heartbeats += 1
        self.paused = paused
        self.heard.append(paused)

    def stop(self, reason: StopReason) -> None:
        """End."""
        self.orders.append(reason)
        if not self.patient:
            self.over.set()

    async def ended(self) -> Outcome:
        """Wait for an order."""
        await self.over.wait()
        reason = self.orders[0] if self.orders else StopReason.WORKER_LOST
        return Outcome(reason, self.tally(), self.evidence, self.detail)


@dataclass
class Workers:
    """Launches obedient workers, unless it is told to launch none."""

    launched: list[ObedientWorker] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    left: dict[str, Evidence] = field(default_factory=dict)
    here: str = "folder-1"
    away: set[str] = field(default_factory=set)
    broken: bool = False

    def check_ready(self, worker: str) -> None:
        """A worker that is away is not ready."""
        if worker in self.away:
            raise DiagnosisUnavailable

    async def probe(self, _order: ProbeOrder) -> ProbeResult:
        """Nothing is found."""
        return ProbeResult(succeeded=False, values={})

    def check_filter(self, expression: str) -> None:
        """Refuse a key that does not parse."""
        if "nonsense" in expression:
            raise FilterInvalid

    def folder(self) -> str:
        """The folder of this process."""
        return self.here

    def find(self, capture: str, folder: str) -> Path:
        """Nowhere."""
        self._check(folder)
        return Path(capture)

    def recover(self, capture: str, folder: str) -> Evidence | None:
        """Return the evidence that the test has left there."""
        self._check(folder)
        return self.left.get(capture)

    def check_readers(self, readers: tuple[Reader, ...]) -> None:
        """Any key will do."""

    async def launch(self, _order: Order, /, input_fd: int | None = None) -> ObedientWorker:  # noqa: ARG002 - unread
        """Launch one."""
        if self.broken:
            raise DiagnosisUnavailable(CaptureFailure.INTERFACE)
        self.launched.append(ObedientWorker())
        return self.launched[-1]

    def delete(self, capture: str, folder: str) -> None:
        """Note it."""
        self._check(folder)
        self.deleted.append(capture)

    def _check(self, folder: str) -> None:
        if self.broken or folder != self.here:
            raise DiagnosisUnavailable


@dataclass
class Rights:
    """Who may still do what."""

    capture: bool = True
    approve: bool = True

    async def may(self, _log: int, _capture: str, requester: Requester, rights: Iterable[CaptureRight]) -> bool:
        """Return whether the person may."""
        right = self.approve if set(rights) == {CaptureRight.APPROVE} else self.capture
        return right and bool(requester.name)


class Everywhere:
    """One place for every tenant."""

    def of(self, _tenant: str) -> Place:
        """Loopback."""
        return Place(frozenset({"lo"}), workers={"branch": frozenset({"eth0"})})


class Office:
    """Everything around captures, on a real log."""

    def __init__(self, engine: sa.Engine) -> None:
        audit_schema.metadata.create_all(engine)
        schema.metadata.create_all(engine)
        self.clock, self.workers, self.rights = Clock(), Workers(), Rights()
        self.log = LogStore(engine)
        # Records are made by the clock of the logs, which the wall clock cannot set back.
        self.time = LogClock(
            self.clock.now_us, lambda: int(self.clock.monotonic() * SECOND), lambda: self.log.marks.latest_us
        )
        for number, tenant in enumerate(("", "acme")):
            self.log.create(tenant, f"origin-{number}", 1)
        self.writer = Writer(self.log, batch_limit=64, queue_limit=1_000, timeout_s=HANG_S)
        self.directory = Directory(PersonStore(self.log), Keyring(bytes(32)), self.writer)
        self.repository, self.private_values = Repository(RecordStore(self.log)), PrivateValues(self.directory)
        ids = iter(range(1_000_000))
        self.terms, self.notices = TermsService(self.repository), NoticeService(self.repository, self.private_values)
        signer = Signer("test.example/origin-1", bytes(32))
        self.attestations = AttestationService(
            self.repository, self.private_values, self.notices, lambda _log: signer, lambda: f"a{next(ids)}"
        )
        self.captures = CaptureService(
            self.repository, self.private_values, Everywhere(), self.workers, MAXIMA, lambda: f"s{next(ids)}"
        )
        self.supervisor = self.new_supervisor("first")
        self.sweeper = self.new_sweeper(self.supervisor)

    def new_supervisor(self, holder: str) -> Supervisor:
        """The supervisor of another process on the same log."""
        return Supervisor(
            self.repository,
            self.private_values,
            self.rights,
            self.workers,
            ServiceRecorder(self.writer, self.time),
            holder=holder,
            now_us=self.clock.now_us,
            monotonic=self.clock.monotonic,
            tick_s=0.01,
        )

    def new_sweeper(self, supervisor: Supervisor) -> Sweeper:
        """Return the sweeper of captures that no supervisor watches."""
        recorder = ServiceRecorder(self.writer, self.time)
        clock = self.clock
        return Sweeper(self.repository, self.workers, recorder, supervisor.watches, clock.now_us, clock.monotonic)

    async def sweep(self) -> None:
        """Two rounds of the first process, with time enough between them to believe that something has ended."""
        await self.sweeper.sweep()
        self.clock.seconds += HOLD_S + 1
        await self.sweeper.sweep()

    async def close(self) -> None:
        """End the writer's thread."""
        await self.supervisor.close()
        await self.writer.close()

    async def ctx(self, name: str) -> ActorContext:
        """Return the context of a person who acts for a case."""
        people = await self.directory.meet(LOG, [name, TENANT_KEY_HOLDER], self.time())
        await self.directory.append(Unit(LOG, ()), people)
        return ActorContext(
            LOG, "acme", "test", "", self.time(), name, people[name], people[TENANT_KEY_HOLDER], "support", "T-1"
        )

    async def take(self, change: Change[R]) -> R:
        """Append a step."""
        await self.writer.append(Unit(LOG, change.entries, effect=change.apply))
        return change.result

    async def permit(self, valid_s: float = 86_400.0) -> str:
        """Everything a capture needs; returns the attestation."""
        admin = await self.ctx("admin")
        await self.take(self.terms.enable(admin, Responsibility, approval_waived=False, retention_days=7))
        channels = [NoticeChannel.EMAIL]
        await self.take(self.notices.publish(admin, "n", [NoticeText("en", "told")], channels, "all"))
        made = await self.take(self.attestations.make(admin, self.statement(valid_s)))
        return made.attestation.id

    def statement(self, valid_s: float = 86_400.0) -> Statement:
        """Return the attested statement."""
        now = self.clock.us
        return Statement(
            notice_id="n",
            notice_version=1,
            texts=AttestedTexts("officer", "board", "", "needed", "all"),
            channels=(ChannelEvidence(NoticeChannel.EMAIL, "00" * 32),),
            informed_count=2,
            confirmed_count=1,
            notified_from_us=now,
            notified_until_us=now,
            valid_until_us=now + int(valid_s * SECOND),
            purpose="support",
            legal_basis=LegalBasis.CONTRACT,
            jurisdictions=("DE",),
            consent_mode=ConsentMode.NONE,
            promised=PromisedLimits(Profile.SIGNALLING, 600, 30),
        )

    async def armed(self) -> Capture:
        """An approved capture."""
        asked = CaptureRequest(Profile.SIGNALLING, PacketSelector(), LIMITS, "lo", (Reader("erik", "age1x"),))
        capture = await self.take(self.captures.request(await self.ctx("admin"), self.captures.new_id(), asked))
        return await self.take(self.captures.approve(await self.ctx("berta"), capture.id))

    async def running(self) -> tuple[Capture, ObedientWorker]:
        """A capture that runs, with its worker."""
        armed = await self.armed()
        capture, order = await self.take(self.captures.start(await self.ctx("admin"), armed.id))
        await self.supervisor.run(LOG, capture, order)
        return capture, self.workers.launched[-1]

    def capture(self, id: str) -> Capture:
        """A capture as it is stored."""
        return self.repository.capture(LOG, id)[1]

    async def ended(self, id: str) -> Capture:
        """Wait until a capture has ended."""
        async with asyncio.timeout(HANG_S):
            capture = self.capture(id)
            while capture.ended_us is None:
                await asyncio.sleep(0.01)
                capture = self.capture(id)
        return capture
