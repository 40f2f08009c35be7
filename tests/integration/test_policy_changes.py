"""Changes of policy and keys under several processes: no answer follows from a rule or key that is gone."""

import asyncio
import itertools
import time
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any

import grpc
import pytest

from linewarden.server.bootstrap import now_us
from linewarden.server.operator_actions import create_tenant, revoke_key
from linewarden.v1 import access_pb2
from tests.deadlines import HANG_S
from tests.integration.conftest import TENANT, Client, Site, processes, refusal_of, serving
from tests.integration.forked_python import forked_python

RULE = "bind dora role:user"
CHANGES = 40
ALLOW = access_pb2.EFFECT_ALLOW


@dataclass(frozen=True)
class Change:
    """A change of the policy: its effect for dora, the times of sending and acknowledgement, and its revision."""

    allows: bool
    sent: float
    acknowledged: float
    revision: int


@dataclass(frozen=True)
class Answer:
    """An answer about dora."""

    sent: float
    received: float
    allowed: bool
    revision: int
    decision: str


async def change_again_and_again(
    clients: list[Client], changes: list[Change], answers: list[Answer], ended: asyncio.Event
) -> None:
    """Add the rule and remove it repeatedly, each time through another server, until answers of both kinds came."""
    for number in itertools.count():
        if number >= CHANGES and {answer.allowed for answer in answers} == {True, False}:
            ended.set()
            return
        allows, sent = number % 2 == 0, time.monotonic()
        change: dict[str, Any] = {"add": [RULE]} if allows else {"remove": [RULE]}
        answer = await clients[number // 2 % len(clients)].change(**change)
        changes.append(Change(allows, sent, time.monotonic(), answer.policy.revision))
        await asyncio.sleep(0.005 * (number % 5))


async def ask_again_and_again(client: Client, answers: list[Answer], ended: asyncio.Event) -> None:
    """Ask about dora without pause until the changes ended."""
    while not ended.is_set():
        sent = time.monotonic()
        answer = await client.check("dora", "play", "voicemail", "default/102/1", owner="dora")
        allowed = answer.decision.effect == ALLOW
        answers.append(Answer(sent, time.monotonic(), allowed, answer.policy.revision, answer.decision.id))


def stale(answers: list[Answer], changes: list[Change]) -> list[Answer]:
    """Return the answers that contradict both the last acknowledged change before and the last sent one after."""
    acknowledged = [change.acknowledged for change in changes]
    wrong = []
    for answer in answers:
        last = bisect_right(acknowledged, answer.sent) - 1
        possible = {changes[last].allows if last >= 0 else False}
        possible |= {change.allows for change in changes[last + 1 :] if change.sent < answer.received}
        if answer.allowed not in possible:
            wrong.append(answer)
    return wrong


def replay(site: Site) -> dict[str, bool]:
    """Replay the log; check the revision of each decision, and return by id whether dora was allowed."""
    revision, dora, decided = 0, False, {}
    for index, entry in enumerate(site.entries()):
        if entry["kind"] == "policy.changed":
            assert entry["revision"] == revision + 1
            revision = entry["revision"]
            if revision > 1:
                dora = bool(entry["added"])
        elif "items" in entry:
            assert entry["policy"] == revision, f"entry {index} was decided under {entry['policy']} within {revision}"
            if entry["kind"] == "decision" and entry["items"][0]["action"] == "play":
                assert (entry["items"][0]["effect"] == "allow") == dora
                decided[str(index)] = dora
    return decided


@pytest.mark.slow
@pytest.mark.usefixtures("each_transport")
async def test_no_answer_rests_on_a_rule_that_is_gone(site: Site) -> None:
    """No answer contradicts an acknowledged change while two processes change and decide, and the log order agrees."""
    changes: list[Change] = []
    answers: list[Answer] = []
    async with processes(site, 2, python=forked_python()) as servers:
        clients = [Client(server.address, site.token) for server in servers]
        ended = asyncio.Event()
        await asyncio.gather(
            change_again_and_again(clients, changes, answers, ended),
            *(ask_again_and_again(clients[n % 2], answers, ended) for n in range(8)),
        )
        for client in clients:
            await client.channel.close()
    assert not stale(answers, changes)
    decided = replay(site)
    assert all(decided[answer.decision] == answer.allowed for answer in answers)
    made = {change.revision: change.allows for change in changes}
    assert all(made.get(answer.revision, False) == answer.allowed for answer in answers)


@pytest.mark.slow
@pytest.mark.usefixtures("each_transport")
async def test_no_answer_for_a_key_that_is_gone(site: Site) -> None:
    """After a revocation is acknowledged, no process answers a later request with that key."""
    async with processes(site, 2, python=forked_python()) as servers:
        for _ in range(4):
            id, token = site.key()
            clients = [Client(server.address, token) for server in servers]
            sent_at: list[float] = []
            reasons: set[str] = set()
            answered = asyncio.Event()

            async def ask(
                client: Client,
                sent_at: list[float] = sent_at,
                reasons: set[str] = reasons,
                answered: asyncio.Event = answered,
            ) -> None:
                while True:
                    sent = time.monotonic()
                    try:
                        await client.check("bob", "play", "voicemail", "1", owner="bob")
                    except grpc.aio.AioRpcError as error:
                        reasons.add(refusal_of(error).reason)
                        return
                    sent_at.append(sent)
                    answered.set()

            asking = [asyncio.create_task(ask(client)) for client in clients * 4]
            await asyncio.wait_for(answered.wait(), HANG_S)
            await asyncio.sleep(0.2)  # the other callers get answers, too
            await asyncio.to_thread(revoke_key, site.storage.log, id, now_us())
            revoked = time.monotonic()
            await asyncio.wait_for(asyncio.gather(*asking), HANG_S)
            assert reasons == {"CREDENTIALS_INVALID"}
            assert max(sent_at) < revoked
            for client in clients:
                await client.channel.close()


async def test_a_person_who_lost_the_right_to_change_the_policy_changes_nothing(site: Site) -> None:
    """A server with an old policy in memory refuses a change by a person who has lost the right."""
    async with (
        serving(site) as one,
        serving(site) as two,
        Client(one.addresses[0], site.token) as first,
        Client(two.addresses[0], site.token) as second,
    ):
        await first.change(add=["bind root role:tenant_admin"])
        await second.check("bob", "play", "voicemail", "1", owner="bob")
        await first.change("root", remove=["bind admin role:tenant_admin"])
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await second.change("admin", add=["bind mallory role:tenant_admin"])
        assert refusal_of(caught.value).reason == "SUBJECT_NOT_PERMITTED"
        assert site.storage.log.head_of(TENANT).revision == 3


async def test_a_statement_that_was_removed_is_gone(site: Site) -> None:
    """A removed statement allows nothing after the acknowledgement, in whichever way it was added."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.change(add=[RULE, "bind  dora   role:user # again"])
        assert refusal_of(caught.value).fields == ("line 2",)
        await client.change(add=[RULE])
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.change(remove=[RULE, RULE])
        assert refusal_of(caught.value).fields == ("line 2",)
        await client.change(remove=[RULE])
        answer = await client.check("dora", "play", "voicemail", "1", owner="dora")
        assert answer.decision.effect != ALLOW


async def test_a_change_for_another_revision_is_refused(site: Site) -> None:
    """The server refuses the second of two changes with one `expected_revision`, and names the revision in force."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        await client.change(add=[RULE], expected_revision=1)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.change(remove=[RULE], expected_revision=1)
        refusal = refusal_of(caught.value)
        assert (refusal.code.name, refusal.reason) == ("ABORTED", "POLICY_REVISION_MISMATCH")
        assert refusal.metadata == {"revision": "2"}


@pytest.mark.parametrize("name", ["", "two words", "ümlaut", "a/b", "x" * 129, "line\nbreak", "good\n"])
def test_a_tenant_with_an_invalid_name_is_not_made(sqlite_site: Site, name: str) -> None:
    """The service refuses a tenant name that no request can carry, above all that of the system log."""
    before = sqlite_site.storage.log.heads()
    with pytest.raises(ValueError, match="name"):
        create_tenant(sqlite_site.storage.log, name, now_us())
    assert sqlite_site.storage.log.heads() == before


def test_a_tenant_is_made_once(sqlite_site: Site) -> None:
    """Making a tenant that exists changes nothing and records nothing."""
    before = sqlite_site.storage.log.heads()
    assert create_tenant(sqlite_site.storage.log, TENANT, now_us()) == sqlite_site.log_of(TENANT)
    assert sqlite_site.storage.log.heads() == before
