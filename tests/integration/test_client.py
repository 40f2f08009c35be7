"""The client library against real servers: answers, refusals, restarts, deadlines, TLS."""

import asyncio
import itertools
import os
import random
import signal
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import pytest

from linewarden.client import (
    AsyncClient,
    Client,
    ClientError,
    ClientUnusable,
    DeadlineExceeded,
    Decision,
    KeyRefused,
    Question,
    QuestionInvalid,
    Unavailable,
    Untrusted,
)
from linewarden.client.groups import Group
from linewarden.server.bootstrap import Running
from linewarden.server.tls import make_development_certificates
from linewarden.server.workers.certificates import issue, make_authority
from tests.deadlines import HANG_S
from tests.integration.conftest import TENANT, Server, Site, processes, serving
from tests.integration.forked_python import forked_python

PLAY = Question("bob", "play", "voicemail", "default/101/1", owner="bob")
OTHER = Question("mallory", "play", "voicemail", "default/101/1", owner="bob")


@pytest.fixture
async def client(sqlite_site: Site, server: Running) -> AsyncIterator[AsyncClient]:
    """Return a client of a running server."""
    async with connected(server.addresses[0], sqlite_site.token) as one:
        yield one


def connected(address: str, token: str, **more: Any) -> AsyncClient:
    """Return a client without TLS."""
    return AsyncClient(address, key=token, tenant=TENANT, **{"plaintext": True, **more})


def questions(count: int, seed: int = 1) -> list[Question]:
    """Return questions of several persons in several circumstances."""
    some = random.Random(seed)
    return [
        Question(
            some.choice(("bob", "carol", "supervisor", "//partner/ines", f"stranger-{number % 7}")),
            some.choice(("play", "download", "view_metadata")),
            some.choice(("recording", "voicemail")),
            f"item-{some.randrange(20)}",
            owner=some.choice(("", "bob", "carol")),
            queue=some.choice(("", "sales")),
            purpose=some.choice(("", "quality", "support")),
            case=some.choice(("", "T-1", "T-2")),
            zone=some.choice(("", "office")),
        )
        for number in range(count)
    ]


def explanation(decision: Decision) -> tuple[Any, ...]:
    """Return the parts of a decision that do not depend on its place in the log or on time."""
    message = type(decision.message)()
    message.CopyFrom(decision.message)
    message.id = ""
    return decision.effect, decision.reason, decision.obligations, decision.policy_revision, message.SerializeToString()


def decided(site: Site) -> dict[str, list[tuple[str, str]]]:
    """Return the ids and effects in the log, by request id."""
    found: dict[str, list[tuple[str, str]]] = {}
    for index, entry in enumerate(site.entries()):
        items = entry.get("items", ())
        for number, item in enumerate(items):
            id = f"{index}.{number}" if len(items) > 1 else str(index)
            request_id = item.get("request_id", entry["request_id"])
            found.setdefault(request_id, []).append((id, item["effect"]))
    return found


async def ask(client: AsyncClient, asked: Sequence[Question], **more: Any) -> list[Decision | BaseException]:
    """Ask all questions at once, each under its number as request id."""
    calls = [client.check(one, request_id=f"q{n}", timeout_s=HANG_S, **more) for n, one in enumerate(asked)]
    return await asyncio.gather(*calls, return_exceptions=True)


@pytest.mark.usefixtures("each_transport")
async def test_shared_requests_answer_as_single_ones(sqlite_site: Site, server: Running, client: AsyncClient) -> None:
    """Concurrent questions share few entries, and each gets its own recorded answer, equal to that of a single one."""
    asked = questions(700)
    shared = await ask(client, asked)
    logged = decided(sqlite_site)
    entries = sum(entry["kind"] == "decision" for entry in sqlite_site.entries())
    assert entries < 100
    async with connected(server.addresses[0], sqlite_site.token, coalesce=False) as single:
        for number, (question, answer) in enumerate(zip(asked, shared, strict=True)):
            assert isinstance(answer, Decision), answer
            assert logged[f"q{number}"] == [(answer.id, answer.effect)]
            assert explanation(answer) == explanation(await single.check(question))
    assert {answer.effect for answer in shared if isinstance(answer, Decision)} == {"allow", "deny"}


@pytest.mark.usefixtures("each_transport")
async def test_an_invalid_question_fails_alone(sqlite_site: Site, client: AsyncClient) -> None:
    """Each refused question gets its own error with the fields of a single one; the others get their answers."""
    asked = questions(60)
    wrong = {
        7: (Question("role:user", "play", "voicemail", "1"), "header.subject.id", "INVALID_REQUEST"),
        0: (Question("bob", "play", "voicemail", ""), "resource.id", "INVALID_REQUEST"),
        20: (Question("bob", "listen_live", "voicemail", "1"), "verb", "VERB_NOT_APPLICABLE"),
        41: (
            Question("bob", "play", "voicemail", "1", zone="192.0.2.7"),
            "header.context.network_zone",
            "INVALID_REQUEST",
        ),
    }
    for number, (question, _, _) in wrong.items():
        asked[number] = question
    answers = await ask(client, asked)
    for number, answer in enumerate(answers):
        if number in wrong:
            assert isinstance(answer, QuestionInvalid)
            assert ([path for path, _ in answer.fields], answer.reason) == ([wrong[number][1]], wrong[number][2])
            assert answer.request_id == f"q{number}"
            assert "192.0.2.7" not in str(answer)
            assert not answer.allows()
        else:
            assert isinstance(answer, Decision)
    assert decided(sqlite_site).keys() == {f"q{n}" for n in range(60)} - {f"q{n}" for n in wrong}


async def test_a_first_question_that_is_invalid_fails_alone(client: AsyncClient) -> None:
    """The header of a shared request is that of its first question, whose errors concern no other person."""
    bad = Question("role:user", "play", "voicemail", "1")
    answers = await ask(client, [bad, PLAY, bad, OTHER, bad])
    assert [isinstance(one, QuestionInvalid) for one in answers] == [True, False, True, False, True]
    assert [one.effect for one in answers if isinstance(one, Decision)] == ["allow", "deny"]


async def test_a_key_for_single_checks_is_enough(sqlite_site: Site, server: Running) -> None:
    """Concurrent questions are answered with a key that is bound to Check alone; one refused batch is recorded."""
    _, token = sqlite_site.key(methods=("AccessService/Check",))
    async with connected(server.addresses[0], token) as client:
        for _ in range(2):
            answers = await ask(client, questions(40))
            assert all(isinstance(one, Decision) for one in answers)
    assert [one["reason"] for one in sqlite_site.entries("") if one["kind"] == "request.refused"] == [
        "caller_not_permitted"
    ]


async def test_more_new_persons_than_a_request_may_name_are_answered(client: AsyncClient) -> None:
    """Questions that together name too many new persons are divided, and all of them are answered."""
    asked = [
        Question(f"new-{n}", "play", "voicemail", "1", owner=f"owner-{n}", parties=(f"party-{n}",)) for n in range(450)
    ]
    answers = await ask(client, asked)
    assert [one for one in answers if not isinstance(one, Decision)] == []


async def test_a_batch_is_one_entry_under_one_request_id(sqlite_site: Site, client: AsyncClient) -> None:
    """check_batch decides for several persons in order, as one entry; an invalid item refuses all of it."""
    first, second, third = await client.check_batch([PLAY, OTHER, PLAY], request_id="b-1")
    assert [one.effect for one in (first, second, third)] == ["allow", "deny", "allow"]
    assert decided(sqlite_site) == {"b-1": [(one.id, one.effect) for one in (first, second, third)]}
    with pytest.raises(QuestionInvalid) as caught:
        await client.check_batch([PLAY, Question("bob", "listen_live", "voicemail", "1")])
    assert [path for path, _ in caught.value.fields] == ["items[1].verb"]
    assert await client.check_batch([]) == []


@pytest.mark.usefixtures("each_transport")
async def test_a_stream_yields_results_in_order(client: AsyncClient) -> None:
    """A stream answers in order, with an error in the place of a refused question; a wrong word ends it."""
    asked = [PLAY, Question("bob", "listen_live", "voicemail", "1"), OTHER]
    results = [one async for one in client.check_stream(asked)]
    assert [one.allows() for one in results] == [True, False, False]
    assert isinstance(results[1], QuestionInvalid)
    assert results[1].reason == "VERB_NOT_APPLICABLE"
    results = []
    with pytest.raises(QuestionInvalid, match="verb"):
        await gather_into(results, client.check_stream([PLAY, Question("bob", "PLAYS", "voicemail", "1")]))
    assert [one.allows() for one in results] == [True]


async def gather_into(results: list[Any], stream: AsyncIterator[Any]) -> None:
    """Read a stream to its end, and keep the results before an error."""
    async for one in stream:
        results.append(one)  # noqa: PERF401 - what came must be kept when the next is an error


def in_threads(client: Client, asked: Sequence[Question]) -> list[Decision | BaseException]:
    """Ask each question in a thread of its own."""

    def one(number: int) -> Decision | BaseException:
        try:
            return client.check(asked[number], request_id=f"q{number}", timeout_s=HANG_S)
        except ClientError as error:
            return error

    with ThreadPoolExecutor(len(asked)) as pool:
        return list(pool.map(one, range(len(asked))))


@pytest.mark.usefixtures("each_transport")
async def test_threads_share_requests_too(sqlite_site: Site, server: Running) -> None:
    """Questions of many threads get their own recorded answers, one invalid question fails alone, streams work."""
    asked = questions(80)
    asked[11] = Question("bob", "listen_live", "voicemail", "1")

    def use() -> list[Decision | BaseException]:
        with Client(server.addresses[0], key=sqlite_site.token, tenant=TENANT, plaintext=True) as client:
            answers = in_threads(client, asked)
            assert [one.effect for one in client.check_batch([PLAY, OTHER])] == ["allow", "deny"]
            assert [one.allows() for one in client.check_stream([PLAY, OTHER, asked[11]])] == [True, False, False]
            with pytest.raises(QuestionInvalid):
                list(client.check_stream([PLAY, Question("bob", "PLAYS", "voicemail", "1")]))
        with pytest.raises(ClientUnusable):
            client.check(PLAY)
        with pytest.raises(ClientUnusable):
            client.check_batch([PLAY])
        return answers

    answers = await asyncio.to_thread(use)
    logged = decided(sqlite_site)
    for number, answer in enumerate(answers):
        if number == 11:
            assert isinstance(answer, QuestionInvalid)
        else:
            assert isinstance(answer, Decision), answer
            assert logged[f"q{number}"] == [(answer.id, answer.effect)]


@pytest.mark.usefixtures("each_transport")
async def test_a_wrong_key_is_refused(server: Running) -> None:
    """A wrong key raises KeyRefused for each question, with the reason of the server."""
    async with connected(server.addresses[0], "lw_0_0") as client:
        for answer in await ask(client, [PLAY, OTHER]):
            assert isinstance(answer, KeyRefused)
            assert (answer.code, answer.reason) == ("UNAUTHENTICATED", "CREDENTIALS_INVALID")


def test_an_asyncio_client_belongs_to_its_event_loop(sqlite_site: Site) -> None:
    """A client that another event loop used before raises ClientUnusable at once."""
    client = connected("127.0.0.1:1", sqlite_site.token)

    async def use() -> None:
        with pytest.raises(ClientError):
            await client.check(PLAY, timeout_s=0.1)

    asyncio.run(use())
    with pytest.raises(ClientUnusable, match="event loop"):
        asyncio.run(client.check(PLAY))


async def test_an_unreachable_server_is_an_error_without_an_address() -> None:
    """A question to a port without a server is repeated until its deadline, then raises an error without address."""
    async with connected("127.0.0.1:1", "lw_0_0") as client:
        with pytest.raises((Unavailable, DeadlineExceeded)) as caught:
            await client.check(PLAY, timeout_s=0.3)
        with pytest.raises((Unavailable, DeadlineExceeded)):
            await client.check_batch([PLAY], timeout_s=0.3)
    assert "127.0.0.1" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.slow
@pytest.mark.parametrize("end", [Server.kill, Server.terminate])
async def test_questions_are_answered_through_a_restart(sqlite_site: Site, end: Callable[[Server], None]) -> None:
    """A client whose server is killed or stopped and started again gets every answer; each question is in the log."""
    site, answered = sqlite_site, dict[str, Decision]()
    first = Server(site, python=forked_python())
    address = await first.ready()
    asked = questions(40)
    stop = asyncio.Event()

    async def keep_asking(client: AsyncClient, caller: int) -> None:
        number = 0
        while not stop.is_set():
            id = f"c{caller}-{number}"
            answered[id] = await client.check(asked[(caller + number) % 40], request_id=id, timeout_s=HANG_S)
            number += 1

    async with connected(address, site.token) as client, asyncio.TaskGroup() as callers:
        for caller in range(20):
            callers.create_task(keep_asking(client, caller))
        await until(lambda: len(answered) > 100)
        end(first)
        await first.ended()
        before = len(answered)
        second = Server(site, python=forked_python(), LINEWARDEN_LISTEN=address)
        await second.ready()
        await until(lambda: len(answered) > before + 100)
        stop.set()
    second.terminate()
    await second.ended()
    logged = decided(site)
    assert {id: answer.effect for id, answer in answered.items() if (answer.id, answer.effect) not in logged[id]} == {}


async def until(holds: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(HANG_S):
        while not holds():  # noqa: ASYNC110 - many tasks fulfil it together
            await asyncio.sleep(0.01)


@pytest.mark.slow
async def test_a_server_killed_on_the_way_allows_nothing(sqlite_site: Site) -> None:
    """Every question whose server stands still, dies and does not come back raises an error; nothing is allowed."""
    async with processes(sqlite_site) as (one,), connected(one.address, sqlite_site.token) as client:
        assert (await client.check(PLAY)).allows()
        one.process.send_signal(signal.SIGSTOP)
        await asyncio.to_thread(os.waitpid, one.process.pid, os.WUNTRACED)
        calls = [asyncio.create_task(client.check(PLAY, timeout_s=2)) for _ in range(50)]
        with pytest.raises(DeadlineExceeded):
            await client.check(PLAY, timeout_s=0.2)
        one.kill()
        for result in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(result, Unavailable | DeadlineExceeded), result
            assert not result.allows()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with an authority and a certificate for localhost."""
    folder = tmp_path_factory.mktemp("client-tls") / "new"
    make_development_certificates(folder, datetime.now(UTC))
    return folder


def tls(folder: Path) -> dict[str, Any]:
    """Return the settings of a server with the certificate of a folder."""
    return {"plaintext": False, "tls_certificate": folder / "server.crt", "tls_key": folder / "server.key"}


@pytest.mark.usefixtures("each_transport")
async def test_tls_and_the_wrong_authority(sqlite_site: Site, certificates: Path, tmp_path: Path) -> None:
    """A client answers over TLS if it trusts the authority, and raises Untrusted at once if it does not."""
    make_development_certificates(tmp_path / "other", datetime.now(UTC))
    async with serving(sqlite_site, **tls(certificates)) as running:
        make = partial(connected, running.addresses[0], sqlite_site.token, plaintext=False)
        async with make(ca=(certificates / "ca.crt").read_bytes()) as client:
            assert (await client.check(PLAY)).allows()
        async with make(ca=(tmp_path / "other/ca.crt").read_bytes()) as client:
            with pytest.raises(Untrusted) as caught:
                await client.check(PLAY, timeout_s=HANG_S)
            assert "127.0.0.1" not in str(caught.value)
        async with connected(running.addresses[0], sqlite_site.token) as client:
            with pytest.raises((Unavailable, Untrusted, DeadlineExceeded)):
                await client.check(PLAY, timeout_s=0.5)
    with pytest.raises(ValueError, match="no certificate"):
        make(ca=b"no certificate")


@pytest.mark.usefixtures("each_transport")
async def test_mutual_tls(sqlite_site: Site, certificates: Path, tmp_path: Path) -> None:
    """A server that requires certificates answers a client that shows one of its authority, and no other."""
    now = datetime.now(UTC)
    make_authority(tmp_path / "callers.crt", tmp_path / "callers.key", now)
    authority, authority_key = ((tmp_path / name).read_bytes() for name in ("callers.crt", "callers.key"))
    key, chain = issue("portal", authority, authority_key, now)
    settings = {**tls(certificates), "tls_client_ca": tmp_path / "callers.crt"}
    async with serving(sqlite_site, **settings) as running:
        ca = (certificates / "ca.crt").read_bytes()
        make = partial(connected, running.addresses[0], sqlite_site.token, plaintext=False, ca=ca)
        async with make(certificate=(chain, key)) as client:
            assert (await client.check(PLAY)).allows()
        async with make() as client:
            with pytest.raises((Unavailable, Untrusted, DeadlineExceeded)):
                await client.check(PLAY, timeout_s=0.5)


@pytest.mark.usefixtures("each_transport")
@pytest.mark.slow
async def test_threads_are_answered_through_a_restart(sqlite_site: Site) -> None:
    """Threads whose server is killed and started again get every answer, and the log has each of them."""
    site, answered, stop = sqlite_site, dict[str, Decision](), threading.Event()
    first = Server(site, python=forked_python())
    address = await first.ready()

    def keep_asking(client: Client, caller: int) -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            id = f"c{caller}-{number}"
            answered[id] = client.check(PLAY, request_id=id, timeout_s=HANG_S)

    with (
        ThreadPoolExecutor(8) as pool,
        Client(address, key=site.token, tenant=TENANT, plaintext=True) as client,
    ):
        callers = [pool.submit(keep_asking, client, caller) for caller in range(8)]
        try:
            await until(lambda: len(answered) > 50)
            first.kill()
            await first.ended()
            before = len(answered)
            second = Server(site, python=forked_python(), LINEWARDEN_LISTEN=address)
            await second.ready()
            await until(lambda: len(answered) > before + 50)
        finally:
            stop.set()
        await asyncio.to_thread(lambda: [one.result() for one in callers])
    second.terminate()
    await second.ended()
    logged = decided(site)
    assert {id: answer.effect for id, answer in answered.items() if (answer.id, answer.effect) not in logged[id]} == {}


@pytest.fixture
def silent() -> Iterator[str]:
    """Return the address of a listener that accepts connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"127.0.0.1:{listener.getsockname()[1]}"


async def test_each_caller_has_its_own_deadline(silent: str) -> None:
    """A caller with a short deadline gets DeadlineExceeded while others with longer ones still wait."""
    async with connected(silent, "lw_1_1") as client:
        patient = [asyncio.create_task(client.check(PLAY, timeout_s=HANG_S)) for _ in range(5)]
        with pytest.raises((DeadlineExceeded, Unavailable)):
            await client.check(PLAY, timeout_s=0.2)
        assert not any(one.done() for one in patient)
        cancelled = patient.pop()
        cancelled.cancel()
        with pytest.raises(asyncio.CancelledError):
            await cancelled
    for result in await asyncio.gather(*patient, return_exceptions=True):
        assert isinstance(result, ClientUnusable)


async def test_closing_ends_the_calls_of_threads(silent: str) -> None:
    """Threads that wait for an answer raise ClientUnusable when the client is closed."""
    client = Client(silent, key="lw_1_1", tenant=TENANT, plaintext=True)
    waiting = [asyncio.create_task(asyncio.to_thread(client.check, PLAY, timeout_s=HANG_S)) for _ in range(4)]
    await until(lambda: len(client._gathering._on_the_way) > 0 and sum(map(_size, client._gathering._on_the_way)) > 0)
    await asyncio.to_thread(client.close)
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(result, ClientUnusable)


def _size(group: Group) -> int:
    return len(group.members)


async def test_a_server_without_the_service_is_no_permission() -> None:
    """A gRPC server that is no Linewarden gives an error for a question, a batch and a stream."""
    other = grpc.aio.server()
    port = other.add_insecure_port("127.0.0.1:0")
    await other.start()
    try:
        async with connected(f"127.0.0.1:{port}", "lw_1_1") as client:
            for call in (client.check(PLAY), client.check_batch([PLAY]), anext(client.check_stream([PLAY]))):
                with pytest.raises(ClientError) as caught:
                    await call
                assert (caught.value.code, caught.value.reason) == ("UNIMPLEMENTED", "")
    finally:
        await other.stop(None)


async def test_a_unix_socket_needs_no_certificate(sqlite_site: Site, tmp_path: Path) -> None:
    """A client asks over the socket of a server on its host."""
    socket_path = tmp_path / "lw.sock"
    async with (
        serving(sqlite_site, listen_socket=socket_path),
        connected(f"unix:{socket_path}", sqlite_site.token) as client,
    ):
        assert (await client.check(PLAY)).allows()
        assert [one.effect for one in await client.check_batch([PLAY, OTHER])] == ["allow", "deny"]
