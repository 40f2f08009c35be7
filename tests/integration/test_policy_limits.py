"""Conditions on every change of a policy: its limits, and that a person can still change it."""

import asyncio
from typing import Any

import grpc
import pytest

from linewarden.audit.shares import TENANT_BYTES, shares
from linewarden.authz.errors import PolicyInvalid, PolicyLockout
from linewarden.server.bootstrap import now_us
from linewarden.server.operator_actions import create_tenant, load_first_policy
from linewarden.v1 import core_pb2
from linewarden.v1 import policy_pb2 as pb
from tests.deadlines import HANG_S
from tests.integration.conftest import OTHER_TENANT, POLICY, TENANT, Client, Site, person, refusal_of, serving
from tests.integration.past_the_service import written

ROLES = [f"bind eve role:a{n}" for n in range(64)]
LINKS = [f"bind role:a{n} role:a{n}-{k}" for n in range(64) for k in range(15)]
ADMIN = "bind admin role:tenant_admin"
CHANGED = "allow role:tenant_admin read_policy,change_policy policy any"


def load(document: str, *, dry_run: bool = False) -> pb.LoadPolicyRequest:
    """Return a request to load that policy."""
    return pb.LoadPolicyRequest(
        header=core_pb2.RequestHeader(tenant=TENANT, subject=person("admin")), document=document, dry_run=dry_run
    )


async def shown(client: Client, page_size: int = 7) -> list[str]:
    """Return the policy in force, page by page."""
    request = pb.GetPolicyRequest(
        header=core_pb2.RequestHeader(tenant=TENANT, subject=person("admin")), page_size=page_size
    )
    texts: list[str] = []
    while True:
        page = await client.call(client.policy.GetPolicy, request)
        texts += [one.text for one in page.statements]
        request.page_token = page.next_page_token
        if not page.next_page_token:
            return texts


async def test_links_between_roles_are_limited_for_persons_who_have_them(site: Site) -> None:
    """No sequence of changes gives a person roles beyond the limit, and a shown policy can be loaded again."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        await client.change(add=ROLES)
        change = pb.ChangePolicyRequest(
            header=core_pb2.RequestHeader(tenant=TENANT, subject=person("admin")), add=LINKS
        )
        refusal = await client.refused(client.policy.ChangePolicy, change)
        assert (refusal.reason, refusal.fields) == ("POLICY_INVALID", ("line 960",))
        refused = 0
        for start in range(0, len(LINKS), 60):
            part = client.change(add=LINKS[start : start + 60])
            (came,) = await asyncio.gather(part, return_exceptions=True)
            refused += isinstance(came, grpc.aio.AioRpcError) and refusal_of(came).reason == "POLICY_INVALID"
        assert refused == 13
        again = await client.call(client.policy.LoadPolicy, load("\n".join(await shown(client)), dry_run=True))
        assert (again.statements_added, again.statements_removed) == (0, 0)


async def test_pages_are_the_policy_in_force(site: Site) -> None:
    """Pages of any size hold each statement once, in the order of ids, across additions and removals."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        whole = await shown(client, 10_000)
        await client.change(add=[f"bind p{n} role:user" for n in range(20)], remove=["bind bob role:user"])
        await client.change(remove=["bind p3 role:user", "bind p19 role:user"])
        expected = [one for one in whole if one != "bind bob role:user"]
        expected += [f"bind p{n} role:user" for n in range(19) if n != 3]
        for size in (1, 7, 10_000):
            assert await shown(client, size) == expected


async def test_a_page_of_an_earlier_revision_is_refused(site: Site) -> None:
    """The server refuses a page of an earlier revision once the policy has changed."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        request = pb.GetPolicyRequest(
            header=core_pb2.RequestHeader(tenant=TENANT, subject=person("admin")), page_size=3
        )
        request.page_token = (await client.call(client.policy.GetPolicy, request)).next_page_token
        await client.change(add=["bind dora role:user"])
        assert (await client.refused(client.policy.GetPolicy, request)).reason == "PAGE_TOKEN_INVALID"


async def test_a_change_after_which_no_person_could_change_the_policy_is_refused(site: Site) -> None:
    """The server refuses and records a change that locks the tenant out, unless the request permits it."""
    file = "allow role:tenant_admin read_policy,change_policy policy any"
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        for request in (load(""), load(file), load(file, dry_run=True), load(f"{file} if case\n{ADMIN}")):
            refusal = await client.refused(client.policy.LoadPolicy, request)
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "POLICY_LOCKOUT")
            assert "allow WHO change_policy policy any" in refusal.raw
        for add, remove in (((), (ADMIN,)), (("deny admin change_policy policy any",), ())):
            asked = pb.ChangePolicyRequest(
                header=core_pb2.RequestHeader(tenant=TENANT, subject=person("admin")), add=add, remove=remove
            )
            assert (await client.refused(client.policy.ChangePolicy, asked)).reason == "POLICY_LOCKOUT"
        assert site.storage.log.head_of(TENANT).revision == 1
        decided = [entry for entry in site.entries() if "items" in entry]
        assert len(decided) == 6
        # A person who hands the right over is locked out alone, which is no lockout of the tenant.
        await client.change(remove=[ADMIN], add=["bind //partner/ines role:tenant_admin"])
        await client.change("//partner/ines", remove=["bind //partner/ines role:tenant_admin"], allow_lockout=True)
        assert site.storage.log.head_of(TENANT).revision == 3


async def test_a_first_policy_locks_no_tenant_out(site: Site) -> None:
    """The service refuses a first policy beyond a limit, and needs a flag for one that no person can change."""
    log = create_tenant(site.storage.log, "initech", now_us())
    with pytest.raises(PolicyLockout):
        await load_first_policy(site.storage, log, "bind ann role:user", now_us())
    with pytest.raises(PolicyInvalid):
        await load_first_policy(site.storage, log, "\n".join([POLICY, *ROLES, *LINKS]), now_us())
    assert site.storage.log.head(log).revision == 0
    assert await load_first_policy(site.storage, log, "bind ann role:user", now_us(), allow_lockout=True) == 1


async def test_the_first_answer_needs_no_load(site: Site) -> None:
    """A server has its policies in memory before it serves, so that the first question waits for no load."""
    _, token = site.key(tenants=("*",))
    async with serving(site) as running, Client(running.addresses[0], token) as client:
        written(site, ["DELETE FROM policy_statement"])
        assert (await client.check("bob", "play", "voicemail", "1", owner="bob")).policy.revision == 1


async def test_a_tenant_with_too_much_in_work_is_told_so(site: Site) -> None:
    """The server refuses policies of a tenant beyond its share before recording them, and serves other tenants."""
    _, token = site.key(tenants=("*",))
    async with serving(site) as running, Client(running.addresses[0], token) as client:
        await client.check("bob", "play", "voicemail", "1", owner="bob")
        size = site.storage.log.head_of(TENANT).size
        with shares().admitted(site.log_of(TENANT), TENANT_BYTES):
            refusal = await client.refused(client.policy.LoadPolicy, load(POLICY, dry_run=True))
            assert (refusal.code, refusal.reason) == (grpc.StatusCode.UNAVAILABLE, "OVERLOADED")
            assert "RetryInfo" in refusal.raw
            assert site.storage.log.head_of(TENANT).size == size
            other = load(POLICY, dry_run=True)
            other.header.tenant = OTHER_TENANT
            answer = await client.call(client.policy.LoadPolicy, other)
            assert answer.policy.revision == 1
        await client.call(client.policy.LoadPolicy, load(POLICY, dry_run=True))


async def test_changes_at_once_all_come_to_be(site: Site) -> None:
    """Changes that two processes make at the same time are applied one after the other, without loss."""
    async with (
        serving(site) as one,
        serving(site) as two,
        Client(one.addresses[0], site.token) as first,
        Client(two.addresses[0], site.token) as second,
    ):
        changes = [(first, second)[n % 2].change(add=[f"bind p{n} role:user"]) for n in range(8)]
        await asyncio.gather(*changes)
        assert {f"bind p{n} role:user" for n in range(8)} <= set(await shown(first))
        assert await shown(first) == await shown(second)


async def test_large_requests_are_read_only_in_a_place(sqlite_site: Site) -> None:
    """The server bounds unread large requests of a key, refuses further ones, and serves other keys."""
    _, other_token = sqlite_site.key()
    async with (
        serving(sqlite_site) as running,
        Client(running.addresses[0], sqlite_site.token) as client,
        Client(running.addresses[0], other_token) as other,
    ):
        path = "/linewarden.v1.PolicyService/LoadPolicy"
        hold: Any = client.channel.stream_unary(path, pb.LoadPolicyRequest.SerializeToString)
        held = [hold(metadata=client.metadata, timeout=HANG_S) for _ in range(4)]
        request = load(POLICY, dry_run=True)
        while (came := await outcome(client, request)) != "OVERLOADED":  # until all four have come to the server
            assert came == ""
            # One that came while this request had the last place was refused, and comes again.
            held = [hold(metadata=client.metadata, timeout=HANG_S) if one.done() else one for one in held]
        assert (await other.call(other.policy.LoadPolicy, request)).policy.revision == 1
        for one in held:
            one.cancel()
        while (came := await outcome(client, request)) != "":  # until the server knows that they are gone
            assert came == "OVERLOADED"


async def outcome(client: Client, request: pb.LoadPolicyRequest) -> str:
    """Return the reason of the refusal; empty if there was none."""
    answers: Any = await asyncio.gather(client.call(client.policy.LoadPolicy, request), return_exceptions=True)
    return refusal_of(answers[0]).reason if isinstance(answers[0], grpc.aio.AioRpcError) else ""
