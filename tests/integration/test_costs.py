"""Bounds on the cost of one request, policy and tenant: memory, delays of others, answers, rows of persons."""

import pytest
import sqlalchemy as sa
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from linewarden.audit.directory import MAX_NEW, MAX_NEW_AT_ONCE
from linewarden.audit.store.schema import person
from linewarden.authz.explanations import EXPLAINED
from linewarden.server.bootstrap import Running
from linewarden.server.names import TYPE_NUMBERS, VERB_NUMBERS
from linewarden.v1 import access_pb2, core_pb2
from tests.deadlines import HANG_S
from tests.integration.conftest import TENANT, Client, Site, serving
from tests.integration.conftest import person as subject

PARTIES = 16


def batch(name: str, items: int) -> access_pb2.CheckBatchRequest:
    """Return a batch that names so many new persons an item: an owner and its parties."""
    resources = [
        core_pb2.Resource(
            type=TYPE_NUMBERS["recording"],
            id=str(n),
            owner=f"{name}.{n}",
            parties=[f"{name}.{n}.{k}" for k in range(PARTIES)],
        )
        for n in range(items)
    ]
    return access_pb2.CheckBatchRequest(
        header=core_pb2.RequestHeader(tenant=TENANT, subject=subject("admin")),
        items=[access_pb2.CheckItem(verb=VERB_NUMBERS["play"], resource=one) for one in resources],
    )


def persons_of(site: Site) -> int:
    """Return the number of persons with rows in the log of TENANT."""
    rows = sa.select(sa.func.count()).where(person.c.log == site.log_of(TENANT))
    with site.storage.log.reading() as connection:
        return int(connection.scalar(rows) or 0)


async def test_a_batch_names_so_many_new_persons_and_no_more(site: Site) -> None:
    """The server refuses a batch with too many new names with its field, records that, and stores no person."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        await client.check("admin", "play", "recording", "1")
        before = persons_of(site)
        refusal = await client.refused(client.access.CheckBatch, batch("x", 500))
        assert (refusal.code.name, refusal.reason, refusal.fields) == (
            "INVALID_ARGUMENT",
            "INVALID_REQUEST",
            ("items",),
        )
        assert persons_of(site) == before
        assert site.entries()[-1]["kind"] == "request.refused"
        answer = await client.call(client.access.CheckBatch, batch("x", MAX_NEW // (PARTIES + 1)))
        index, _, item = answer.decisions[0].id.partition(".")
        assert (site.entries()[int(index)]["kind"], item) == ("decision", "0")
        assert persons_of(site) == before + MAX_NEW // (PARTIES + 1) * (PARTIES + 1)


async def test_a_tenant_that_names_new_persons_too_fast_is_told_when_to_come_again(
    sqlite_site: Site, server: Running, client: Client
) -> None:
    """Batches with too many new names a minute end in OVERLOADED with a RetryInfo, and known names are still served."""
    size = MAX_NEW // (PARTIES + 1)
    refusals = []
    for number in range(MAX_NEW_AT_ONCE // MAX_NEW + 8):
        try:
            await client.call(client.access.CheckBatch, batch(f"y{number}", size), within_s=HANG_S)
        except Exception as error:  # noqa: BLE001 - looked at below
            refusals.append(error)
    assert refusals
    status = rpc_status.from_call(refusals[-1])
    assert status is not None
    details = {detail.type_url.rpartition(".")[2]: detail for detail in status.details}
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    assert details["ErrorInfo"].Unpack(info)
    assert details["RetryInfo"].Unpack(retry)
    assert info.reason == "OVERLOADED"
    assert retry.retry_delay.ToMilliseconds() >= 200
    assert (await client.check("alice", "play", "recording", "1")).decision.id
    assert persons_of(sqlite_site) < 2 * MAX_NEW_AT_ONCE
    assert server.addresses


@pytest.mark.parametrize("effect", ["allow", "deny"])
async def test_an_explanation_is_bounded_and_says_what_it_leaves_out(
    sqlite_site: Site, client: Client, effect: str
) -> None:
    """With 250 rules for one item, answer and record list the same first rules and count the others."""
    rules = [f"{effect} fred play recording any if zone=z{n},office" for n in range(125)]
    rules += [f"{effect} fred play recording any if zone!=z{n}" for n in range(125)]
    await client.change(add=rules)
    request = access_pb2.CheckRequest(
        header=core_pb2.RequestHeader(
            tenant=TENANT, subject=subject("fred"), context=core_pb2.Context(network_zone="elsewhere")
        ),
        verb=VERB_NUMBERS["play"],
        resource=core_pb2.Resource(type=TYPE_NUMBERS["recording"], id="1"),
    )
    decision = (await client.call(client.access.Check, request)).decision
    assert len(decision.matched_rules) + decision.more_matched_rules == 125
    assert len(decision.failed_conditions) + decision.more_failed_conditions == 125
    assert decision.more_matched_rules > 0
    assert decision.more_failed_conditions > 0
    assert decision.ByteSize() < 3 * EXPLAINED
    item = sqlite_site.entries()[-1]["items"][0]
    assert (len(item["rules"]), item["more_rules"]) == (len(decision.matched_rules), decision.more_matched_rules)
    assert (len(item["failed"]), item["more_failed"]) == (
        len(decision.failed_conditions),
        decision.more_failed_conditions,
    )
