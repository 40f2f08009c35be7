"""The protocol of each transport: what callers of any library send, and what no library would."""

import asyncio
import json
import os
import resource
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc

from linewarden.server.bootstrap import start
from linewarden.server.tls import certificate_builder, make_development_certificates, pem_of
from linewarden.server.transports.framing import frame
from linewarden.v1 import access_pb2, access_pb2_grpc
from tests.deadlines import HANG_S
from tests.integration.conftest import Client, Site, check_request, serving
from tests.integration.http2 import Answer, Caller, calling

QUESTION = check_request("bob", "play", "voicemail", "1", owner="bob")
FRAME = frame(QUESTION.SerializeToString())
ENHANCE_YOUR_CALM = 0xB


def headers(site: Site, **more: str) -> dict[str, str]:
    """Return the headers of a caller with a key."""
    return {"authorization": f"Bearer {site.token}"} | {name.replace("_", "-"): value for name, value in more.items()}


async def works(address: str, token: str) -> bool:
    """Ask once with the library of gRPC."""
    async with Client(address, token) as client:
        call = client.access.Check(QUESTION, metadata=client.metadata, timeout=HANG_S, wait_for_ready=True)
        answer: access_pb2.CheckResponse = await call
        return answer.decision.effect == access_pb2.EFFECT_ALLOW


@pytest.mark.usefixtures("each_transport")
@pytest.mark.parametrize("how", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_a_compressed_request_is_read(sqlite_site: Site, how: grpc.Compression) -> None:
    """A caller may compress its requests in the ways of gRPC."""
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        many = [access_pb2.CheckItem(verb=QUESTION.verb, resource=QUESTION.resource)] * 50
        request = access_pb2.CheckBatchRequest(header=QUESTION.header, items=many)
        answer = await client.access.CheckBatch(request, metadata=client.metadata, timeout=HANG_S, compression=how)
    assert len(answer.decisions) == 50


@pytest.mark.usefixtures("each_transport")
async def test_a_call_that_its_caller_ends_leaves_no_place(sqlite_site: Site) -> None:
    """A passed deadline, a cancelled call and a closed connection each end what the server does for the call."""
    request = health_pb2.HealthCheckRequest()
    async with serving(sqlite_site) as running:
        for _ in range(3):  # more streams than one connection may have
            async with grpc.aio.insecure_channel(running.addresses[0]) as channel:
                stub = health_pb2_grpc.HealthStub(channel)
                timed = [stub.Watch(request, timeout=0.3) for _ in range(4)]
                cancelled = [stub.Watch(request, timeout=HANG_S) for _ in range(4)]
                for call in (*timed, *cancelled):
                    assert (await call.read()).status
                for call in cancelled:
                    call.cancel()
                for call in timed:
                    with pytest.raises(grpc.aio.AioRpcError) as ended:
                        await call.read()
                    assert ended.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
                left = [stub.Watch(request, timeout=HANG_S) for _ in range(8)]
                for call in left:
                    assert (await call.read()).status


@pytest.mark.usefixtures("each_transport")
async def test_a_message_in_small_pieces_is_read(sqlite_site: Site) -> None:
    """A request whose bytes come one by one is answered like any other."""
    async with serving(sqlite_site) as running, calling(running.addresses[0]) as caller:
        stream = caller.call(headers=headers(sqlite_site))
        for byte in FRAME:
            caller.send(stream, bytes((byte,)))
            await caller.flush()
        caller.send(stream, b"", end=True)
        answer = await caller.answer(stream)
    assert answer.status == "0"
    assert access_pb2.CheckResponse.FromString(answer.body[5:]).decision.effect == access_pb2.EFFECT_ALLOW


async def test_a_call_that_stays_silent_ends(sqlite_site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """A caller that has a key and never sends the rest of its request loses the call, and the connection goes on."""
    monkeypatch.setattr("linewarden.server.transports.h2.SILENCE_S", 1.0)
    async with serving(sqlite_site) as running, calling(running.addresses[0]) as caller:
        silent, half = caller.call(headers=headers(sqlite_site)), caller.call(headers=headers(sqlite_site))
        caller.send(half, FRAME[:20])
        for stream in (silent, half):
            assert (await caller.answer(stream)).status != "0"
        assert (await _refused(caller, headers(sqlite_site), FRAME)).status == "0"


async def _refused(caller: Caller, head: dict[str, str], data: bytes) -> Answer:
    stream = caller.call(headers=head)
    caller.send(stream, data, end=True)
    return await caller.answer(stream)


@pytest.mark.parametrize(
    ("more", "data", "status"),
    [
        pytest.param({"grpc_encoding": "snappy"}, FRAME, "12", id="unknown encoding"),
        pytest.param({}, b"\1" + FRAME[1:], "13", id="compressed without an encoding"),
        pytest.param({"grpc_encoding": "gzip"}, b"\1" + FRAME[1:], "13", id="not what it says"),
        pytest.param({}, FRAME[:-1], "13", id="cut off"),
        pytest.param({}, FRAME[:3], "13", id="no length"),
        pytest.param({}, b"\0\xff\xff\xff\xff", "8", id="4 GiB announced"),
        pytest.param({"grpc_timeout": "soon"}, FRAME, "13", id="a deadline in words"),
        pytest.param({"grpc_timeout": "123456789S"}, FRAME, "13", id="a deadline of nine digits"),
    ],
)
async def test_a_broken_frame_is_refused(sqlite_site: Site, more: dict[str, str], data: bytes, status: str) -> None:
    """HTTP/2 in native code answers what breaks the rules of gRPC with the status of gRPC, and goes on."""
    async with serving(sqlite_site) as running:
        async with calling(running.addresses[0]) as caller:
            answer = await _refused(caller, headers(sqlite_site, **more), data)
            assert answer.status == status
            good = await _refused(caller, headers(sqlite_site), FRAME)
            assert good.status == "0"
        kinds = [entry["kind"] for entry in sqlite_site.entries()]
    assert kinds.count("decision") == 1


async def test_a_small_message_that_becomes_large_is_refused(sqlite_site: Site) -> None:
    """A message of few bytes that would take more than its limit when it is decompressed is refused."""
    import zlib  # noqa: PLC0415 - of this test

    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(bytes(64 << 20)) + packer.flush()
    async with serving(sqlite_site) as running, calling(running.addresses[0]) as caller:
        data = b"\1" + len(bomb).to_bytes(4, "big") + bomb
        assert (await _refused(caller, headers(sqlite_site, grpc_encoding="gzip"), data)).status == "8"


@pytest.mark.usefixtures("each_transport")
async def test_without_a_key_no_message_is_read(sqlite_site: Site) -> None:
    """A caller without a valid key is refused before it sends its message."""
    async with serving(sqlite_site) as running, calling(running.addresses[0]) as caller:
        assert (await caller.answer(caller.call())).status == "16"


@pytest.mark.parametrize("head", [{":method": "GET"}, {"content-type": "text/html"}, {"te": ""}], ids=str)
async def test_what_is_no_grpc_is_refused(sqlite_site: Site, head: dict[str, str]) -> None:
    """A request of HTTP/2 that is none of gRPC gets an error of HTTP, and the connection goes on."""
    async with serving(sqlite_site) as running, calling(running.addresses[0]) as caller:
        answer = await caller.answer(caller.call(headers=headers(sqlite_site) | head, end=True))
        assert answer.headers[":status"] in {"400", "405", "415"}
        assert (await _refused(caller, headers(sqlite_site), FRAME)).status == "0"


async def test_calls_opened_and_reset_end_the_connection(sqlite_site: Site) -> None:
    """A caller that opens and resets calls without end loses its connection; others are answered meanwhile."""
    async with serving(sqlite_site) as running, calling(running.addresses[0]) as caller:
        for _ in range(5_000):
            if caller.terminated is not None:
                break
            stream = caller.call(headers=headers(sqlite_site))
            caller.http.reset_stream(stream)
            with suppress(OSError):
                await caller.flush()
            await asyncio.sleep(0)
        assert await works(running.addresses[0], sqlite_site.token)
        async with asyncio.timeout(HANG_S):
            await caller.closed.wait()
        assert caller.terminated == ENHANCE_YOUR_CALM
        assert running._admission._capacity.inside == 0


async def _cannot_accept(address: str) -> None:
    """Leave the server, which is in this process, without files until it has dropped its connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    host, _, port = address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    taken, further = [os.dup(0)], [writer]
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(taken) + 1, hard))
    dropped = asyncio.create_task(reader.read())
    try:
        async with asyncio.timeout(HANG_S):
            while not dropped.done():  # what others free meanwhile is taken as well
                _take_all(taken)
                if taken:
                    os.close(taken.pop())  # for a connection that the server then cannot accept
                with suppress(OSError):
                    further.append((await asyncio.open_connection(host, int(port)))[1])
                await asyncio.wait((dropped,), timeout=0.2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for one in taken:
            os.close(one)
    for connection in further:
        connection.close()


def _take_all(taken: list[int]) -> None:
    """Take all files that the process can still have."""
    with suppress(OSError):
        while True:
            taken.append(os.dup(0))


async def test_without_files_the_server_goes_on_later(sqlite_site: Site) -> None:
    """A server that could not accept a connection for lack of files serves again when there are some."""
    async with serving(sqlite_site) as running:
        await _cannot_accept(running.addresses[0])
        assert await works(running.addresses[0], sqlite_site.token)


async def test_a_server_that_is_about_to_serve_again_stops(sqlite_site: Site) -> None:
    """A stop ends a server in the pause after it could not accept a connection."""
    running = await start(sqlite_site.settings)
    await _cannot_accept(running.addresses[0])
    async with asyncio.timeout(HANG_S):
        await running.drain(0)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", int(running.addresses[0].rpartition(":")[2]))


@pytest.fixture
def tls_site(sqlite_site: Site) -> Site:
    """Return a service with certificates for development."""
    make_development_certificates(sqlite_site.settings.data_dir / "tls", datetime.now(UTC))
    return sqlite_site


def _callers_certificate() -> tuple[bytes, bytes, bytes]:
    """Return the key and the certificate of a caller, and the authority that signed it, PEM."""
    authority_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    authority_name, name = (x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one)]) for one in ("company", "pbx"))
    now, usage = datetime.now(UTC), x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    authority = certificate_builder(authority_name, authority_name, authority_key, now).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    )
    certificate = certificate_builder(name, authority_name, key, now).add_extension(usage, critical=False)
    signed = (one.sign(authority_key, hashes.SHA256()) for one in (certificate, authority))
    theirs, company = (one.public_bytes(serialization.Encoding.PEM) for one in signed)
    return pem_of(key), theirs, company


async def _check_over(address: str, token: str, credentials: grpc.ChannelCredentials) -> access_pb2.CheckResponse:
    async with grpc.aio.secure_channel(address.replace("127.0.0.1", "localhost"), credentials) as channel:
        check = access_pb2_grpc.AccessServiceStub(channel).Check
        metadata = (("authorization", f"Bearer {token}"),)
        answer: access_pb2.CheckResponse = await check(QUESTION, metadata=metadata, timeout=HANG_S)
        return answer


@pytest.mark.usefixtures("each_transport")
async def test_tls_and_the_certificates_of_callers(tls_site: Site, tmp_path: Path) -> None:
    """A caller trusts the server by its authority, and where the settings name one, must show a certificate itself."""
    folder = tls_site.settings.data_dir / "tls"
    authority = (folder / "ca.crt").read_bytes()
    plain = grpc.ssl_channel_credentials(authority)
    async with serving(tls_site, plaintext=False) as running:
        assert (await _check_over(running.addresses[0], tls_site.token, plain)).decision.effect
        with pytest.raises(grpc.aio.AioRpcError):  # it does not trust the server
            await _check_over(running.addresses[0], tls_site.token, grpc.ssl_channel_credentials())
    key, certificate, company = _callers_certificate()
    named = grpc.ssl_channel_credentials(authority, key, certificate)
    wanted = tmp_path / "company.crt"
    wanted.write_bytes(company)
    async with serving(tls_site, plaintext=False, tls_client_ca=wanted) as running:
        assert (await _check_over(running.addresses[0], tls_site.token, named)).decision.effect
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await _check_over(running.addresses[0], tls_site.token, plain)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


async def _streamed(client: Client, count: int) -> AsyncIterator[Any]:
    async def questions() -> AsyncIterator[Any]:
        for _ in range(count):
            yield access_pb2.CheckStreamRequest(check=QUESTION)

    async for answer in client.access.CheckStream(questions(), metadata=client.metadata, timeout=HANG_S):
        yield answer


@pytest.mark.usefixtures("each_transport")
async def test_a_long_stream_is_answered_to_its_end(sqlite_site: Site) -> None:
    """More messages than windows and buffers hold are each answered, and the stream ends with OK."""
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        assert len([one async for one in _streamed(client, 500)]) == 500


_SCRIPT = """
const grpc = require('@grpc/grpc-js');
const [address, path, request, token] = process.argv.slice(2);
const client = new grpc.Client(address, grpc.credentials.createInsecure());
const metadata = new grpc.Metadata();
const same = (bytes) => bytes;
const call = (key, done) => {
  const sent = new grpc.Metadata();
  sent.set('authorization', 'Bearer ' + key);
  client.makeUnaryRequest(path, same, same, Buffer.from(request, 'base64'), sent, {deadline: Date.now() + 30000}, done);
};
call(token, (error, answer) => call('wrong', (refused) => {
  console.log(JSON.stringify({error, answer: answer && answer.toString('base64'), refused: refused && refused.code,
    details: refused && refused.metadata.get('grpc-status-details-bin').length}));
  client.close();
}));
"""


@pytest.fixture(scope="session")
def grpc_js(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with grpc-js, from npm."""
    if shutil.which("npm") is None:
        pytest.skip("install npm to test with grpc-js")
    folder = tmp_path_factory.mktemp("npm")
    call = ["npm", "install", "--no-audit", "--no-fund", "--no-save", "--prefix", str(folder), "@grpc/grpc-js@1"]
    try:
        done = subprocess.run(call, capture_output=True, check=False, timeout=HANG_S)
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not install grpc-js in time")
    if done.returncode:
        pytest.skip("npm could not install grpc-js: give it access to its registry")
    (folder / "call.js").write_text(_SCRIPT)
    return folder


@pytest.mark.usefixtures("each_transport")
async def test_a_caller_of_grpc_js_is_answered(sqlite_site: Site, grpc_js: Path) -> None:
    """A caller with the library of gRPC for JavaScript gets its answer, and the status and details of a refusal."""
    from base64 import b64decode, b64encode  # noqa: PLC0415 - of this test

    async with serving(sqlite_site) as running:
        arguments = (running.addresses[0], "/linewarden.v1.AccessService/Check",
                     b64encode(QUESTION.SerializeToString()).decode(), sqlite_site.token)  # fmt: skip
        process = await asyncio.create_subprocess_exec("node", "call.js", *arguments, cwd=grpc_js, stdout=-1)
        async with asyncio.timeout(HANG_S):
            told = json.loads((await process.communicate())[0])
    answer = access_pb2.CheckResponse.FromString(b64decode(told["answer"]))
    assert (told["error"], answer.decision.effect) == (None, access_pb2.EFFECT_ALLOW)
    assert (told["refused"], told["details"]) == (grpc.StatusCode.UNAUTHENTICATED.value[0], 1)
