"""Answers of a log that was damaged past the service, or is not searched to its end: they say what they lack."""

import asyncio
import json
import os
import sys

import sqlalchemy as sa

from linewarden.audit.entry import HEARTBEAT, encode
from linewarden.audit.index.answers import Query
from linewarden.audit.model import Unit
from linewarden.audit.store.schema import person as persons
from linewarden.server.bootstrap import now_us
from linewarden.server.names import EFFECT_NUMBERS, TYPE_NUMBERS
from linewarden.v1 import audit_pb2
from tests.deadlines import HANG_S
from tests.integration.conftest import TENANT, Client, Site, serving
from tests.integration.past_the_service import tamper


class NoAppender:
    """An appender for reading, which introduces no person."""

    def append(self, unit: Unit) -> "asyncio.Future[int]":
        """Fail, because it must not be called."""
        raise AssertionError(unit)


def _append(site: Site, count: int) -> None:
    """Append heartbeats, so that the entries before them are written to the index by the next query."""
    beats = tuple(encode(HEARTBEAT, now_us(), {}) for _ in range(count))
    assert isinstance(site.storage.log.append([Unit(site.log_of(TENANT), beats)])[0], int)


async def _command(address: str, token: str, *arguments: str) -> tuple[int | None, str, str]:
    """Run `audit query`; return its exit code, stdout and stderr."""
    options = ("--server", address, "--plaintext", "--tenant", TENANT, "--as", "erik")
    call = (sys.executable, "-m", "linewarden.cli", "audit", "query", *options, *arguments)
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(
        *call, stdout=pipe, stderr=pipe, env=os.environ | {"LINEWARDEN_KEY": token}
    )
    async with asyncio.timeout(HANG_S):
        out, err = await running.communicate()
    return running.returncode, out.decode(), err.decode()


async def test_an_answer_says_which_entries_it_lacks(site: Site) -> None:
    """A damaged entry is left out of rows and count, and is named by every answer that it may belong to."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        checks = [await client.check("carol", "play", "voicemail", str(n), owner="bob") for n in range(4)]
        places = [int(check.decision.id) for check in checks]
        assert len(await client.rows(effect=EFFECT_NUMBERS["deny"], kinds=["decision"])) == 4
        tamper(site, places[1])
        page = await client.query(effect=EFFECT_NUMBERS["deny"], kinds=["decision"])
        assert [row.index for row in page.rows] == [places[3], places[2], places[0]]
        assert page.completeness.damaged_entries == [places[1]]
        other = await client.query(kinds=[HEARTBEAT])
        assert len(other.rows) == 0
        assert other.completeness.damaged_entries == [places[1]], "nothing is known of it, so it may be one of these"
        counted = await client.count(interval=audit_pb2.INTERVAL_DAY)
        assert counted.completeness.damaged_entries == [places[1]]
        assert counted.total == sum(bucket.count for bucket in counted.buckets) == len(await client.rows()) - 1


async def test_an_entry_that_was_damaged_after_it_was_indexed_is_named(site: Site) -> None:
    """A page names an entry that was damaged after it was indexed, and shows the others."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        denied = int((await client.check("carol", "play", "voicemail", "1", owner="bob")).decision.id)
        _append(site, 600)
        assert [row.index for row in await client.rows(effect=EFFECT_NUMBERS["deny"])] == [denied]
        tamper(site, denied)
        page = await client.query(effect=EFFECT_NUMBERS["deny"])
        assert (len(page.rows), page.completeness) == (0, audit_pb2.Completeness(damaged_entries=[denied]))
        assert (await client.query(kinds=[HEARTBEAT], page_size=9)).completeness == audit_pb2.Completeness()


def test_an_answer_says_how_many_entries_were_not_searched(site: Site) -> None:
    """An answer from an index that is far behind says which part of the log it covers, on the first page."""
    log = site.log_of(TENANT)
    for _ in range(20):
        _append(site, 1_000)
    size = site.storage.log.head(log).size
    directory = site.storage.directory(NoAppender())
    reading = site.storage.reading(site.storage.indexer(directory), directory)
    asked = Query(kinds=(HEARTBEAT,))
    page = reading.query(log, asked, size=size, page_size=10, token="")
    assert page.lacks.unsearched > 0
    assert page.lacks.size + page.lacks.unsearched == size
    later = reading.query(log, asked, size=size, page_size=10, token=page.next_token)
    assert (later.lacks.size, later.lacks.unsearched) == (page.lacks.size, 0)
    left = page.lacks.unsearched
    while (counted := reading.count(log, asked, size=size)).lacks.unsearched:
        assert counted.lacks.unsearched < left, "each answer fills a part of the index"
        left = counted.lacks.unsearched
    assert counted.items == 20_000


async def test_a_person_who_was_deleted_without_a_record_is_named(site: Site) -> None:
    """A person whose row is gone although no erasure is recorded is missing, and is not taken for an erased one."""
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        await client.check("carol", "play", "voicemail", "1", owner="bob")
        (row,) = await client.rows(kinds=["decision"], resource_type=TYPE_NUMBERS["voicemail"])
        with site.storage.log.writing() as connection:
            assert connection.execute(sa.delete(persons).where(persons.c.sid == row.owner_sid)).rowcount == 1
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        page = await client.query(kinds=["decision"], resource_type=TYPE_NUMBERS["voicemail"])
        assert [(one.subject, one.owner, one.owner_sid) for one in page.rows] == [("carol", "", row.owner_sid)]
        assert page.completeness.missing_persons == [row.owner_sid]


async def test_the_command_shows_the_other_rows_of_a_damaged_log(sqlite_site: Site) -> None:
    """`audit query` prints the rows that are intact, names the damaged entry on stderr, and ends with 5."""
    site = sqlite_site
    async with serving(site) as running, Client(running.addresses[0], site.token) as client:
        address = running.addresses[0]
        intact, damaged = [
            int((await client.check("carol", "play", "voicemail", str(n), owner="bob")).decision.id) for n in range(2)
        ]
        asked = ("--kind", "decision", "--effect", "deny")
        assert (await _command(address, site.token, *asked, "--count"))[:2] == (0, "2\n")
        tamper(site, damaged)
        code, out, err = await _command(address, site.token, *asked, "-o", "jsonl")
        assert (code, [json.loads(line)["index"] for line in out.splitlines()]) == (5, [intact])
        assert f"damaged entries of the log are left out: {damaged}\n" in err
        assert "linewarden audit verify" in err
        code, out, err = await _command(address, site.token, *asked, "--count")
        assert (code, out) == (5, "1\n")
