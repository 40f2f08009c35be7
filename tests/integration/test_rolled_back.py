"""Logs that were rolled back: they give no answers, at start or later, until their operator accepts them."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from click.testing import CliRunner
from grpc_health.v1 import health_pb2, health_pb2_grpc

from linewarden.audit.entry import HEARTBEAT, encode
from linewarden.audit.errors import LogUnavailable, VerificationFailed
from linewarden.audit.model import SYSTEM_LOG, Unit
from linewarden.audit.verify import verify_export
from linewarden.cli import main
from linewarden.server.bootstrap import now_us
from linewarden.server.operator_actions import create_tenant, load_first_policy, revoke_key
from linewarden.server.storage import Storage, open_storage
from linewarden.v1 import access_pb2, audit_pb2, core_pb2, policy_pb2
from tests.deadlines import HANG_S
from tests.integration.backups import Backup
from tests.integration.conftest import (
    OTHER_TENANT,
    POLICY,
    TENANT,
    Client,
    Site,
    check_request,
    person,
    processes,
    refusal_of,
    serving,
)
from tests.integration.forked_python import forked_python

ALLOW = access_pb2.EFFECT_ALLOW
RULE = "bind dora role:user"


async def reason(client: Client, subject: str = "bob", **more: object) -> str:
    """Return the reason for the refusal of a check; empty if it is answered."""
    try:
        await client.check(subject, "play", "voicemail", "1", owner=subject, **more)
    except grpc.aio.AioRpcError as error:
        refusal = refusal_of(error)
        return refusal.reason if refusal.code is grpc.StatusCode.UNAVAILABLE else f"{refusal.code}"
    return ""


async def health_of(client: Client) -> int:
    """Return the health status of the server as a whole."""
    stub = health_pb2_grpc.HealthStub(client.channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=HANG_S)
    return int(answer.status)


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Wait until a condition holds."""
    async with asyncio.timeout(HANG_S):
        while not await holds():  # noqa: ASYNC110 - another process makes it hold
            await asyncio.sleep(0.05)


async def used(site: Site, client: Client) -> Backup:
    """Make a rule, back up, then remove the rule and use the service."""
    await client.change(add=[RULE])
    assert (await client.check("dora", "play", "voicemail", "1", owner="dora")).decision.effect == ALLOW
    backup = Backup(site)
    await client.change(remove=[RULE])
    for number in range(5):
        await client.check("bob", "play", "voicemail", f"lost/{number}", owner="bob")
    return backup


def recovered(site: Site, *options: str) -> str:
    """Run `linewarden recover`."""
    config = str(site.settings.data_dir / "linewarden.toml")
    done = CliRunner().invoke(main, ["recover", "--config", config, *options, "--reason", "restored after a fire"])
    assert done.exit_code == 0, done.output
    return done.output


async def test_a_log_set_back_under_a_server_gives_no_answers(site: Site) -> None:
    """The server refuses all answers, at once and later, after older rows were put back while it runs."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        backup = await used(site, client)
        backup.restore(only=site.log_of(TENANT))
        for _ in range(3):
            assert await reason(client, "dora") == "LOG_ROLLED_BACK"
        change = policy_pb2.ChangePolicyRequest(
            header=core_pb2.RequestHeader(tenant=TENANT, subject=person("admin")), add=["bind eve role:user"]
        )
        refused = await client.refused(client.policy.ChangePolicy, change)
        assert refused.reason == "LOG_ROLLED_BACK"
        read = audit_pb2.QueryEntriesRequest(header=core_pb2.RequestHeader(tenant=TENANT, subject=person("erik")))
        assert (await client.refused(client.audit.QueryEntries, read)).reason == "LOG_ROLLED_BACK"


async def test_another_tenant_is_served_beside_a_log_that_was_set_back(site: Site) -> None:
    """The server refuses only the log that was set back, and its health stays SERVING."""
    _, token = site.key(tenants=(TENANT, OTHER_TENANT))
    async with serving(site) as running, Client(running.addresses[0], token) as client:
        backup = await used(site, client)
        backup.restore(only=site.log_of(TENANT))
        assert await reason(client) == "LOG_ROLLED_BACK"
        other = check_request("bob", "play", "voicemail", "1", owner="bob")
        other.header.tenant = OTHER_TENANT
        assert (await client.call(client.access.Check, other)).decision.effect == ALLOW
        assert await health_of(client) == health_pb2.HealthCheckResponse.SERVING


async def test_revoked_keys_do_not_come_back(site: Site) -> None:
    """The server accepts no key after the system log was set back, and its health says so within a second."""
    id, token = site.key()
    async with serving(site) as running, Client(running.addresses[0], token) as client:
        assert not await reason(client)
        backup = Backup(site)
        revoke_key(site.storage.log, id, now_us())
        refused = await client.refused(client.access.Check, check_request("bob", "play", "voicemail", "1", owner="bob"))
        assert refused.code is grpc.StatusCode.UNAUTHENTICATED
        backup.restore(only=SYSTEM_LOG)
        for _ in range(3):
            assert await reason(client) == "LOG_ROLLED_BACK"

        async def not_serving() -> bool:
            return await health_of(client) == int(health_pb2.HealthCheckResponse.NOT_SERVING)

        await until(not_serving)


@pytest.mark.parametrize("lost", ["nothing", "marks", "anchors", "both"])
async def test_a_database_restored_before_a_start_gives_no_answers(site: Site, lost: str) -> None:
    """A starting server refuses an older database by its marks, by its anchors, and without both."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        backup = await used(site, client)
        await client.checkpoint()
    site.storage.log.close()
    backup.restore()
    for file in site.settings.anchor_dir.iterdir():
        if lost == "both" or (lost == "marks" and file.name == "marks") or (lost == "anchors" and file.name != "marks"):
            file.unlink()
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        for _ in range(3):
            assert await reason(client, "dora") == "LOG_ROLLED_BACK"


async def test_what_was_answered_a_moment_before_a_kill_is_remembered(site: Site) -> None:
    """The marks alone reveal a restored database that lacks the answers since the last checkpoint."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        await client.checkpoint()
        backup = Backup(site)
        assert not await reason(client)
    site.storage.log.close()
    backup.restore(only=site.log_of(TENANT))
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        assert await reason(client) == "LOG_ROLLED_BACK"


async def test_an_older_database_that_has_grown_again_is_refused(site: Site) -> None:
    """The server refuses a log of another history that is longer than the last known one."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        backup = await used(site, client)
        backup.restore(only=site.log_of(TENANT))
        # A server without marks and anchors lets the log grow past the size that this one has seen.
        stranger = site.settings.data_dir / "elsewhere"
        async with (
            serving(site, anchor_dir=strange_anchors(site, stranger)) as other,
            Client(other.addresses[0], site.token) as ignorant,
        ):
            for _ in range(20):
                assert not await reason(ignorant)
        assert await reason(client) == "LOG_ROLLED_BACK"
        assert await reason(client) == "LOG_ROLLED_BACK"


def strange_anchors(site: Site, folder: Path) -> Path:
    """Return the anchors of a server that has never seen the tenant's log."""
    shutil.copytree(site.settings.anchor_dir, folder)
    log = site.log_of(TENANT)
    origin = site.storage.log.head(log).origin_id
    (folder / f"{origin}.checkpoint").unlink(missing_ok=True)
    slots = (folder / "marks").read_bytes()
    (folder / "marks").write_bytes(slots[: log * 128])
    return folder


async def test_a_recovered_log_goes_on_and_cannot_hide_it(site: Site, tmp_path: Path) -> None:
    """After `recover` the service answers from the backup, repeats no id, and the verifier shows the loss."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        backup = await used(site, client)
        lost = (await client.check("bob", "play", "voicemail", "last", owner="bob")).decision.id
        late = (await client.checkpoint()).checkpoint
        backup.restore()
        assert await reason(client) == "LOG_ROLLED_BACK"
        recovered(site, "--all")

        async def served() -> bool:
            return not await reason(client)

        await until(served)
        answer = await client.check("dora", "play", "voicemail", "1", owner="dora")
        assert answer.decision.effect == ALLOW
        ids = [(await client.check("bob", "play", "voicemail", "x", owner="bob")).decision.id for _ in range(20)]
        assert all(id.startswith("1-") for id in ids)
        assert lost not in ids
        # Revisions jump, so that no snapshot of the lost part passes for one of the new part.
        assert answer.policy.revision > 1_000_000
        await client.change(add=["bind eve role:user"])
        assert not await reason(client, "eve")
        key = await client.export(tmp_path / "export")
    report = verify_export(tmp_path / "export", key)
    (recovery,) = report.recoveries
    assert recovery.reason == "restored after a fire"
    assert recovery.lost > 0
    assert recovery.account
    entry = site.entries()[recovery.index]
    assert entry["kind"] == "log.recovered"
    assert entry["size"] == recovery.index
    with pytest.raises(VerificationFailed, match="are lost"):
        verify_export(tmp_path / "export", key, old_checkpoint=late)


async def test_the_old_part_of_a_recovered_log_stays_verifiable(site: Site, tmp_path: Path) -> None:
    """A checkpoint of the former origin still verifies the entries that survived."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        early = (await client.checkpoint()).checkpoint
        backup = await used(site, client)
        await client.checkpoint()
    site.storage.log.close()
    backup.restore()
    recovered(site, "--all")
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        key = await client.export(tmp_path / "export")
    assert len(verify_export(tmp_path / "export", key, old_checkpoint=early).recoveries) == 1


async def test_a_database_from_before_its_recovery_is_refused(site: Site) -> None:
    """The server refuses the lost state after a recovery, in a running process and in a new one."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        backup = await used(site, client)
        newest = Backup(site)
        backup.restore()
        assert await reason(client) == "LOG_ROLLED_BACK"
        recovered(site, "--tenant", TENANT)
        recovered(site, "--all")

        async def served() -> bool:
            return not await reason(client)

        await until(served)
        newest.restore()
        assert await reason(client) == "LOG_ROLLED_BACK"
    site.storage.log.close()
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        assert await reason(client) == "LOG_ROLLED_BACK"
    (site.settings.anchor_dir / "marks").unlink()
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        assert await reason(client) == "LOG_ROLLED_BACK"


async def test_a_second_server_follows_a_recovery(site: Site) -> None:
    """A second server with separate anchors accepts the recovery, and drops what it had in memory."""
    anchors = site.settings.data_dir / "second-anchors"
    shutil.copytree(site.settings.anchor_dir, anchors)
    async with (
        serving(site) as first,
        serving(site, anchor_dir=anchors) as second,
        Client(first.addresses[0], site.token) as one,
        Client(second.addresses[0], site.token) as other,
    ):
        backup = await used(site, one)
        assert not await reason(other)
        backup.restore()
        assert await reason(one) == "LOG_ROLLED_BACK"
        assert await reason(other) == "LOG_ROLLED_BACK"
        recovered(site, "--all")

        async def served() -> bool:
            return not await reason(other, "dora") and not await reason(one, "dora")

        await until(served)
    site.storage.log.close()
    async with serving(site, anchor_dir=anchors) as second, Client(second.addresses[0], site.token) as other:
        assert not await reason(other, "dora")


async def test_a_log_that_was_not_set_back_cannot_be_recovered(site: Site) -> None:
    """`recover` refuses a log that was not set back."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        assert not await reason(client)
    config = str(site.settings.data_dir / "linewarden.toml")
    done = CliRunner().invoke(main, ["recover", "--config", config, "--tenant", TENANT, "--reason", "to be sure"])
    assert done.exit_code == 2
    assert "nothing to recover" in done.output


async def test_a_tenant_made_at_another_host_is_met_as_new(site: Site) -> None:
    """The server accepts a log without an anchor as new if it knows no newer log."""
    anchors = site.settings.data_dir / "second-anchors"
    shutil.copytree(site.settings.anchor_dir, anchors)
    _, token = site.key(tenants=("*",))
    for name in ("initech", "hooli"):
        log = create_tenant(site.storage.log, name, now_us())
        await load_first_policy(site.storage, log, POLICY, now_us())
    async with serving(site, anchor_dir=anchors) as running, Client(running.addresses[0], token) as client:
        for name in ("hooli", "initech"):
            request = check_request("bob", "play", "voicemail", "1", owner="bob")
            request.header.tenant = name
            assert (await client.call(client.access.Check, request)).decision.effect == ALLOW


def replace_by_a_copy(site: Site) -> None:
    """Replace the files that the server has open by a copy of the database."""
    database = Path(site.settings.database_url.removeprefix("sqlite:///"))
    site.storage.close()
    files = [file for file in (database, Path(f"{database}-wal")) if file.exists()]
    copies = [Path(shutil.copy2(file, f"{file}.copy")) for file in files]
    for file, copy in zip(files, copies, strict=True):
        copy.replace(file)


async def test_a_replaced_database_file_gets_no_answers(sqlite_site: Site) -> None:
    """Each sent answer is in the file under the database's name, however that file was exchanged."""
    site = sqlite_site
    async with processes(site, python=forked_python()) as (server,), Client(server.address, site.token) as client:
        answered = [(await client.check("bob", "play", "voicemail", "1", owner="bob")).decision.id]
        replace_by_a_copy(site)
        for number in range(50):
            with suppress(grpc.aio.AioRpcError):
                answer = await client.check("bob", "play", "voicemail", f"{number}", owner="bob")
                answered.append(answer.decision.id)
    again = await _opened_again(site)
    try:
        size = again.log.head_of(TENANT).size
    finally:
        again.close()
    assert max(map(int, answered)) < size


async def _opened_again(site: Site) -> Storage:
    """Open the database once the killed processes have let go of its old file and of the WAL beside it."""
    async with asyncio.timeout(HANG_S):
        while True:
            try:
                return open_storage(site.settings)
            except LogUnavailable:
                await asyncio.sleep(0.1)


def test_a_wal_removed_under_a_process_acknowledges_nothing(sqlite_site: Site) -> None:
    """A process acknowledges nothing after its WAL file was removed, also on a database that was just opened."""
    log = sqlite_site.storage.log
    beat = Unit(SYSTEM_LOG, (encode(HEARTBEAT, now_us(), {}),))
    assert isinstance(log.append([beat])[0], int)
    Path(sqlite_site.settings.database_url.removeprefix("sqlite:///") + "-wal").unlink()
    with pytest.raises(LogUnavailable):
        log.append([beat])
