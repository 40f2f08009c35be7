"""A Unix domain socket: the file, its mode, and the users of those who connect."""

import asyncio
import os
import pwd
import socket
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from linewarden.server.addresses import AddressTaken
from linewarden.server.bootstrap import start
from linewarden.v1 import access_pb2
from tests.deadlines import HANG_S
from tests.integration.conftest import Client, Site, check_request, processes, serving
from tests.integration.forked_python import forked_python

QUESTION = check_request("bob", "play", "voicemail", "1", owner="bob")
ME = str(os.getuid())

#: Connects to a socket and says how that ended: refused by the system, closed at once, or open.
_KNOCK = """
import os, socket, sys
os.setgroups([])
os.setgid(int(sys.argv[2]))
os.setuid(int(sys.argv[2]))
with socket.socket(socket.AF_UNIX) as one:
    one.settimeout(30)
    try:
        one.connect(sys.argv[1])
        one.sendall(b"PRI * HTTP/2.0\\r\\n\\r\\nSM\\r\\n\\r\\n\\0\\0\\0\\4\\0\\0\\0\\0\\0")
        print("open" if one.recv(1) else "closed")
    except PermissionError:
        print("refused")
    except ConnectionError:
        print("closed")
"""


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a short path in a folder that every user may enter."""
    folder = tmp_path_factory.mktemp("s")
    for one in (folder, *folder.parents):
        if one.stat().st_uid == os.getuid() and one != Path("/"):
            one.chmod(one.stat().st_mode | stat.S_IXOTH | stat.S_IXGRP)
    return folder / "s"


async def allowed(path: Path, token: str) -> bool:
    """Ask over the socket with the library of gRPC."""
    async with Client(f"unix:{path}", token) as client:
        answer: access_pb2.CheckResponse = await client.call(client.access.Check, QUESTION)
        return answer.decision.effect == access_pb2.EFFECT_ALLOW


async def knock(path: Path, user: str) -> str:
    """Connect as another user; return how that ended."""
    call = [sys.executable, "-c", _KNOCK, str(path), str(pwd.getpwnam(user).pw_uid)]
    done = await asyncio.to_thread(subprocess.run, call, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def mode_of(path: Path) -> int:
    """Return the mode of a file; 0 without one."""
    return stat.S_IMODE(path.stat().st_mode) if path.exists() else 0


as_root = pytest.mark.skipif(os.getuid() != 0, reason="run as root to connect as another user")


@pytest.mark.parametrize(
    "users", [(), (ME,), (pwd.getpwuid(os.getuid()).pw_name, "65000")], ids=["mode", "number", "name"]
)
async def test_callers_of_the_host_are_answered(sqlite_site: Site, path: Path, users: tuple[str, ...]) -> None:
    """A caller whose user may connect is answered over the socket, which has its mode and is removed at the end."""
    async with serving(sqlite_site, listen_socket=path, listen_socket_users=users) as running:
        assert mode_of(path) == 0o660
        assert await allowed(path, sqlite_site.token)
        async with Client(running.addresses[0], sqlite_site.token) as client:
            assert (await client.check("bob", "play", "voicemail", "1", owner="bob")).decision.effect
    assert not mode_of(path)


@as_root
async def test_the_mode_keeps_other_users_out(sqlite_site: Site, path: Path) -> None:
    """The system refuses a user whom the mode of the file does not permit."""
    async with serving(sqlite_site, listen_socket=path):
        assert await knock(path, "nobody") == "refused"
    async with serving(sqlite_site, listen_socket=path, listen_socket_mode="0666"):
        assert await knock(path, "nobody") == "open"


@as_root
async def test_other_users_are_cut_off_before_they_speak(sqlite_site: Site, path: Path) -> None:
    """The server closes the connection of a user whom the settings do not name, although the mode permits it."""
    more: dict[str, Any] = {"listen_socket": path, "listen_socket_mode": "0666"}
    async with serving(sqlite_site, **more, listen_socket_users=(ME,)):
        assert await knock(path, "nobody") == "closed"
        assert await allowed(path, sqlite_site.token)
    async with serving(sqlite_site, **more, listen_socket_users=("nobody",)):
        assert await knock(path, "nobody") == "open"


@pytest.mark.parametrize("users", [(), (ME,)], ids=["mode", "users"])
async def test_the_socket_takes_a_part_of_the_connections(
    sqlite_site: Site, path: Path, users: tuple[str, ...]
) -> None:
    """Beyond its part a connection of the socket waits until another ends; other hosts are not touched."""
    more: dict[str, Any] = {"listen_socket": path, "listen_socket_users": users, "max_connections": 8}
    async with serving(sqlite_site, **more) as running:
        (reader, first), (waiting, second) = [await asyncio.open_unix_connection(path) for _ in range(2)]
        for one in (first, second):
            one.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
        async with asyncio.timeout(HANG_S):
            assert await reader.read(1)
            async with Client(running.addresses[0], sqlite_site.token) as client:
                assert (await client.check("bob", "play", "voicemail", "1", owner="bob")).decision.effect
            served = asyncio.create_task(waiting.read(1))
            assert not (await asyncio.wait((served,), timeout=0.2))[0]
            first.close()
            assert await served
        second.close()


async def test_a_file_that_a_crash_left_is_replaced(sqlite_site: Site, path: Path) -> None:
    """A server takes the place of a socket without a process, and of no other."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with serving(sqlite_site, listen_socket=path):
        assert await allowed(path, sqlite_site.token)
        with pytest.raises(AddressTaken, match="another process"):
            await start(sqlite_site.settings.model_copy(update={"listen_socket": path}))
        assert await allowed(path, sqlite_site.token)


async def test_a_file_of_another_kind_is_kept(sqlite_site: Site, tmp_path: Path) -> None:
    """A server does not start where the file of its socket is something else."""
    with pytest.raises(OSError, match="no socket"):
        await start(sqlite_site.settings.model_copy(update={"listen_socket": tmp_path}))


async def test_an_unknown_user_does_not_start(sqlite_site: Site, path: Path) -> None:
    """A server whose settings name a user that the host does not know does not start."""
    unknown = {"listen_socket": path, "listen_socket_users": ("no-such-user",)}
    with pytest.raises(ValueError, match="no user 'no-such-user'"):
        await start(sqlite_site.settings.model_copy(update=unknown))
    assert not mode_of(path)


async def test_several_processes_share_the_socket(sqlite_site: Site, path: Path) -> None:
    """Each process of a service answers on the same socket."""
    environment: dict[str, Any] = {
        "LINEWARDEN_WORKERS": "2",
        "LINEWARDEN_LISTEN_SOCKET": str(path),
        "LINEWARDEN_LISTEN_SOCKET_USERS": ME,
    }
    async with processes(sqlite_site, python=forked_python(), **environment) as (server,):
        for _ in range(20):
            assert await allowed(path, sqlite_site.token)
        server.terminate()
        assert await server.ended() == 0
    assert not mode_of(path)
