"""Participants of an item: who took part decides, and the entry says who it was."""

import grpc
import orjson
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from linewarden.v1 import access_pb2, core_pb2
from tests.integration.conftest import TENANT, Client, Site, refusal_of, serving

#: A person whose call it is by participation alone, two other persons, and the time of the call, seconds since 1970.
BOB, CARL, LENA = "bob", "carl.the.customer", "lena.the.listener"
START, MIDDLE, END = 1_790_000_000, 1_790_000_030, 1_790_000_060
MADE = Timestamp(seconds=START)
CALL = "sip-call-id-4711"
ADDRESS = "ext:7777@internal"


def participant(role: str, **more: object) -> core_pb2.Participant:
    """Return a participant with a role in words."""
    number = core_pb2.ParticipantRole.Value(f"PARTICIPANT_ROLE_{role.upper()}")
    return core_pb2.Participant(role=number, **more)  # type: ignore[arg-type]


def transferred() -> list[core_pb2.Participant]:
    """Return the participants of a call that Bob answered and transferred, and to which Lena listened."""
    bob = participant("transferred_from", person=BOB)
    getattr(bob, "from").CopyFrom(Timestamp(seconds=START))
    bob.until.CopyFrom(Timestamp(seconds=MIDDLE))
    return [
        participant("caller", person=CARL), bob, participant("transferred_to", address=ADDRESS),
        participant("listener", person=LENA),
    ]  # fmt: skip


async def test_each_hears_the_part_in_which_he_took_part(sqlite_site: Site) -> None:
    """A person who transferred a call gets the stretch before the transfer, with the duty to play no more of it."""
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        await client.change(add=["allow role:user play recording own then part", f"bind {LENA} role:user"])
        answer = await client.check(
            BOB, "play", "recording", "1", participants=transferred(), created_at=MADE, call_id=CALL
        )
        assert answer.decision.effect == access_pb2.EFFECT_ALLOW
        assert access_pb2.OBLIGATION_PART in answer.decision.obligations
        (part,) = answer.decision.parts
        assert (getattr(part, "from").seconds, part.until.seconds) == (START, MIDDLE)
        refused = await client.check(LENA, "play", "recording", "1", participants=transferred(), created_at=MADE)
        assert refused.decision.effect == access_pb2.EFFECT_DENY


async def test_the_entry_states_the_participants(sqlite_site: Site) -> None:
    """An entry has the role, the pseudonyms and the stretch of each participant, and no name, address or call id."""
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        for item in ("1", "2"):
            await client.check(
                BOB, "play", "recording", item, participants=transferred(), created_at=MADE, call_id=CALL, duration_s=60
            )
        stored = [entry for entry in sqlite_site.entries() if entry["kind"] == "decision"]
        first, second = (entry["items"][0]["resource"] for entry in stored[-2:])
        caller, bob, unknown, listener = first["participants"]
        assert [one["role"] for one in (caller, bob, unknown)] == ["caller", "transferred_from", "transferred_to"]
        assert (bob["from"], bob["until"], unknown["persons"]) == (START * 10**6, MIDDLE * 10**6, [])
        assert first["parties"] == [*caller["persons"], *bob["persons"], *listener["persons"]]
        assert (first["call"], first["duration"]) == (second["call"], 60_000_000)
        for value in (CARL, LENA, ADDRESS, CALL):
            assert value.encode() not in b"".join(map(orjson.dumps, stored))
        rows = await client.rows("erik", data_subject=CARL)
        assert len(rows) == 2


@pytest.mark.parametrize(
    ("participants", "field"),
    [
        ([participant("caller")], "resource.participants[0]"),
        ([participant("caller", person=BOB), participant("agent", person=BOB, address="ext:1")],
         "resource.participants[1]"),
        ([participant("caller", person=BOB, until=Timestamp(seconds=1), **{"from": Timestamp(seconds=2)})],
         "resource.participants[0].until"),
        ([core_pb2.Participant(person=BOB)], "resource.participants[0].role"),
        ([participant("caller", address=ADDRESS)], "resource.created_at"),
        ([participant("conference", person=f"p{n}") for n in range(201)], "resource.participants"),
    ],
)  # fmt: skip
async def test_participants_that_cannot_be_are_refused(
    sqlite_site: Site, participants: list[core_pb2.Participant], field: str
) -> None:
    """A participant is one person or address, in a role, who does not leave before joining; there are 200 at most."""
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        more = {} if field == "resource.created_at" else {"created_at": MADE}
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.check(BOB, "play", "recording", "1", participants=participants, **more)
        refusal = refusal_of(caught.value)
        assert (refusal.code, refusal.fields) == (grpc.StatusCode.INVALID_ARGUMENT, (field,))


async def test_a_batch_names_the_item_of_a_wrong_participant(sqlite_site: Site) -> None:
    """The path of a field that breaks a rule begins with the item of the batch."""
    resource = core_pb2.Resource(type=core_pb2.RESOURCE_TYPE_RECORDING, id="1", participants=[participant("caller")])
    items = [access_pb2.CheckItem(verb=core_pb2.VERB_PLAY, resource=resource)]
    header = core_pb2.RequestHeader(tenant=TENANT, subject=core_pb2.Subject(id=BOB))
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.call(client.access.CheckBatch, access_pb2.CheckBatchRequest(header=header, items=items))
        assert refusal_of(caught.value).fields == ("items[0].resource.participants[0]",)


async def test_a_batch_has_a_bound_of_persons(sqlite_site: Site) -> None:
    """A batch whose items have more than 8,000 participants together is refused, and told to be split."""
    members = [participant("conference", person=f"p{n}") for n in range(200)]
    resource = core_pb2.Resource(type=core_pb2.RESOURCE_TYPE_RECORDING, id="1", participants=members)
    items = [access_pb2.CheckItem(verb=core_pb2.VERB_PLAY, resource=resource)] * 41
    header = core_pb2.RequestHeader(tenant=TENANT, subject=core_pb2.Subject(id=BOB))
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.call(client.access.CheckBatch, access_pb2.CheckBatchRequest(header=header, items=items))
        assert refusal_of(caught.value).fields == ("items",)
        asked = access_pb2.CheckBatchRequest(header=header, items=items[:40])
        assert len((await client.call(client.access.CheckBatch, asked)).decisions) == 40


async def test_a_conference_of_the_greatest_size_is_decided(sqlite_site: Site) -> None:
    """Two hundred participants with addresses and times are one decision; what fits into no entry is refused."""
    members = [
        participant("conference", person=f"p{n}", until=Timestamp(seconds=END), **{"from": Timestamp(seconds=START)})
        for n in range(150)
    ] + [participant("conference", address=f"sip:device-{n}@host.example") for n in range(50)]
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        answer = await client.check("p7", "play", "recording", "1", participants=members, created_at=MADE)
        assert answer.decision.reason == access_pb2.DECISION_REASON_NO_MATCHING_RULE
        for one in members[150:]:
            one.address = f"sip:{'d' * 120}"
        more = [f"{n}{'q' * 20}" for n in range(200)]
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.check("p7", "play", "recording", "1", participants=members, parties=more, created_at=MADE)
        assert refusal_of(caught.value).fields == ("resource.participants",)


@pytest.mark.parametrize("name", ["everyone", "queue:support", "role:user"])
async def test_words_of_the_policy_are_no_persons(sqlite_site: Site, name: str) -> None:
    """A caller cannot ask in the name of everyone, of a queue or of a role."""
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.check(name, "play", "recording", "1")
        assert refusal_of(caught.value).fields == ("header.subject.id",)


async def test_an_address_is_that_of_its_holder_at_the_time_of_the_item(sqlite_site: Site) -> None:
    """A reassigned extension gives a call to the person who held it when the call was made, and never to the next."""
    async with serving(sqlite_site) as running, Client(running.addresses[0], sqlite_site.token) as client:
        await client.change(
            add=[
                "bind zed role:user",
                "assign ext:1001@internal zed until=2026-09-01T00:00:00Z",
                "assign ext:1001@internal bob from=2026-09-01T00:00:00Z",
            ]
        )
        answered = [participant("answered", address="ext:1001@internal")]
        for day, allowed in (("2026-08-31T23:59:59Z", "zed"), ("2026-09-01T00:00:00Z", "bob")):
            made = Timestamp()
            made.FromJsonString(day)
            for person in ("zed", "bob"):
                answer = await client.check(person, "play", "recording", "1", participants=answered, created_at=made)
                assert (answer.decision.effect == access_pb2.EFFECT_ALLOW) is (person == allowed), (day, person)
        stored = b"".join(map(orjson.dumps, sqlite_site.entries()))
        assert b"ext:1001" not in stored


async def test_all_spellings_of_a_number_are_one_address(sqlite_site: Site) -> None:
    """With a region, national and international spellings of a number have one holder. Without, some are refused."""
    spellings = ("tel:+4930123456", "tel:0049 30 123456", "tel:(030) 12 34 56")
    for region, valid in (("DE", spellings), ("", spellings[:1])):
        async with (
            serving(sqlite_site, number_region=region) as running,
            Client(running.addresses[0], sqlite_site.token) as client,
        ):
            if region:
                await client.change(add=["assign tel:+4930123456 bob"])
            for spelling in spellings:
                asked = client.check(
                    *("bob", "play", "recording", "1"),
                    participants=[participant("caller", address=spelling)],
                    created_at=MADE,
                )
                if spelling in valid:
                    assert (await asked).decision.effect == access_pb2.EFFECT_ALLOW
                else:
                    with pytest.raises(grpc.aio.AioRpcError) as caught:
                        await asked
                    assert refusal_of(caught.value).fields == ("resource.participants[0].address",)
                    assert "123456" not in refusal_of(caught.value).raw.replace("tel:+4930123456", "")
