"""Queries of an auditor: filters, pages, proofs, and the detection of changes in the database."""

import asyncio
import base64
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import orjson
import pysqlite3.dbapi2 as sqlite3
import pytest
import sqlalchemy as sa
from google.protobuf.timestamp_pb2 import Timestamp

from linewarden.audit.entry import HEARTBEAT, encode
from linewarden.audit.errors import VerificationFailed
from linewarden.audit.merkle import leaf_hash
from linewarden.audit.model import Unit
from linewarden.audit.store.schema import log_entry, position_of
from linewarden.audit.verify import verify_entry, verify_export, verify_growth
from linewarden.server.bootstrap import now_us
from linewarden.server.kinds import KINDS
from linewarden.server.messages import timestamp
from linewarden.server.names import EFFECT_NUMBERS, PURPOSE_NUMBERS, TYPE_NUMBERS, VERB_NUMBERS
from linewarden.v1 import access_pb2, audit_pb2, core_pb2, policy_pb2
from tests.integration.conftest import (
    OTHER_TENANT,
    TENANT,
    Client,
    Site,
    check_request,
    count_request,
    person,
    query_request,
    refusal_of,
    serving,
)
from tests.integration.past_the_service import tamper


@dataclass(frozen=True)
class FilledSite:
    """A site with some decisions in its log, and a caller."""

    site: Site
    client: Client
    second: Client


@pytest.fixture
async def asked(site: Site) -> AsyncIterator[FilledSite]:
    """Yield eight decisions that differ in everything a filter can name."""
    _, token = site.key(tenants=(TENANT, OTHER_TENANT))
    async with (
        serving(site, append_timeout_ms=60_000) as running,  # a slow machine gets its time
        Client(running.addresses[0], site.token) as client,
        Client(running.addresses[0], token) as second,
    ):
        await client.check("bob", "play", "voicemail", "vm/1", owner="bob", request_id="one")
        await client.check("bob", "download", "voicemail", "vm/1", owner="bob", purpose="legal")
        await client.check("carol", "play", "voicemail", "vm/1", owner="bob")
        await client.check("alice", "play", "recording", "call/7", owner="bob", queue="sales", purpose="quality")
        await client.check("//partner/ines", "view_metadata", "cdr", "cdr/9", parties=["+4930123", "bob"], case="T-1")
        await client.check("bob", "delete", "recording", "call/7", owner="bob")
        await client.check("mallory", "play", "recording", "call/8", owner="carol", request_id="eight")
        items = [
            access_pb2.CheckItem(verb=one.verb, resource=one.resource)
            for one in (
                check_request("", "play", "voicemail", "vm/2", owner="carol"),
                check_request("", "play", "voicemail", "vm/3", owner="bob"),
            )
        ]
        batch = access_pb2.CheckBatchRequest(
            header=core_pb2.RequestHeader(tenant=TENANT, subject=person("carol"), request_id="batch"), items=items
        )
        await client.call(client.access.CheckBatch, batch)
        yield FilledSite(site, client, second)


FILTERS: list[tuple[dict[str, Any], list[str]]] = [
    ({"subject": "bob"}, ["vm/1", "vm/1", "call/7"]),
    ({"subject": "//partner/ines"}, ["cdr/9"]),
    ({"subject": "a person the log has not met"}, []),
    ({"data_subject": "bob"}, ["vm/1", "vm/1", "vm/1", "call/7", "cdr/9", "call/7", "vm/3"]),
    ({"data_subject": "+4930123"}, ["cdr/9"]),
    ({"resource_type": TYPE_NUMBERS["recording"]}, ["call/7", "call/7", "call/8"]),
    ({"resource_type": TYPE_NUMBERS["recording"], "resource_id": "call/7"}, ["call/7", "call/7"]),
    ({"resource_type": TYPE_NUMBERS["voicemail"], "resource_id": "call/7"}, []),
    ({"verb": VERB_NUMBERS["download"]}, ["vm/1"]),
    ({"effect": EFFECT_NUMBERS["deny"]}, ["vm/1", "call/7", "call/8", "vm/3"]),
    ({"purpose": PURPOSE_NUMBERS["quality"]}, ["call/7"]),
    ({"request_id": "eight"}, ["call/8"]),
    ({"request_id": "batch"}, ["vm/2", "vm/3"]),
    ({"caller": "backend", "subject": "alice"}, ["call/7"]),
    ({"caller": "unknown"}, []),
    ({"subject": "bob", "effect": EFFECT_NUMBERS["allow"], "purpose": PURPOSE_NUMBERS["legal"]}, ["vm/1"]),
]


async def test_each_filter_finds_what_it_names_and_nothing_else(asked: FilledSite) -> None:
    """Every field of the filter narrows, alone and together; order is that of the log or its reverse."""
    for fields, wanted in FILTERS:
        rows = await asked.client.rows(kinds=["decision"], oldest_first=True, **fields)
        assert [row.resource_id for row in rows] == wanted, fields
        back = await asked.client.rows(kinds=["decision"], page_size=1, **fields)
        assert [row.resource_id for row in back] == wanted[::-1], fields


async def test_a_count_is_the_number_of_rows(asked: FilledSite) -> None:
    """The count of every filter is the number of its rows, and the buckets of each interval sum up to it."""
    for fields, wanted in FILTERS:
        counted = await asked.client.count(kinds=["decision"], **fields)
        assert (counted.total, list(counted.buckets)) == (len(wanted), []), fields
    everything = await asked.client.count()
    assert everything.total == len(await asked.client.rows()) - 1, "the rows have the read that counted"
    for interval in filter(None, audit_pb2.Interval.values()):
        counted = await asked.client.count(kinds=["decision"], effect=EFFECT_NUMBERS["deny"], interval=interval)
        assert sum(bucket.count for bucket in counted.buckets) == counted.total == 4
        assert counted.log_size == len(asked.site.entries()) - 1, "all entries before the read that counted"
        assert counted.completeness == audit_pb2.Completeness()


async def test_buckets_are_intervals_of_the_calendar(asked: FilledSite) -> None:
    """A bucket counts what happened between its start and the next one, also where the filter cuts it."""
    hour_us = 3_600_000_000
    start = now_us() // hour_us * hour_us + 24 * hour_us
    beats = [encode(HEARTBEAT, start + n * hour_us, {}) for n in (0, 0, 2, 30)]
    log = asked.site.log_of(TENANT)
    assert isinstance(asked.site.storage.log.append([Unit(log, tuple(beats))])[0], int)

    async def counts(interval: audit_pb2.Interval, **more: Any) -> list[tuple[int, int]]:
        answer = await asked.client.count(kinds=[HEARTBEAT], interval=interval, **more)
        return [(bucket.start.ToMicroseconds() - start, bucket.count) for bucket in answer.buckets]

    hours = await counts(audit_pb2.INTERVAL_HOUR)
    assert hours[:4] == [(0, 2), (hour_us, 0), (2 * hour_us, 1), (3 * hour_us, 0)]
    assert (hours[-1], len(hours)) == ((30 * hour_us, 1), 31)
    between: dict[str, Any] = {"from": timestamp(start + 1), "until": timestamp(start + 30 * hour_us)}
    assert await counts(audit_pb2.INTERVAL_HOUR, **between) == [(2 * hour_us, 1)]
    days = await counts(audit_pb2.INTERVAL_DAY)
    assert all((start + at) % (24 * hour_us) == 0 for at, _ in days)
    assert sum(count for _, count in days) == 4


async def test_too_many_buckets_are_refused(asked: FilledSite) -> None:
    """A count with more than 1,000 buckets is refused, and says what to narrow."""
    log = asked.site.log_of(TENANT)
    late = encode(HEARTBEAT, now_us() + 1_001 * 3_600_000_000, {})
    assert isinstance(asked.site.storage.log.append([Unit(log, (late,))])[0], int)
    refusal = await asked.client.refused(asked.client.audit.CountEntries, count_request(interval=1))
    assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", ("interval",))
    assert "narrow filter.from and filter.until" in refusal.raw
    today: dict[str, Any] = {"until": timestamp(now_us() + 3_600_000_000)}
    assert (await asked.client.count(interval=audit_pb2.INTERVAL_HOUR, **today)).total


async def test_an_unknown_kind_is_refused_with_the_known_ones(asked: FilledSite) -> None:
    """A kind that is never recorded is no empty answer: the refusal lists the kinds."""
    for stub, request in (
        (asked.client.audit.QueryEntries, query_request(kinds=["decisions"])),
        (asked.client.audit.CountEntries, count_request(kinds=["decisions"])),
    ):
        refusal = await asked.client.refused(stub, request)
        assert (refusal.reason, refusal.fields) == ("INVALID_REQUEST", ("filter.kinds",))
        assert all(kind in refusal.raw for kind in KINDS)


async def test_an_unknown_person_is_said_to_be_unknown(asked: FilledSite) -> None:
    """The empty answer about a person whom the log has not met says so; that about a known person does not."""
    for name in ("subject", "data_subject"):
        unknown: dict[str, Any] = {name: "alcie"}
        assert (await asked.client.query(**unknown)).completeness.unknown_persons == [name]
        counted = await asked.client.count(interval=audit_pb2.INTERVAL_DAY, **unknown)
        assert counted.completeness.unknown_persons == [name]
        assert (counted.total, len(counted.buckets)) == (0, 0)
    known = await asked.client.query(data_subject="mallory")
    assert (len(known.rows), known.completeness) == (0, audit_pb2.Completeness())


async def test_a_time_range_is_half_open(asked: FilledSite) -> None:
    """A time range includes `from` and excludes `until`."""
    rows = await asked.client.rows(kinds=["decision"], oldest_first=True)
    between: dict[str, Any] = {"from": rows[1].time, "until": rows[4].time}
    found = await asked.client.rows(kinds=["decision"], oldest_first=True, **between)
    assert [row.index for row in found] == [row.index for row in rows[1:4]]
    everything: dict[str, Any] = {"from": Timestamp(seconds=-62135596800), "until": Timestamp(seconds=253402300799)}
    assert len(await asked.client.rows(kinds=["decision"], **everything)) == len(rows)


async def test_a_row_says_who_did_what_and_why(asked: FilledSite) -> None:
    """A row holds names, pseudonyms, item, verb, outcome, purpose and revision."""
    (row,) = await asked.client.rows(kinds=["decision"], purpose=PURPOSE_NUMBERS["quality"])
    assert (row.subject, row.owner, row.resource_id, row.reason) == ("alice", "bob", "call/7", "allowed_by_rule")
    assert (row.verb, row.effect, row.policy_revision) == (VERB_NUMBERS["play"], EFFECT_NUMBERS["allow"], 1)
    assert row.subject_sid not in {"", row.owner_sid, "alice"}
    assert row.resource_ref not in {"", "call/7"}


async def test_pages_are_stable_while_the_log_grows(asked: FilledSite) -> None:
    """Pages in both orders join to the answer at the moment of the first page, while the log grows."""
    for oldest_first in (True, False):
        whole = await asked.client.rows(oldest_first=oldest_first)
        page = await asked.client.query(oldest_first=oldest_first, page_size=3)
        # The later answer holds the read between the two.
        wanted = sorted({(row.index, row.item) for row in whole} | {(page.log_size - 1, 0)}, reverse=not oldest_first)
        seen = [(row.index, row.item) for row in page.rows]
        while page.next_page_token:
            await asked.client.check("bob", "play", "voicemail", "later", owner="bob")
            page = await asked.client.query(oldest_first=oldest_first, page_size=3, page_token=page.next_page_token)
            seen += [(row.index, row.item) for row in page.rows]
        assert seen == wanted


async def test_a_query_is_complete_up_to_the_last_answer(asked: FilledSite) -> None:
    """A query sees every answer that was sent before it, also while many ask and no process indexes ahead."""

    async def ask_and_look(number: int) -> None:
        client = asked.client if number % 2 else asked.second
        await client.check("bob", "play", "voicemail", f"n/{number}", owner="bob", request_id=f"n{number}")
        rows = await client.rows(request_id=f"n{number}")
        assert [row.resource_id for row in rows] == [f"n/{number}"]

    await asyncio.gather(*map(ask_and_look, range(6)))  # few, because each query has 10 s on a slow machine too


async def test_reading_is_an_entry_that_names_no_person(asked: FilledSite) -> None:
    """A query, a count, an entry, a checkpoint and an export leave records with the question by pseudonym only."""
    before = len(asked.site.entries())
    await asked.client.query(
        subject="carol", data_subject="bob", resource_type=TYPE_NUMBERS["voicemail"], resource_id="vm/1"
    )
    await asked.client.count(subject="carol", interval=audit_pb2.INTERVAL_WEEK)
    await asked.client.count(data_subject="bob")
    await asked.client.entry(2)
    await asked.client.checkpoint()
    await asked.client.export(asked.site.settings.data_dir / "out")
    records = asked.site.entries()[before:]
    assert [record["kind"] for record in records] == [*["audit.read"] * 5, "audit.exported"]
    assert {record["items"][0]["action"] for record in records[:5]} == {"read_access_log"}
    assert set(records[0]["query"]) == {"subject", "data_subject", "resource_type", "resource"}
    assert set(records[1]["query"]) == {"subject", "count"}
    assert [record["query"]["count"] for record in records[1:3]] == ["week", "total"]
    assert b"bob" not in orjson.dumps(records)
    assert b"carol" not in orjson.dumps(records)
    assert b"vm/1" not in orjson.dumps(records)


async def test_a_duty_to_mask_hides_names_and_items(asked: FilledSite) -> None:
    """A reader under MASK_NUMBERS sees pseudonyms, and never names, numbers or ids, also in a single entry."""
    rows = await asked.client.rows("mia")
    assert {row.subject + row.owner + row.resource_id for row in rows} == {""}
    assert {row.subject_sid for row in rows if row.kind == "decision"} > {""} or rows[-1].subject_sid == ""
    shown = await asked.client.entry(rows[-1].index, subject="mia")
    assert not shown.disclosed


def forged(token: str, **change: Any) -> str:
    """Return a page token with altered content."""
    parts = orjson.loads(base64.urlsafe_b64decode(token))
    for place, value in change.items():
        parts[int(place[1:])] = value
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode()


async def test_a_token_that_is_not_of_this_query_is_refused(asked: FilledSite) -> None:
    """The server refuses tokens that are forged, of another query, or of another tenant."""
    await asked.second.call(asked.second.policy.ChangePolicy, change_of(OTHER_TENANT))
    for number in range(5):
        request = check_request("bob", "play", "voicemail", f"g/{number}", owner="bob")
        request.header.tenant = OTHER_TENANT
        await asked.second.call(asked.second.access.Check, request)
    foreign = (await asked.second.query(tenant=OTHER_TENANT, page_size=2)).next_page_token
    own = (await asked.client.query(page_size=2)).next_page_token
    other_order = (await asked.client.query(page_size=2, oldest_first=True)).next_page_token
    other_filter = (await asked.client.query(page_size=2, caller="backend")).next_page_token
    assert all((foreign, own, other_order, other_filter))
    tokens = [
        foreign, other_order, other_filter, own[:-4], "é", "x", "=" * 8, base64.urlsafe_b64encode(b"[]").decode(),
        base64.urlsafe_b64encode(b"[" * 700).decode(), forged(own, p0=1), forged(own, p2=-1), forged(own, p3=-1),
        forged(own, p2=1.5), forged(own, p2=None), forged(own, p2=2**40), forged(own, p3="x"), forged(own, p2=True),
    ]  # fmt: skip
    for token in tokens:
        refusal = await asked.client.refused(
            asked.client.audit.QueryEntries, query_request(page_size=2, page_token=token)
        )
        assert (refusal.code.name, refusal.reason) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"), token
    page = await asked.client.query(page_size=2, page_token=forged(own, p2=2**39))
    assert page.log_size <= len(asked.site.entries()), "a token does not reach beyond the log"


def change_of(tenant: str) -> Any:
    """Return a change of policy in another tenant."""
    return policy_pb2.ChangePolicyRequest(
        header=core_pb2.RequestHeader(tenant=tenant, subject=person("admin")), add=["bind zoe role:user"]
    )


async def test_an_entry_comes_with_a_proof_that_strangers_can_check(asked: FilledSite) -> None:
    """The proof of every entry verifies with the key alone, and not for other bytes or another index."""
    answers = [await asked.client.entry(index) for index in range(len(asked.site.entries()))]
    for index, answer in enumerate(answers):
        proven = verify_entry(answer.entry, answer.proof, answer.verifier_key)
        assert proven.index == index
        with pytest.raises(VerificationFailed):
            verify_entry(answer.entry + b" ", answer.proof, answer.verifier_key)
    with pytest.raises(VerificationFailed):
        verify_entry(answers[0].entry, answers[1].proof, answers[1].verifier_key)
    (row,) = await asked.client.rows(request_id="one")
    shown = await asked.client.entry(row.index)
    assert dict(shown.disclosed)["items.0.id"] == "vm/1"
    assert "bob" in shown.disclosed.values()


async def test_checkpoints_grow_into_each_other(asked: FilledSite) -> None:
    """Every checkpoint extends every earlier one, with a proof that verifies offline and fails for another log."""
    first = await asked.client.checkpoint()
    for number in range(9):
        await asked.client.check("bob", "play", "voicemail", f"more/{number}", owner="bob")
    size = int(first.checkpoint.split("\n")[1])
    second = await asked.client.checkpoint(old_size=size)
    verify_growth(first.checkpoint, second.checkpoint, second.consistency, second.verifier_key)
    with pytest.raises(VerificationFailed):
        verify_growth(first.checkpoint, second.checkpoint, second.consistency[1:], second.verifier_key)
    with pytest.raises(VerificationFailed):
        verify_growth(second.checkpoint, first.checkpoint, second.consistency, second.verifier_key)
    same = await asked.client.checkpoint(old_size=int(second.checkpoint.split("\n")[1]))
    verify_growth(second.checkpoint, same.checkpoint, same.consistency, same.verifier_key)


async def test_many_who_sign_at_once_never_complain(site: Site) -> None:
    """Servers that sign for one growing log at once do not mistake each other for a rolled-back database."""
    async with (
        serving(site) as one,
        serving(site) as two,
        Client(one.addresses[0], site.token) as first,
        Client(two.addresses[0], site.token) as second,
    ):
        last = await first.checkpoint()
        for _ in range(12):
            signed = await asyncio.gather(*(client.checkpoint() for client in (first, second) * 6))
            sizes = [int(one.checkpoint.split("\n")[1]) for one in signed]
            assert len({(size, one.checkpoint.split("\n")[2]) for size, one in zip(sizes, signed, strict=True)}) == len(
                set(sizes)
            ), "two roots for one size"
            last = signed[sizes.index(max(sizes))]
        key = await first.export(site.settings.data_dir / "out")
        verify_export(site.settings.data_dir / "out", key, old_checkpoint=last.checkpoint)


async def test_many_who_index_at_once_all_get_their_answer(site: Site) -> None:
    """Several servers answer the first queries of a fresh log at the same time."""
    async with (
        serving(site) as one,
        serving(site) as two,
        Client(one.addresses[0], site.token) as first,
        Client(two.addresses[0], site.token) as second,
    ):
        for number in range(30):
            await first.check("bob", "play", "voicemail", str(number), owner="bob")
        answers = await asyncio.gather(*(client.rows(kinds=["decision"]) for client in (first, second) * 4))
        assert {len(rows) for rows in answers} == {30}


def copy_database(site: Site, folder: Path) -> None:
    """Copy the database as a backup does, and drop the connections."""
    with sqlite3.connect(site.settings.database_url.removeprefix("sqlite:///")) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    folder.mkdir()
    database = Path(site.settings.database_url.removeprefix("sqlite:///"))
    for file in database.parent.glob(f"{database.name}*"):
        if file.is_file():
            shutil.copy2(file, folder)


@pytest.mark.parametrize("index_too", [True, False])
async def test_a_rolled_back_database_is_refused(sqlite_site: Site, tmp_path: Path, index_too: bool) -> None:
    """The server neither signs for nor reads a database older than its last checkpoint: LOG_ROLLED_BACK."""
    site = sqlite_site
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        await client.check("bob", "play", "voicemail", "1", owner="bob")
        await client.rows()
        await client.checkpoint()
    copy_database(site, tmp_path / "backup")
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        for number in range(5):
            await client.check("bob", "play", "voicemail", f"lost/{number}", owner="bob")
        await client.rows()
        await client.checkpoint()
    site.storage.close()
    database = Path(site.settings.database_url.removeprefix("sqlite:///"))
    for file in database.parent.glob(f"{database.name}*"):
        if index_too or "index" not in file.name:
            file.unlink()
    for file in (tmp_path / "backup").iterdir():
        if index_too or "index" not in file.name:
            shutil.copy2(file, database.parent)
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        for grown in range(12):
            request = audit_pb2.GetCheckpointRequest(
                header=core_pb2.RequestHeader(tenant=TENANT, subject=person("erik"))
            )
            refusal = await client.refused(client.audit.GetCheckpoint, request)
            assert (refusal.code.name, refusal.reason) == ("UNAVAILABLE", "LOG_ROLLED_BACK"), grown
            again = check_request("bob", "play", "voicemail", f"again/{grown}", owner="bob")
            assert (await client.refused(client.access.Check, again)).reason == "LOG_ROLLED_BACK"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await client.export(tmp_path / "export")
        assert refusal_of(caught.value).reason == "LOG_ROLLED_BACK"
        proof = audit_pb2.GetEntryRequest(header=core_pb2.RequestHeader(tenant=TENANT, subject=person("erik")), index=0)
        assert (await client.refused(client.audit.GetEntry, proof)).reason == "LOG_ROLLED_BACK"


@pytest.mark.parametrize("signed_before", [True, False])
async def test_a_changed_entry_is_noticed(site: Site, tmp_path: Path, signed_before: bool) -> None:
    """The server neither signs for, proves nor exports an entry that was changed in the database at any time."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        denied = int((await client.check("carol", "play", "voicemail", "1", owner="bob")).decision.id)
        if signed_before:
            await client.checkpoint()
        tamper(site, denied)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await client.export(tmp_path / "export")
        assert refusal_of(refused.value).reason == "LOG_DAMAGED"
        assert not (tmp_path / "export/checkpoint").exists()
        request = audit_pb2.GetEntryRequest(
            header=core_pb2.RequestHeader(tenant=TENANT, subject=person("erik")), index=denied
        )
        assert (await client.refused(client.audit.GetEntry, request)).reason == "LOG_DAMAGED"


def _grown(site: Site) -> int:
    """Append heartbeats, so that the log has three tiles. Return the log."""
    log = site.log_of(TENANT)
    beats = tuple(encode(HEARTBEAT, now_us(), {}) for _ in range(600))
    assert isinstance(site.storage.log.append([Unit(log, beats)])[0], int)
    return log


#: Statements that damage an entry.
DAMAGES = (
    "DELETE FROM log_entry WHERE position = {}",
    "UPDATE log_entry SET entry = leaf_hash WHERE position = {}",
    "UPDATE log_entry SET leaf_hash = (SELECT leaf_hash FROM log_entry ORDER BY position LIMIT 1) WHERE position = {}",
)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_a_damaged_entry_is_named_and_others_stay_readable(site: Site, tmp_path: Path, damage: str) -> None:
    """GetEntry and ExportLog name the damaged entry; decisions, and proofs of entries of other tiles, go on."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        log = _grown(site)
        await client.checkpoint()
        with site.storage.log.writing() as connection:
            assert connection.exec_driver_sql(damage.format(position_of(log, 100))).rowcount == 1
        header = core_pb2.RequestHeader(tenant=TENANT, subject=person("erik"))
        told = await client.refused(client.audit.GetEntry, audit_pb2.GetEntryRequest(header=header, index=100))
        assert (told.reason, told.metadata) == ("LOG_DAMAGED", {"entries": "100"})
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await client.export(tmp_path / "export")
        told = refusal_of(failed.value)
        assert (told.reason, told.metadata) == ("LOG_DAMAGED", {"entries": "100"})
        assert not (tmp_path / "export/checkpoint").exists()
        assert (await client.check("bob", "play", "voicemail", "1", owner="bob")).decision.id
    # Another process has no hashes of the log in memory.
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        for index in (256, 599):
            shown = await client.entry(index)
            assert verify_entry(shown.entry, shown.proof, shown.verifier_key).index == index


async def test_an_entry_changed_with_its_hash_is_found_in_its_tile(site: Site, tmp_path: Path) -> None:
    """The tile of an entry that was changed together with its leaf hash is named as a range."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        log = _grown(site)
        await client.checkpoint()
        entry = encode(HEARTBEAT, 1, {})
        with site.storage.log.writing() as connection:
            row = {"entry": entry, "leaf_hash": leaf_hash(entry)}
            changed = sa.update(log_entry).where(log_entry.c.position == position_of(log, 300)).values(row)
            assert connection.execute(changed).rowcount == 1
        header = core_pb2.RequestHeader(tenant=TENANT, subject=person("erik"))
        told = await client.refused(client.audit.GetEntry, audit_pb2.GetEntryRequest(header=header, index=300))
        assert (told.reason, told.metadata) == ("LOG_DAMAGED", {"entries": "256-511"})
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await client.export(tmp_path / "export")
        assert refusal_of(failed.value).metadata == {"entries": "256-511"}
        assert (tmp_path / "export/tile/entries/000").exists(), "what precedes the damage is exported"


async def test_an_export_verifies_and_one_changed_byte_does_not(asked: FilledSite, tmp_path: Path) -> None:
    """An export verifies offline with the key alone, and a changed byte in any file is found."""
    folder = tmp_path / "export"
    key = await asked.client.export(folder)
    assert verify_export(folder, key).size == len(asked.site.entries())
    for file in (path for path in folder.rglob("*") if path.is_file()):
        whole = file.read_bytes()
        file.write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])
        with pytest.raises(VerificationFailed):
            verify_export(folder, key)
        file.write_bytes(whole)
    verify_export(folder, key)
