"""Many questions at once: batches that fill several entries, and streams."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from linewarden.audit.model import Unit
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


async def test_each_answer_names_its_own_person(sqlite_site: Site, client: Client) -> None:
    """Persons who share roles get role paths that begin with their own names, in Checks and in one batch of both."""
    names = ("eva", "eve")
    await client.change(
        add=[*(f"bind {name} role:listener" for name in names), "allow role:listener play voicemail label:shared=yes"]
    )
    for name in (*names, *names):
        answer = await client.check(name, "play", "voicemail", "1", labels={"shared": "yes"})
        assert [list(rule.role_path) for rule in answer.decision.matched_rules] == [[name, "role:listener"]]
    items = [
        access_pb2.CheckItem(verb=one.verb, resource=one.resource, subject=person(name))
        for name in (*names, *names)
        for one in [check_request(name, "play", "voicemail", "1", labels={"shared": "yes"})]
    ]
    decisions = (await batch(client, items, subject="eve")).decisions
    paths = [list(rule.role_path) for decision in decisions for rule in decision.matched_rules]
    assert paths == [[name, "role:listener"] for name in (*names, *names)]
    assert not any(name in str(entry["items"]) for entry in sqlite_site.entries() if "items" in entry for name in names)


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


def of(item: access_pb2.CheckItem, subject: str, request_id: str = "", **context: Any) -> access_pb2.CheckItem:
    """Return an item asked for a person of its own, in circumstances of its own."""
    item = access_pb2.CheckItem(
        verb=item.verb, resource=item.resource, subject=person(subject), request_id=request_id,
    )  # fmt: skip
    if context:
        item.context.CopyFrom(core_pb2.Context(**context))
    return item


async def test_a_batch_of_several_persons_decides_as_single_checks_do(client: Client) -> None:
    """Each item is decided for its own person in its own circumstances, under one revision, as one entry."""
    await client.change(add=["allow carol play recording queue:sales if purpose=quality if zone=office"])
    mail = check_request("bob", "play", "voicemail", "default/101/1", owner="bob")
    call = check_request("bob", "play", "recording", "call-7", queue="sales")
    first, second = (access_pb2.CheckItem(verb=one.verb, resource=one.resource) for one in (mail, call))
    stated: dict[str, Any] = {"purpose": core_pb2.PURPOSE_QUALITY, "network_zone": "office"}
    items = [
        first, of(first, "carol"), of(second, "carol", **stated), of(second, "carol"),
        of(first, "//globex/bob"), of(first, "stranger"), of(first, "bob", purpose=core_pb2.PURPOSE_QUALITY),
    ]  # fmt: skip
    header = core_pb2.RequestHeader(tenant=TENANT, subject=person("bob"), context=core_pb2.Context(**stated))
    answer = await client.call(client.access.CheckBatch, access_pb2.CheckBatchRequest(header=header, items=items))
    singles = []
    for item in items:
        own = core_pb2.RequestHeader(tenant=TENANT, subject=item.subject if item.HasField("subject") else person("bob"))
        own.context.CopyFrom(item.context if item.HasField("subject") else header.context)
        asked = access_pb2.CheckRequest(header=own, verb=item.verb, resource=item.resource)
        singles.append((await client.call(client.access.Check, asked)).decision)
    ids = [decision.id for decision in answer.decisions]
    assert answer.own_requesters == 6
    assert ids == [f"{ids[0].partition('.')[0]}.{n}" for n in range(len(items))]
    for decision in (*answer.decisions, *singles):
        decision.id = ""
    assert list(answer.decisions) == singles
    assert [one.effect for one in singles] == [ALLOW, DENY, ALLOW, DENY, DENY, DENY, ALLOW]


async def test_the_auditor_finds_an_item_under_the_person_it_was_asked_for(client: Client) -> None:
    """Queries by person, request id and purpose find the items of a batch for which that holds, and no others."""
    one = check_request("bob", "play", "voicemail", "default/101/1", owner="bob")
    item = access_pb2.CheckItem(verb=one.verb, resource=one.resource)
    items = [
        item, of(item, "carol", "item-1", purpose=core_pb2.PURPOSE_LEGAL, case_reference="T-0815"),
        of(item, "bob", "item-2"), of(item, "carol", ""),
    ]  # fmt: skip
    await batch(client, items)

    async def found(**asked: Any) -> list[tuple[int, str, str]]:
        rows = await client.rows(kinds=["decision"], oldest_first=True, **asked)
        return [(row.item, row.subject, row.request_id) for row in rows]

    every = [(0, "bob", "b"), (1, "carol", "item-1"), (2, "bob", "item-2"), (3, "carol", "b")]
    assert await found() == every
    assert await found(subject="bob") == [every[0], every[2]]
    assert await found(subject="carol") == [every[1], every[3]]
    assert await found(request_id="b") == [every[0], every[3]]
    assert await found(request_id="item-1") == [every[1]]
    assert await found(purpose=core_pb2.PURPOSE_LEGAL) == [every[1]]
    assert await found(caller="backend", data_subject="bob") == every
    (row,) = await client.rows(request_id="item-1")
    entry = await client.entry(row.index)
    assert entry.disclosed["items.1.case"] == "T-0815"
    assert b"T-0815" not in entry.entry


async def test_a_header_person_that_no_item_is_for_is_not_recorded(sqlite_site: Site, client: Client) -> None:
    """The log neither introduces nor names the person of the header if every item names another one."""
    one = check_request("bob", "play", "voicemail", "default/101/1", owner="bob")
    item = of(access_pb2.CheckItem(verb=one.verb, resource=one.resource), "carol")
    await batch(client, [item, item], subject="zacharias")
    assert sqlite_site.storage.directory(_Unused()).find(sqlite_site.log_of(TENANT), "zacharias") is None
    assert {row.subject for row in await client.rows(kinds=["decision"])} == {"carol"}


async def test_every_bad_item_of_a_batch_is_named(sqlite_site: Site, client: Client) -> None:
    """A refused batch names each bad item by its index, in the error and in the record, and decides nothing."""
    one = check_request("bob", "play", "voicemail", "default/101/1", owner="bob")
    good = access_pb2.CheckItem(verb=one.verb, resource=one.resource)
    misfit = access_pb2.CheckItem(verb=core_pb2.VERB_LISTEN_LIVE, resource=one.resource)

    async def refused(*items: access_pb2.CheckItem) -> tuple[str, tuple[str, ...]]:
        header = core_pb2.RequestHeader(tenant=TENANT, subject=person("bob"))
        request = access_pb2.CheckBatchRequest(header=header, items=items)
        refusal = await client.refused(client.access.CheckBatch, request)
        recorded = sqlite_site.entries()[-1]
        assert (recorded["kind"], recorded["fields"]) == ("request.refused", list(refusal.fields))
        return refusal.reason, refusal.fields

    fields: tuple[str, ...] = ("items[1].verb", "items[3].verb")
    assert await refused(good, misfit, good, misfit) == ("VERB_NOT_APPLICABLE", fields)
    fields = ("items[0].subject.id", "items[2].subject.id")
    assert await refused(of(good, "role:user"), misfit, of(good, "role:user")) == ("INVALID_REQUEST", fields)
    nameless = of(good, "")
    assert await refused(good, nameless) == ("INVALID_REQUEST", ("items[1].subject.id",))
    assert await refused(good, of(good, "bob", network_zone="192.0.2.7")) == (
        "INVALID_REQUEST", ("items[1].context.network_zone",)
    )  # fmt: skip


async def test_a_batch_of_five_hundred_new_persons_is_answered(client: Client) -> None:
    """Five hundred items of as many unknown persons with the longest names become entries that name each of them."""
    names = ['"' * 250 + f"{n:06}" for n in range(500)]
    items = [of(item, name) for item, name in zip(items_of(500), names, strict=True)]
    answer = await batch(client, items)
    assert {one.effect for one in answer.decisions} == {DENY}
    rows = await client.rows(kinds=["decision"], page_size=1000, oldest_first=True)
    assert [row.subject for row in rows] == names


class _Unused:
    """An appender for reading, which introduces no person."""

    def append(self, unit: Unit) -> "asyncio.Future[int]":
        """Fail, because it must not be called."""
        raise AssertionError(unit)
