"""What the operator does to a tenant's policy past those whom it lets."""

import asyncio
from collections.abc import Callable

from linewarden.authz.administration import Change, replacement
from linewarden.authz.statements import parse_document
from linewarden.authz.store.policy import PolicyDelta
from linewarden.server.bootstrap import now_us
from linewarden.server.operating import change_policy
from linewarden.server.policy import amended
from tests.integration.conftest import POLICY, TENANT, Client, Site, serving

LOCKED = "allow erik read_access_log audit_log any"


def replacing(text: str) -> Callable[[PolicyDelta], Change]:
    """The plan that makes a policy that text."""
    statements = parse_document(text)
    return lambda now: replacement(now.revision, now.hash, now.added, statements)


async def allowed(client: Client) -> bool:
    """Whether bob may play his voicemail."""
    answer = await client.check("bob", "play", "voicemail", "1", owner="bob")
    return bool(answer.decision.matched_rules)


async def test_a_change_by_the_operator_is_in_force_at_once_and_recorded(site: Site) -> None:
    """The next answer of a running server rests on it; its entry has operator, revision and the sealed reason."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        assert await allowed(client)
        await change_policy(site.storage, TENANT, replacing(LOCKED), "an attack on alice", now_us())
        assert not await allowed(client)
        await change_policy(site.storage, TENANT, replacing(POLICY), "it is over", now_us())
        assert await allowed(client)
        changes = [entry for entry in site.entries() if entry["kind"] == "policy.changed"]
        assert [(entry["caller"], entry["revision"]) for entry in changes] == [("operator", n) for n in (1, 2, 3)]
        assert "actor" not in changes[1]
        assert "attack" not in str(changes)
        index = next(n for n, entry in enumerate(site.entries()) if entry == changes[1])
        assert (await client.entry(index)).disclosed["reason"] == "an attack on alice"


async def test_the_operator_and_administrators_do_not_undo_each_other(site: Site) -> None:
    """Changes that meet are made one after the other, whoever makes them."""
    names = [f"person{n}" for n in range(8)]

    async def by_operator(name: str) -> None:
        await change_policy(
            site.storage, TENANT, lambda now: amended(now, [f"bind {name} role:user"], []), "more people", now_us()
        )

    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        for mine, theirs in zip(names[::2], names[1::2], strict=True):
            await asyncio.gather(by_operator(mine), client.change(add=[f"bind {theirs} role:user"]))
    in_force = {one.text for one in site.storage.policies.since(site.log_of(TENANT), 0).added}
    assert {f"bind {name} role:user" for name in names} <= in_force


async def test_a_change_of_nothing_makes_no_revision(site: Site) -> None:
    """The policy that is in force already stays at its revision, and no entry is made."""
    before = len(site.entries())
    change = await change_policy(site.storage, TENANT, replacing(POLICY), "to be sure", now_us())
    assert (change.added, change.removed) == ((), ())
    assert len(site.entries()) == before
