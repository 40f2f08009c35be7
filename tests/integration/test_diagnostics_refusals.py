"""Bad input and faults around captures: for each the caller's error, and one state, one reason and one set of entries.

The cases are data: see refusals.toml. No fault leaves an unmasked byte on the disk or in evidence.
"""

import asyncio
import tomllib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio

from linewarden.v1 import capture_pb2 as pb
from tests.deadlines import HANG_S
from tests.integration.captures import ended, evidence, files_of
from tests.integration.conftest import DATA, Site, make_site, refusal_of
from tests.integration.disks import holding
from tests.integration.scenes import SECRET, Scene, scene
from tests.integration.sweeps import sweep_until_believed
from tests.rights import live

CASES = tomllib.loads((DATA / "refusals.toml").read_text(encoding="utf-8"))["case"]

#: Entries that every request makes, accepted or refused.
USUAL = {"decision", "person.introduced", "policy.changed", "log.heartbeat"}
SAID = ("kind", "reason", "stop_reason", "detail", "fields")

pytestmark = pytest.mark.asyncio(loop_scope="module")


def parameters() -> list[Any]:
    """Return the cases; those with a capture need the right to make one."""
    return [
        pytest.param(case, id=case["name"], marks=[live] if "start" in case.get("given", ()) else []) for case in CASES
    ]


@pytest.fixture(scope="module")
def shared_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Yield the folder of the server that most cases share."""
    folder = tmp_path_factory.mktemp("shared") / "site"
    with make_site(folder, f"sqlite:///{folder}/linewarden.db") as site:
        yield site


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(shared_site: Site) -> AsyncIterator[Scene]:
    """Yield a customer on the shared server."""
    async with scene(shared_site) as made:
        yield made


@pytest.fixture
def own_site(case: dict[str, Any], tmp_path: Path) -> Iterator[Site | None]:
    """Yield the folder of a server for one case alone, if it needs one."""
    if "server" not in case:
        yield None
        return
    folder = tmp_path / "site"
    with make_site(folder, f"sqlite:///{folder}/linewarden.db") as site:
        yield site


@pytest_asyncio.fixture(loop_scope="module")
async def stage(case: dict[str, Any], own_site: Site | None, shared: Scene) -> AsyncIterator[Scene]:
    """Yield the customer in the situation in which the case begins."""
    if own_site is not None:
        async with scene(own_site, case["server"]) as made:
            yield await prepared(made, case)
        return
    await shared.begin_anew()
    async with shared.undoing:
        yield await prepared(shared, case)


async def prepared(made: Scene, case: dict[str, Any]) -> Scene:
    """Take the steps of a case."""
    for step in case.get("given", ()):
        await made.steps[step]()
    return made


@pytest.mark.parametrize("case", parameters())
async def test_a_refusal_or_fault_has_one_reason_state_and_entry(case: dict[str, Any], stage: Scene) -> None:
    """Each case gets exactly its reason, its state and stop reason of the capture, and its log entries."""
    before, captures = len(stage.site.entries()), await ids(stage)
    runs = "start" in case.get("given", ())
    stage.clock.ahead_s += case.get("clock_s", 0)
    if "happens" in case:
        await stage.events[case["happens"]]()
    if "call" in case:
        assert await told(stage, case) == (case.get("reason", ""), case.get("told", {}))
    if runs:
        stage.send()
        await ended(stage.acme, stage.capture)
    assert await ids(stage) == captures
    await check(stage, case, before, case["entries"])
    if later := case.get("later"):
        await reached(stage, later["state"])
        await check(stage, later, before, case["entries"] + later["entries"])
    if runs:
        stage.clock.ahead_s = 0  # otherwise a clock that is days ahead would end the time to keep
        await check_evidence(stage)
    assert holding(stage.site.settings.data_dir, SECRET) == []


async def ids(stage: Scene) -> list[str]:
    """Return the ids of all captures."""
    return [one.id for one in (await stage.acme.ask("ListCaptures", page_size=100)).captures]


async def told(stage: Scene, case: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Return the reason of the refusal and the details of the error; nothing if the call is answered."""
    try:
        await stage.call(case["call"], case.get("by", "admin"), case.get("set", {}))
    except grpc.aio.AioRpcError as error:
        refusal = refusal_of(error)
        return refusal.reason, {name: value for name, value in refusal.metadata.items() if name != "decision"}
    return "", {}


async def check(stage: Scene, case: dict[str, Any], before: int, entries: list[dict[str, Any]]) -> None:
    """Compare state, stop reason and entries with the case, and check that the entries name its capture."""
    if "state" in case:
        capture = await stage.acme.capture(stage.capture)
        state = pb.CaptureState.Name(capture.state).removeprefix("CAPTURE_STATE_").lower()
        reason = pb.CaptureStopReason.Name(capture.stop_reason).removeprefix("CAPTURE_STOP_REASON_").lower()
        assert (state, reason) == (case["state"], case.get("stop_reason", "unspecified"))
    new = [entry for entry in stage.site.entries()[before:] if entry["kind"] not in USUAL]
    assert [{name: entry[name] for name in SAID if name in entry} for entry in new] == entries
    assert {entry["session"] for entry in new if "session" in entry} <= {stage.capture}


async def check_evidence(stage: Scene) -> None:
    """Check that sealed evidence opens and is masked, and that without a seal no file stays."""
    capture = await stage.acme.capture(stage.capture)
    if capture.state != pb.CAPTURE_STATE_SEALED:
        assert not capture.HasField("evidence")
        assert files_of(stage.site, stage.capture) == []
        return
    plain = await evidence(stage.acme, stage.capture)
    assert plain.count(b"MESSAGE sip:bob@example") >= 5
    assert SECRET not in plain


async def reached(stage: Scene, state: str) -> None:
    """Wait until the sweeper has brought the capture into a state."""
    assert stage.running is not None
    await sweep_until_believed(stage.running)
    wanted = pb.CaptureState.Value(f"CAPTURE_STATE_{state.upper()}")
    async with asyncio.timeout(HANG_S):
        while (await stage.acme.capture(stage.capture)).state != wanted:  # noqa: ASYNC110 - the server does it
            await asyncio.sleep(0.2)
