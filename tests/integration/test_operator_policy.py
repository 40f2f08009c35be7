"""Changes of a tenant's policy by the operator, without a right in that policy."""

import asyncio
from collections.abc import Callable

import pytest

from linewarden.authz.administration import Change
from linewarden.authz.errors import PolicyLockout
from linewarden.authz.planning import Request, plan_amendment, plan_file
from linewarden.authz.policies import Loaded
from linewarden.server.bootstrap import now_us
from linewarden.server.operator_actions import change_policy
from tests.integration.conftest import POLICY, TENANT, Client, Site, serving

LOCKED = "allow erik read_access_log audit_log any"


def replacing(text: str) -> Callable[[Request, Loaded], Change]:
    """Return the plan that replaces the policy by a text."""
    return lambda request, now: plan_file(request, now.snapshot, text)


def asked(*, allow_lockout: bool = True) -> Request:
    """Return the operator's request."""
    return Request(TENANT, "", now_us(), allow_lockout)


async def allowed(client: Client) -> bool:
    """Return whether bob may play his voicemail."""
    answer = await client.check("bob", "play", "voicemail", "1", owner="bob")
    return bool(answer.decision.matched_rules)


async def test_a_change_by_the_operator_is_in_force_at_once_and_recorded(site: Site) -> None:
    """A running server answers by the operator's change at once; its entry has operator, revision and sealed reason."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        assert await allowed(client)
        await change_policy(site.storage, asked(), replacing(LOCKED), "an attack on alice")
        assert not await allowed(client)
        await change_policy(site.storage, asked(), replacing(POLICY), "it is over")
        assert await allowed(client)
        changes = [entry for entry in site.entries() if entry["kind"] == "policy.changed"]
        assert [(entry["caller"], entry["revision"]) for entry in changes] == [("operator", n) for n in (1, 2, 3)]
        assert "actor" not in changes[1]
        assert "attack" not in str(changes)
        index = next(n for n, entry in enumerate(site.entries()) if entry == changes[1])
        assert (await client.entry(index)).disclosed["reason"] == "an attack on alice"


async def test_the_operator_and_administrators_do_not_undo_each_other(site: Site) -> None:
    """Concurrent changes of the operator and of administrators are applied one after the other."""
    names = [f"person{n}" for n in range(8)]

    async def by_operator(name: str) -> None:
        def plan(request: Request, now: Loaded) -> Change:
            return plan_amendment(request, now.snapshot, now.ceiling, [f"bind {name} role:user"], [])

        await change_policy(site.storage, asked(), plan, "more people")

    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        for mine, theirs in zip(names[::2], names[1::2], strict=True):
            await asyncio.gather(by_operator(mine), client.change(add=[f"bind {theirs} role:user"]))
    in_force = {one.text for one in site.storage.policies.since(site.log_of(TENANT), 0).added}
    assert {f"bind {name} role:user" for name in names} <= in_force


async def test_a_change_of_nothing_makes_no_revision(site: Site) -> None:
    """A change to the policy in force keeps its revision and makes no entry."""
    before = len(site.entries())
    change = await change_policy(site.storage, asked(), replacing(POLICY), "to be sure")
    assert (change.added, change.removed) == ((), ())
    assert len(site.entries()) == before


async def test_the_operator_locks_a_tenant_out_only_where_that_is_meant(site: Site) -> None:
    """The operator needs a flag for a policy after which no person may change it."""
    with pytest.raises(PolicyLockout):
        await change_policy(site.storage, asked(allow_lockout=False), replacing(LOCKED), "a mistake")
