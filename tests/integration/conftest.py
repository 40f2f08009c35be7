"""A real server on a real database: its folder, its processes, and callers that speak gRPC to it."""

import asyncio
import atexit
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Self

import grpc
import orjson
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from linewarden.audit.keyring import new_key_encryption_key
from linewarden.server.bootstrap import Running, now_us, start
from linewarden.server.names import PURPOSE_NUMBERS, TYPE_NUMBERS, VERB_NUMBERS
from linewarden.server.operator_actions import create_key, create_tenant, load_first_policy
from linewarden.server.settings import Settings, load_settings
from linewarden.server.storage import Storage, open_storage
from linewarden.server.tls import write_new
from linewarden.v1 import access_pb2, audit_pb2, core_pb2, policy_pb2
from linewarden.v1.access_pb2_grpc import AccessServiceStub
from linewarden.v1.audit_pb2_grpc import AuditServiceStub
from linewarden.v1.policy_pb2_grpc import PolicyServiceStub
from tests.deadlines import HANG_S
from tests.postgres import dump, make_empty, run_script

TENANT = "acme"
OTHER_TENANT = "globex"
DATA = Path(__file__).parent.parent / "testdata" / "integration"
POLICY = (Path(__file__).parents[2] / "examples/asterisk/company.policy").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Refusal:
    """The error that a caller received."""

    code: grpc.StatusCode
    reason: str
    domain: str
    text: str
    fields: tuple[str, ...]
    metadata: dict[str, str]
    raw: str


def refusal_of(error: grpc.RpcError) -> Refusal:
    """Take an error apart; `raw` holds everything that the caller received."""
    assert isinstance(error, grpc.aio.AioRpcError)
    status: status_pb2.Status | None = rpc_status.from_call(error)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    for detail in status.details if status else ():
        assert detail.Unpack(info) or detail.Unpack(bad) or detail.type_url.endswith("RetryInfo")
    fields = tuple(violation.field for violation in bad.field_violations)
    raw = f"{error.details()} {status} {error.debug_error_string()}"
    return Refusal(error.code(), info.reason, info.domain, error.details() or "", fields, dict(info.metadata), raw)


class Client:
    """A caller with a key, and short methods for frequent requests."""

    def __init__(self, address: str, token: str | None) -> None:
        options = [("grpc.max_receive_message_length", -1), ("grpc.initial_reconnect_backoff_ms", 50),
                   ("grpc.max_reconnect_backoff_ms", 200), ("grpc.use_local_subchannel_pool", 1)]  # fmt: skip
        self.channel = grpc.aio.insecure_channel(address, options)
        self.metadata = () if token is None else (("authorization", f"Bearer {token}"),)
        self.access = AccessServiceStub(self.channel)
        self.policy = PolicyServiceStub(self.channel)
        self.audit = AuditServiceStub(self.channel)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.channel.close()

    async def call(self, stub: Any, request: Any, within_s: float = HANG_S) -> Any:
        """Call with the key and a deadline."""
        return await stub(request, metadata=self.metadata, timeout=within_s)

    async def check(self, subject: str, verb: str, type: str, id: str, **more: Any) -> access_pb2.CheckResponse:
        """Ask about one access."""
        answer: access_pb2.CheckResponse = await self.call(
            self.access.Check, check_request(subject, verb, type, id, **more)
        )
        return answer

    async def change(self, subject: str = "admin", **change: Any) -> policy_pb2.ChangePolicyResponse:
        """Add and remove statements of the policy."""
        request = policy_pb2.ChangePolicyRequest(
            header=core_pb2.RequestHeader(tenant=TENANT, subject=person(subject)), **change
        )
        answer: policy_pb2.ChangePolicyResponse = await self.call(self.policy.ChangePolicy, request)
        return answer

    async def query(self, reader: str = "erik", **more: Any) -> audit_pb2.QueryEntriesResponse:
        """Return a page of the log."""
        request = query_request(reader, **more)
        answer: audit_pb2.QueryEntriesResponse = await self.call(self.audit.QueryEntries, request)
        return answer

    async def count(self, reader: str = "erik", **more: Any) -> audit_pb2.CountEntriesResponse:
        """Count entries of the log."""
        answer: audit_pb2.CountEntriesResponse = await self.call(self.audit.CountEntries, count_request(reader, **more))
        return answer

    async def rows(self, reader: str = "erik", **more: Any) -> list[audit_pb2.EntryRow]:
        """Return all pages of a query."""
        rows: list[audit_pb2.EntryRow] = []
        token = ""
        while True:
            page = await self.query(reader, page_token=token, **more)
            rows += page.rows
            token = page.next_page_token
            if not token:
                return rows

    async def entry(self, index: int, subject: str = "erik") -> audit_pb2.GetEntryResponse:
        """Return one entry with its proof."""
        request = audit_pb2.GetEntryRequest(
            header=core_pb2.RequestHeader(tenant=TENANT, subject=person(subject)), index=index
        )
        answer: audit_pb2.GetEntryResponse = await self.call(self.audit.GetEntry, request)
        return answer

    async def checkpoint(self, old_size: int = 0, subject: str = "erik") -> audit_pb2.GetCheckpointResponse:
        """Return a signed checkpoint."""
        request = audit_pb2.GetCheckpointRequest(
            header=core_pb2.RequestHeader(tenant=TENANT, subject=person(subject)), old_size=old_size
        )
        answer: audit_pb2.GetCheckpointResponse = await self.call(self.audit.GetCheckpoint, request)
        return answer

    async def export(self, folder: Path, subject: str = "erik") -> str:
        """Write the log into a folder; return the verifier key."""
        request = audit_pb2.ExportLogRequest(header=core_pb2.RequestHeader(tenant=TENANT, subject=person(subject)))
        key = ""
        async for file in self.audit.ExportLog(request, metadata=self.metadata, timeout=HANG_S):
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("ab" if file.continues else "wb") as out:
                out.write(file.content)
            key = file.verifier_key or key
        return key

    async def refused(self, stub: Any, request: Any, within_s: float = HANG_S) -> Refusal:
        """Call, and expect a refusal."""
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(stub, request, within_s)
        return refusal_of(caught.value)


def person(name: str) -> core_pb2.Subject:
    """Return a subject; `//tenant/id` is one of another tenant."""
    if name.startswith("//"):
        tenant, _, id = name[2:].partition("/")
        return core_pb2.Subject(id=id, tenant=tenant)
    return core_pb2.Subject(id=name)


def check_request(subject: str, verb: str, type: str, id: str, **more: Any) -> access_pb2.CheckRequest:
    """Return the question; a field of neither context nor request is one of the resource, `home` its tenant."""
    context = core_pb2.Context(
        purpose=PURPOSE_NUMBERS.get(more.pop("purpose", ""), 0), case_reference=more.pop("case", "")
    )
    more["tenant"] = more.pop("home", "")
    return access_pb2.CheckRequest(
        header=core_pb2.RequestHeader(
            tenant=TENANT, request_id=more.pop("request_id", ""), subject=person(subject), context=context
        ),
        verb=VERB_NUMBERS[verb],
        resource=core_pb2.Resource(type=TYPE_NUMBERS[type], id=id, **more),
    )


def query_request(reader: str = "erik", **more: Any) -> audit_pb2.QueryEntriesRequest:
    """Return the query; a field that is not one of the request is one of the filter."""
    header = core_pb2.RequestHeader(tenant=more.pop("tenant", TENANT), subject=person(reader))
    own: dict[str, Any] = {name: more.pop(name) for name in ("page_size", "page_token", "oldest_first") if name in more}
    return audit_pb2.QueryEntriesRequest(header=header, filter=audit_pb2.EntryFilter(**more), **own)


def count_request(reader: str = "erik", **more: Any) -> audit_pb2.CountEntriesRequest:
    """Return the request for a count; a field other than `interval` is one of the filter."""
    header = core_pb2.RequestHeader(tenant=TENANT, subject=person(reader))
    interval = more.pop("interval", audit_pb2.INTERVAL_UNSPECIFIED)
    return audit_pb2.CountEntriesRequest(header=header, filter=audit_pb2.EntryFilter(**more), interval=interval)


@dataclass(frozen=True)
class Site:
    """The folder of a service: settings, the database as its operator sees it, a key with all scopes in TENANT."""

    settings: Settings
    storage: Storage
    token: str

    def key(
        self, *, tenants: Sequence[str] = (TENANT,), methods: Sequence[str] = ("*",), **more: Any
    ) -> tuple[str, str]:
        """Make another key; return its id and its token."""
        key, token = create_key(self.storage.log, "backend", tenants, methods, now_us(), **more)
        return key.id, token

    def log_of(self, tenant: str) -> int:
        """Return the number of a tenant's log; the empty name is the system log."""
        return self.storage.log.head_of(tenant).log

    def entries(self, tenant: str = TENANT) -> list[dict[str, Any]]:
        """Return all entries of a log as they are stored, without an entry for reading them."""
        head = self.storage.log.head_of(tenant)
        return [orjson.loads(entry) for entry in self.storage.log.entries(head.log, 0, head.size)]


@contextmanager
def make_site(folder: Path, database_url: str) -> Iterator[Site]:
    """Make the folder of a service with two tenants on an empty database: copy one that this process made before."""
    sqlite = database_url.startswith("sqlite:///")
    first = _first_site() if sqlite else _first_site(database_url)
    shutil.copytree(first / "site", folder, dirs_exist_ok=True)
    if sqlite:  # after the folder, in which the database may be
        for file in first.glob("linewarden.db*"):
            shutil.copyfile(file, f"{database_url.removeprefix('sqlite:///')}{file.name.removeprefix('linewarden.db')}")
    else:
        run_script(database_url, (first / "dump.sql").read_text())
    token = (first / "token").read_text()
    settings = _settings(folder, database_url)
    storage = open_storage(settings)
    try:
        yield Site(settings, storage, token)
    finally:
        storage.close()


@cache
def _first_site(postgres_url: str = "") -> Path:
    """Make a service whose database was brought to the newest schema and filled, for others to copy.

    It is on SQLite, or on the given PostgreSQL database, which is empty again afterwards.
    """
    home = Path(tempfile.mkdtemp(prefix="lwsite"))
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    _write_secrets(home / "site")
    storage = open_storage(_settings(home / "site", postgres_url or f"sqlite:///{home}/linewarden.db"))
    try:
        (home / "token").write_text(_fill(storage))
    finally:
        storage.close()
    if postgres_url:
        (home / "dump.sql").write_text(dump(postgres_url))
        make_empty(postgres_url)
    return home


def _write_secrets(folder: Path) -> None:
    (folder / "secrets").mkdir(parents=True)
    write_new(folder / "secrets/kek", new_key_encryption_key(), 0o600)
    write_new(folder / "secrets/signing-key", b64encode(os.urandom(32)), 0o600)


def _settings(folder: Path, database_url: str) -> Settings:
    """Write the settings of a service and read them."""
    lines = {"data_dir": str(folder), "database_url": database_url, "listen": "127.0.0.1:0", "plaintext": True,
             "service_name": "test.example/log"}  # fmt: skip
    text = "".join(f"{name} = {orjson.dumps(value).decode()}\n" for name, value in lines.items())
    (folder / "linewarden.toml").write_text(text)
    return load_settings(folder / "linewarden.toml")


def _fill(storage: Storage) -> str:
    """Make two tenants with a policy, and a key for the first; return its token."""
    for tenant in (TENANT, OTHER_TENANT):
        log = create_tenant(storage.log, tenant, now_us())
        asyncio.run(load_first_policy(storage, log, POLICY, now_us()))
    _, token = create_key(storage.log, "backend", (TENANT,), ("*",), now_us())
    return token


@asynccontextmanager
async def serving(site: Site, *, clock: Callable[[], int] = now_us, **settings: Any) -> AsyncIterator[Running]:
    """Serve in this process with the given wall clock; drain at the end."""
    running = await start(site.settings.model_copy(update=settings), clock=clock)
    try:
        yield running
    finally:
        await running.drain(0)


class Server:
    """A server in child processes; those of `forked_python()` share their imports, and have other ids."""

    def __init__(self, site: Site, *, python: str = sys.executable, **environment: str) -> None:
        call = [
            python,
            "-m",
            "linewarden.cli",
            "serve",
            "--config",
            f"{site.settings.data_dir}/linewarden.toml",
        ]
        self._text = site.settings.data_dir / f"stderr-{os.urandom(4).hex()}"
        with self._text.open("wb") as stderr:
            self.process = subprocess.Popen(call, stderr=stderr, env=os.environ | environment)
        self.address = ""

    async def ready(self) -> str:
        """Wait for its address."""
        end = time.monotonic() + HANG_S
        while time.monotonic() < end:
            if match := re.search(r"serving on (\S+:\d+)", self.stderr()):
                self.address = match[1]
                return self.address
            if self.process.poll() is not None:
                break
            await asyncio.sleep(0.05)
        pytest.fail(f"the server did not start: {self.stderr()}")

    async def says(self, word: str) -> None:
        """Wait until a word occurs in its messages."""
        async with asyncio.timeout(HANG_S):
            while word not in self.stderr():  # noqa: ASYNC110 - another process writes it
                await asyncio.sleep(0.05)

    def stderr(self) -> str:
        """Return its messages so far."""
        return self._text.read_text()

    def kill(self) -> None:
        """Kill the server as a power cut would."""
        self.process.kill()
        self.process.wait(HANG_S)

    def terminate(self) -> None:
        """Tell the server to stop."""
        self.process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        """Wait for its end; return the exit code."""
        return await asyncio.to_thread(self.process.wait, HANG_S)


@asynccontextmanager
async def processes(
    site: Site, count: int = 1, *, python: str = sys.executable, **environment: str
) -> AsyncIterator[list[Server]]:
    """Yield several servers on one database, started at once; kill them at the end."""
    servers: list[Server] = []
    try:
        servers.extend(Server(site, python=python, **environment) for _ in range(count))
        for server in servers:
            await server.ready()
        yield servers
    finally:
        for server in servers:
            if server.process.poll() is None:
                server.process.send_signal(signal.SIGCONT)
                server.kill()


@pytest.fixture(params=["h2", "grpcio"])
def each_transport(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the servers of a test use each transport; requested before the site, because its settings hold it."""
    name: str = request.param
    monkeypatch.setenv("LINEWARDEN_TRANSPORT", name)
    return name


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Site]:
    """Yield a service on each kind of database."""
    with make_site(tmp_path / "site", database_url) as made:
        yield made


@pytest.fixture
def sqlite_site(tmp_path: Path, sqlite_url: str) -> Iterator[Site]:
    """Yield a service on SQLite, for tests that do not depend on the database."""
    with make_site(tmp_path / "site", sqlite_url) as made:
        yield made


@pytest.fixture
async def server(sqlite_site: Site) -> AsyncIterator[Running]:
    """Run a server on SQLite in this process."""
    async with serving(sqlite_site) as running:
        yield running


@pytest.fixture
async def client(sqlite_site: Site, server: Running) -> AsyncIterator[Client]:
    """Yield a caller with a key for everything in TENANT."""
    async with Client(server.addresses[0], sqlite_site.token) as made:
        yield made
