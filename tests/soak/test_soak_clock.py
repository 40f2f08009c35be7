"""Clock steps as the system makes them: libfaketime sets the clock under a real server."""

import itertools
import os
import shutil
from pathlib import Path

import grpc
import pytest

from linewarden.server.bootstrap import now_us
from tests.integration.conftest import Client, Site, check_request, processes, refusal_of

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(shutil.which("faketime") is None, reason="install faketime to set the clock"),
]

_LIBRARIES = (
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
)
_HOUR_US = 3_600_000_000


def faked(file: Path) -> dict[str, str]:
    """Return the environment of a server whose wall clock follows a file."""
    library = next((path for path in _LIBRARIES if os.path.exists(path)), "")  # noqa: PTH110 - names, not paths of ours
    return {
        "LD_PRELOAD": library,
        "FAKETIME_TIMESTAMP_FILE": str(file),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "DONT_FAKE_MONOTONIC": "1",
    }


@pytest.mark.parametrize("back", ["-1h", "-30d"])
async def test_what_expired_stays_expired(sqlite_site: Site, tmp_path: Path, back: str) -> None:
    """A key that expired stays refused after the clock was set ahead and back, and log times do not fall."""
    site, file = sqlite_site, tmp_path / "time"
    file.write_text("+0")
    _, token = site.key(expires_us=now_us() + _HOUR_US)
    question = check_request("bob", "play", "voicemail", "1", owner="bob")
    async with processes(site, 1, **faked(file)) as (server,), Client(server.address, token) as client:
        await client.call(client.access.Check, question)
        file.write_text("+7h")
        await until_refused(client, question)
        async with Client(server.address, site.token) as other:
            await other.call(other.access.Check, question)
        file.write_text(back)
        for _ in range(40):
            assert (await client.refused(client.access.Check, question)).code is grpc.StatusCode.UNAUTHENTICATED
        async with Client(server.address, site.token) as other:
            await other.call(other.access.Check, question)
        server.terminate()
        assert await server.ended() == 0
    async with processes(site, 1, **faked(file)) as (server,), Client(server.address, token) as client:
        assert (await client.refused(client.access.Check, question)).code is grpc.StatusCode.UNAUTHENTICATED
    times = [entry["time"] for entry in site.entries()]
    assert all(later > earlier - 5_000_000 for earlier, later in itertools.pairwise(times))
    assert any(entry["kind"] == "clock.stepped" for entry in site.entries())


async def until_refused(client: Client, question: object) -> None:
    """Ask until the server has noticed its new clock."""
    for _ in range(600):
        try:
            await client.call(client.access.Check, question)
        except grpc.aio.AioRpcError as error:
            assert refusal_of(error).code is grpc.StatusCode.UNAUTHENTICATED  # noqa: PT017 - it ends the loop
            return
    pytest.fail("the clock was not set")
