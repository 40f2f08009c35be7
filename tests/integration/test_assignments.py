"""Assignments over gRPC: who held an address decides, and the log has neither the address nor the person in clear."""

import grpc
import orjson
import pytest
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp

from linewarden.audit.store.engine import open_engine
from linewarden.v1 import access_pb2, core_pb2
from linewarden.v1 import policy_pb2 as pb
from tests.integration.conftest import TENANT, Client, Site, person, refusal_of, serving

#: The extension of the tests, its two holders, and the instant at which it changes hands, seconds since 1970.
EXTENSION, ZED, AMY = "ext:7711@internal", "zed.the.leaver", "amy.the.newcomer"
NUMBER = "tel:+4930909090"
SEPTEMBER = 1_788_220_800
ASSIGNMENTS = (
    f"assign {EXTENSION} {ZED} until=2026-09-01T00:00:00Z\n"
    f"assign {EXTENSION} {AMY} from=2026-09-01T00:00:00Z\n"
    f"assign {NUMBER} {AMY}\n"
)
RULES = [f"bind {one} role:user" for one in (ZED, AMY)]


def load_request(document: str, **more: object) -> pb.LoadPolicyRequest:
    """Return the request to load a file of assignments."""
    header = core_pb2.RequestHeader(tenant=TENANT, subject=person("admin"))
    return pb.LoadPolicyRequest(header=header, document=document, assignments=True, **more)  # type: ignore[arg-type]


async def shown(client: Client, *, assignments: bool) -> list[str]:
    """Return the statements of one kind, read in pages of two."""
    header = core_pb2.RequestHeader(tenant=TENANT, subject=person("admin"))
    request, texts = pb.GetPolicyRequest(header=header, page_size=2, assignments=assignments), list[str]()
    while True:
        page = await client.call(client.policy.GetPolicy, request)
        texts += [one.text for one in page.statements]
        if not page.next_page_token:
            return texts
        request.page_token = page.next_page_token


async def allowed(client: Client, subject: str, seconds: int) -> bool:
    """Return whether a person may play the recording of a call that the extension answered at an instant."""
    role = core_pb2.PARTICIPANT_ROLE_ANSWERED
    participants = [core_pb2.Participant(role=role, address=EXTENSION)]
    made = Timestamp(seconds=seconds)
    answer = await client.check(subject, "play", "recording", "1", participants=participants, created_at=made)
    return bool(answer.decision.effect == access_pb2.EFFECT_ALLOW)


async def test_the_next_check_follows_an_assignment(site: Site) -> None:
    """A loaded file is in force for the next Check on every server, by the time of the item alone."""
    async with (
        serving(site) as one,
        serving(site) as two,
        Client(one.addresses[0], site.token) as first,
        Client(two.addresses[0], site.token) as second,
    ):
        await first.change(add=[*RULES, "allow role:user play recording own"])
        assert not await allowed(second, ZED, SEPTEMBER - 1)
        answer = await first.call(first.policy.LoadPolicy, load_request(ASSIGNMENTS))
        assert (answer.statements_added, answer.statements_removed) == (3, 0)
        for client in (first, second):
            for subject, before in ((ZED, True), (AMY, False)):
                assert await allowed(client, subject, SEPTEMBER - 1) is before
                assert await allowed(client, subject, SEPTEMBER) is not before
        await first.change(remove=[f"assign {EXTENSION} {ZED} until=2026-09-01T00:00:00Z"])
        assert not await allowed(second, ZED, SEPTEMBER - 1)


async def test_each_kind_of_file_keeps_the_statements_of_the_other(sqlite_site: Site) -> None:
    """Loading what is shown of one kind changes nothing, and an empty file of assignments removes no rule."""
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        rules = await shown(client, assignments=False)
        await client.call(client.policy.LoadPolicy, load_request(ASSIGNMENTS))
        assert await shown(client, assignments=True) == ASSIGNMENTS.splitlines()
        assert await shown(client, assignments=False) == rules
        again = load_request("\n".join(rules))
        again.assignments = False
        answer = await client.call(client.policy.LoadPolicy, again)
        assert (answer.statements_added, answer.statements_removed) == (0, 0)
        dry = await client.call(client.policy.LoadPolicy, load_request("", dry_run=True))
        assert dry.statements_removed == 3
        answer = await client.call(client.policy.LoadPolicy, load_request(""))
        assert (answer.statements_added, answer.statements_removed) == (0, 3)
        assert await shown(client, assignments=False) == rules


async def test_a_change_that_is_refused_names_the_line(sqlite_site: Site) -> None:
    """A file with a wrong line is refused whole with the number of the line, and so is a file of rules."""
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        for document in (f"{ASSIGNMENTS}assign phone:1 {AMY}", f"{ASSIGNMENTS}{RULES[0]}"):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await client.call(client.policy.LoadPolicy, load_request(document))
            refusal = refusal_of(caught.value)
            assert (refusal.reason, refusal.fields) == ("POLICY_INVALID", ("line 4",))
        assert await shown(client, assignments=True) == []


async def test_the_entry_of_an_assignment_has_no_personal_value(sqlite_site: Site) -> None:
    """The entry of a change has pseudonyms and kinds of addresses, and seals each address for its person."""
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        await client.call(client.policy.LoadPolicy, load_request(ASSIGNMENTS))
    (entry,) = [one for one in sqlite_site.entries() if one["kind"] == "policy.changed"][-1:]
    stored = orjson.dumps(entry).decode()
    for value in (ZED, AMY, "7711@internal", "4930909090"):
        assert value not in stored
    texts = [text.split() for _, text in entry["added"]]
    assert [words[1] for words in texts] == ["ext:0", "ext:0", "tel:0"]
    persons = {words[2].removeprefix("sid:") for words in texts}
    assert {one["sid"] for one in entry["enc"]} == persons
    assert len(persons) == 2


async def test_an_assignment_that_others_stored_is_noticed(site: Site) -> None:
    """A server that reads an assignment that the service did not write gives no answer, instead of a wrong one."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        await client.change(add=[*RULES, "allow role:user play recording own"])
        await client.call(client.policy.LoadPolicy, load_request(ASSIGNMENTS))
    engine = open_engine(site.settings.database_url)
    with engine.begin() as connection:
        query = sa.text("UPDATE policy_statement SET text = :text WHERE text LIKE :old")
        connection.execute(query, {"text": f"assign {EXTENSION} {ZED}", "old": f"assign {EXTENSION} {ZED}%"})
    engine.dispose()
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await allowed(client, ZED, SEPTEMBER)
        assert refusal_of(caught.value).reason == "INTERNAL"
