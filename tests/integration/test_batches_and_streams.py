"""Many questions at once: batches that fill several entries, and streams."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from linewarden.server.bootstrap import now_us
from linewarden.server.operator_actions import revoke_key
from linewarden.v1 import access_pb2, core_pb2, error_reason_pb2
from tests.deadlines import HANG_S
from tests.integration.conftest import TENANT, Client, Site, check_request, person, refusal_of, serving

pytestmark = pytest.mark.usefixtures("each_transport")

ALLOW, DENY = access_pb2.EFFECT_ALLOW, access_pb2.EFFECT_DENY


def items_of(count: int, *, id: str = "{}", owner: str = "bob") -> list[access_pb2.CheckItem]:
    """Return items of a batch, of which every third belongs to another person."""
    items = []
    for number in range(count):
        whose = owner.format(number) if number % 3 else "carol"
        one = check_request("bob", "play", "voicemail", id.format(number), owner=whose)
        items.append(access_pb2.CheckItem(verb=one.verb, resource=one.resource))
    return items


async def batch(
    client: Client, items: list[access_pb2.CheckItem], subject: str = "bob"
) -> access_pb2.CheckBatchResponse:
    """Ask about several items."""
    request = access_pb2.CheckBatchRequest(
        header=core_pb2.RequestHeader(tenant=TENANT, subject=person(subject), request_id="b"), items=items
    )
    answer: access_pb2.CheckBatchResponse = await client.call(client.access.CheckBatch, request)
    return answer


@pytest.mark.parametrize(("count", "length", "full"), [
    (1, 10, False), (2, 10, False), (50, 40, False), (500, 10, True), (500, 512, True)
])  # fmt: skip
async def test_decision_ids_point_at_entry_and_item(
    sqlite_site: Site, client: Client, count: int, length: int, full: bool
) -> None:
    """Each decision id leads to the entry and item of its answer, at any size of the batch."""
    answer = await batch(client, items_of(count, id="{:0" + str(length) + "}"))
    assert [one.effect for one in answer.decisions] == [ALLOW if n % 3 else DENY for n in range(count)]
    rows = {(row.index, row.item): row for row in await client.rows(kinds=["decision"], page_size=1000)}
    assert len(rows) == count
    for number, decision in enumerate(answer.decisions):
        index, _, item = decision.id.partition(".")
        row = rows[int(index), int(item or 0)]
        assert int(row.resource_id) == number
        assert (row.effect, row.request_id, row.subject) == (decision.effect, "b", "bob")
    log = sqlite_site.log_of(TENANT)
    sizes = [len(entry) for entry in sqlite_site.storage.log.entries(log, 0, len(sqlite_site.entries()))]
    assert max(sizes) < 32 * 1024
    entries = {id.partition(".")[0] for id in (one.id for one in answer.decisions)}
    assert (len(entries) > 1) == full


async def test_a_batch_of_strangers_with_long_names_is_answered(client: Client) -> None:
    """The server introduces and answers 500 items of unknown owners with the longest names."""
    answer = await batch(client, items_of(500, owner='"' * 250 + "{:06}"))
    assert len(answer.decisions) == 500
    rows = await client.rows(kinds=["decision"], page_size=1000, oldest_first=True)
    assert [len(row.owner) for row in rows if row.owner != "carol"] == [256] * 333


async def test_an_answer_with_very_many_rules_is_still_an_answer(client: Client) -> None:
    """The server answers about an item that almost a thousand rules match."""
    roles = [f"bind bob role:many{n}" for n in range(4)]
    await client.change(add=roles + [f"allow role:many{n % 4} play voicemail any if age<{n + 1}d" for n in range(996)])
    created = Timestamp(seconds=now_us() // 1_000_000)
    answer = await client.check("bob", "play", "voicemail", "1", owner="bob", created_at=created)
    assert answer.decision.effect == ALLOW
    answer = await client.check("bob", "play", "voicemail", "1", owner="carol")
    assert answer.decision.effect == DENY


async def gather_into(answers: list[access_pb2.CheckStreamResponse], call: Any) -> None:
    """Read a stream to its end, and keep the answers before an error."""
    async for answer in call:
        answers.append(answer)  # noqa: PERF401 - what came must be kept when the next is an error


async def stream(client: Client, requests: list[access_pb2.CheckRequest]) -> list[access_pb2.CheckStreamResponse]:
    """Send questions and gather the answers."""
    sent = (access_pb2.CheckStreamRequest(check=request) for request in requests)
    call = client.access.CheckStream(sent, metadata=client.metadata, timeout=HANG_S)
    return [answer async for answer in call]


async def test_a_stream_answers_in_order_and_goes_on_after_a_refusal(sqlite_site: Site, client: Client) -> None:
    """A stream answers in order, refuses a bad question in its place and goes on, and the log has both."""
    requests = [
        check_request("bob", "play" if n % 10 else "listen_live", "voicemail", str(n), owner="bob", request_id=f"s{n}")
        for n in range(300)
    ]
    requests[5].header.tenant = "globex"
    answers = await stream(client, requests)
    entries = sqlite_site.entries()
    assert len(answers) == 300
    for n, answer in enumerate(answers):
        if n == 5:
            assert answer.refusal.code == grpc.StatusCode.PERMISSION_DENIED.value[0]
            assert answer.refusal.reason == error_reason_pb2.ERROR_REASON_CALLER_NOT_PERMITTED
        elif n % 10 == 0:
            assert answer.refusal.reason == error_reason_pb2.ERROR_REASON_VERB_NOT_APPLICABLE
        else:
            assert entries[int(answer.check.decision.id)]["request_id"] == f"s{n}"
    assert sum(entry["kind"] == "request.refused" for entry in entries) == 30


async def assert_ends_at_a_limit(call: Any, answers: list[access_pb2.CheckStreamResponse]) -> None:
    """Read a stream to its refusal, and keep its answers."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await gather_into(answers, call)
    refusal = refusal_of(caught.value)
    assert (refusal.code.name, refusal.reason) == ("RESOURCE_EXHAUSTED", "STREAM_LIMIT_EXCEEDED")


async def test_a_stream_ends_at_its_limit_of_messages(sqlite_site: Site) -> None:
    """A stream with too many messages ends with RESOURCE_EXHAUSTED after the answers within the limit."""
    request = access_pb2.CheckStreamRequest(check=check_request("bob", "play", "voicemail", "1", owner="bob"))
    answers: list[access_pb2.CheckStreamResponse] = []
    async with (
        serving(sqlite_site, max_stream_messages=40) as running,
        Client(running.addresses[0], sqlite_site.token) as client,
    ):
        sent = client.access.CheckStream(iter([request] * 60), metadata=client.metadata, timeout=HANG_S)
        await assert_ends_at_a_limit(sent, answers)
    assert len(answers) == 40


async def test_a_stream_ends_at_its_limit_of_time(sqlite_site: Site) -> None:
    """A stream that asks again after each answer ends with RESOURCE_EXHAUSTED once its time is over."""
    request = access_pb2.CheckStreamRequest(check=check_request("bob", "play", "voicemail", "1", owner="bob"))
    answers: list[access_pb2.CheckStreamResponse] = []
    answered = asyncio.Event()

    async def after_each_answer() -> AsyncIterator[access_pb2.CheckStreamRequest]:
        while True:
            yield request
            await answered.wait()
            answered.clear()

    async with (
        serving(sqlite_site, max_stream_seconds=1) as running,
        Client(running.addresses[0], sqlite_site.token) as client,
    ):
        call = client.access.CheckStream(after_each_answer(), metadata=client.metadata, timeout=HANG_S)

        async def read() -> AsyncIterator[access_pb2.CheckStreamResponse]:
            async for answer in call:
                yield answer
                answered.set()

        await assert_ends_at_a_limit(read(), answers)


async def test_a_stream_does_not_outlive_its_key(sqlite_site: Site, client: Client) -> None:
    """A stream whose key is revoked answers nothing more."""
    id, token = sqlite_site.key()
    request = access_pb2.CheckStreamRequest(check=check_request("bob", "play", "voicemail", "1", owner="bob"))
    metadata = (("authorization", f"Bearer {token}"),)
    call: Any = client.access.CheckStream(metadata=metadata, timeout=HANG_S)
    await call.write(request)
    assert (await call.read()).check.decision.effect == ALLOW
    await asyncio.to_thread(revoke_key, sqlite_site.storage.log, id, now_us())
    await call.write(request)
    assert (await call.read()).refusal.reason == error_reason_pb2.ERROR_REASON_CREDENTIALS_INVALID
    await call.done_writing()


async def test_a_caller_that_goes_away_leaves_nothing_behind(sqlite_site: Site, client: Client) -> None:
    """Cancelled streams and calls do not disturb other callers, and their records stay consistent."""
    request = access_pb2.CheckStreamRequest(check=check_request("bob", "play", "voicemail", "1", owner="bob"))
    for _ in range(10):
        call = client.access.CheckStream(iter([request] * 500), metadata=client.metadata)
        await call.read()
        call.cancel()
        single = client.access.Check(request.check, metadata=client.metadata)
        await asyncio.sleep(0.001)
        single.cancel()
    answer = await client.check("bob", "play", "voicemail", "last", owner="bob")
    assert sqlite_site.entries()[int(answer.decision.id)]["items"][0]["effect"] == "allow"
