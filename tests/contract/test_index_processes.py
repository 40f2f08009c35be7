"""One log and its index, used by several processes at once, on every database."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from linewarden.audit.directory import Directory
from linewarden.audit.keyring import Keyring
from linewarden.audit.model import Unit
from linewarden.audit.store.log import LogStore
from linewarden.audit.store.persons import PersonStore
from tests.contract.index_worker import NAMES, StoreAppender
from tests.deadlines import HANG_S

_WORKER = Path(__file__).with_name("index_worker.py")

#: The processes: one that appends, two that fill and merge, and two that query, which fill and merge as well.
_ROLES = [{"role": role, "seed": seed} for seed, role in enumerate(("append", "index", "index", "query", "query"))]

#: Entries of the log in the end: so many that runs of five sizes are merged.
_ENTRIES = 1_500


@pytest.mark.slow
def test_answers_beside_appends_and_merges_are_those_of_a_plain_reading(
    store: LogStore, database_url: str, tmp_path: Path
) -> None:
    """Each answer equals a reading of the entries that it covers, no process sees damage, and the index is kept."""
    asyncio.run(_introduce(store))
    index_url = f"sqlite:///{tmp_path}/index.db" if database_url.startswith("sqlite") else database_url
    stated = {"url": database_url, "index_url": index_url, "size": _ENTRIES}
    calls = [[sys.executable, str(_WORKER), json.dumps({**stated, **role})] for role in _ROLES]
    processes = [subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for call in calls]
    reports = []
    for process in processes:
        out, err = process.communicate(timeout=HANG_S)
        assert process.returncode == 0, err.decode()
        reports.append(json.loads(out))
    assert [event for report in reports for event in report["events"]] == []
    assert [wrong for report in reports for wrong in report["wrong"]] == []
    assert all(report["answers"] for report, role in zip(reports, _ROLES, strict=True) if role["role"] == "query")


async def _introduce(store: LogStore) -> None:
    directory = Directory(PersonStore(store), Keyring(bytes(32)), StoreAppender(store))
    await directory.append(Unit(1, ()), await directory.meet(1, NAMES, 1))
