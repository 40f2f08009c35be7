"""Commands that begin as forks of one process that has imported everything.

Imports take most of the processor time of a command, and of the start of a server. There are three ways to ask for one:

- `forked_python()` returns a program that takes the place of `sys.executable`. It passes each call but those of
  `-m linewarden.cli` and of the installed script to the real interpreter. The children that a server starts through its
  `sys.executable` are forks.
- `forked_commands()` returns a folder for PATH in which `linewarden` is a fork.
- `run_forked()` runs the command, and starts no other process for it.

A child gets the arguments, environment, folder, umask and standard files of its caller, receives the SIGTERM and SIGINT
that the caller receives, and is killed when the caller ends. It ends without freeing its imports, which would cost more
than most commands. As a script, this file is the forking process.
"""

import atexit
import gc
import json
import os
import pkgutil
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

_MODULE = ["-m", "linewarden.cli"]
_SCRIPT = str(Path(sys.executable).parent / "linewarden")
_LONGEST_CALL = 1 << 17


@dataclass(frozen=True)
class Done:
    """The exit code and the output of a command."""

    code: int
    out: str
    err: str


def run_forked(
    arguments: Sequence[str], environment: Mapping[str, str], within_s: float, *, closed: bool = False
) -> Done:
    """Run `linewarden` with these arguments, without stdin; with `closed`, its stdout is a pipe that has no reader.

    Raises:
        TimeoutError: it did not end in time. It is killed.
    """
    with (
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
        Path(os.devnull).open("rb") as nothing,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as asked,
    ):
        asked.connect(str(Path(forked_python()).parent / "socket"))
        stdout = _unread() if closed else os.dup(out.fileno())
        call = {"words": [_SCRIPT, *arguments], "environment": dict(environment), "folder": str(Path.cwd())}
        socket.send_fds(asked, [json.dumps(call).encode()], [nothing.fileno(), stdout, err.fileno()])
        os.close(stdout)
        asked.settimeout(within_s)
        asked.recv(64)  # its process id
        code = int(asked.recv(64))
        written = [(file.seek(0), file.read().decode(errors="replace"))[1] for file in (out, err)]
    return Done(code, *written)


def _unread() -> int:
    """Return the end to write to of a pipe that has no reader."""
    read_end, write_end = os.pipe()
    os.close(read_end)
    return write_end


@cache
def forked_commands() -> Path:
    """Return a folder with the command `linewarden`, to be put first into PATH."""
    folder = Path(forked_python()).parent / "bin"
    folder.mkdir()
    command = folder / "linewarden"
    command.write_text(f'#!/bin/sh\nexec {forked_python()} {_SCRIPT} "$@"\n')
    command.chmod(0o700)
    return folder


@cache
def forked_python() -> str:
    """Start the forking process; return the path of the program."""
    folder = tempfile.TemporaryDirectory(prefix="lwfork")
    home = Path(folder.name)
    program = home / "python"
    program.write_text(f"#!{sys.executable} -IS\nPYTHON, SOCKET = {sys.executable!r}, {f'{home}/socket'!r}\n{_ASKING}")
    program.chmod(0o700)
    call = [sys.executable, __file__, f"{home}/socket", str(program)]
    process = subprocess.Popen(call, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"

    def end() -> None:
        process.communicate()
        folder.cleanup()

    atexit.register(end)
    return str(program)


#: The program. It imports little, because its start is what is saved.
_ASKING = f"""
import os
import sys
if sys.argv[1:3] != {_MODULE!r} and sys.argv[1:2] != [{_SCRIPT!r}]:
    os.execv(PYTHON, [PYTHON, *sys.argv[1:]])
import json
import signal
import socket
asked = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
asked.connect(SOCKET)
umask = os.umask(0)
call = {{"words": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd(), "umask": umask}}
signals = {{signal.SIGTERM, signal.SIGINT}}
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
socket.send_fds(asked, [json.dumps(call).encode()], [0, 1, 2])
child = int(asked.recv(64))
for number in signals:
    signal.signal(number, lambda number, frame: os.kill(child, number))
signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
code = int(asked.recv(64) or b"1")
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""


class _Forks:
    """The forking process: a listener, and for each child the connection of its program and its end."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._events = selectors.DefaultSelector()
        self._events.register(listener, selectors.EVENT_READ)
        self._events.register(0, selectors.EVENT_READ)
        self._children: dict[int, tuple[int, socket.socket]] = {}

    def serve(self) -> dict[str, Any] | None:
        """Fork until stdin ends. Return None there, and the call in a child."""
        while True:
            for key, _ in self._events.select():
                if key.fd == 0:
                    for pid, _connection in self._children.values():
                        os.kill(pid, signal.SIGKILL)
                    return None
                if key.fileobj is self._listener:
                    self._events.register(self._listener.accept()[0], selectors.EVENT_READ)
                elif key.fd in self._children:
                    self._ended(key.fd)
                elif (call := self._heard(key.fileobj)) is not None:  # type: ignore[arg-type]
                    return call

    def _heard(self, connection: socket.socket) -> dict[str, Any] | None:
        """Fork for a call, or kill the child of a program that has ended. Return the call in a child."""
        data, files, _, _ = socket.recv_fds(connection, _LONGEST_CALL, 3)
        if not data:
            self._events.unregister(connection)
            for pid, owner in self._children.values():
                if owner is connection:
                    os.kill(pid, signal.SIGKILL)
            return None
        child = os.fork()
        if child == 0:
            self._become(files)
            call: dict[str, Any] = json.loads(data)
            return call
        for file in files:
            os.close(file)
        end = os.pidfd_open(child)
        self._children[end] = (child, connection)
        self._events.register(end, selectors.EVENT_READ)
        connection.send(str(child).encode())
        return None

    def _ended(self, end: int) -> None:
        pid, connection = self._children.pop(end)
        self._events.unregister(end)
        os.close(end)
        _, status = os.waitpid(pid, 0)
        with suppress(OSError):
            connection.send(str(os.waitstatus_to_exitcode(status)).encode())
        with suppress(KeyError):
            self._events.unregister(connection)
        connection.close()

    def _become(self, files: list[int]) -> None:
        """Keep nothing of the forking process but its imports."""
        for key in list(self._events.get_map().values()):
            if key.fd:
                os.close(key.fd)
        self._events.close()
        for number, file in enumerate(files):
            os.dup2(file, number)
            os.close(file)


def main(path: str, program: str) -> None:
    """Import everything, serve, and run the command in each child."""
    commands = import_module("linewarden.cli")
    for package in (commands, import_module("linewarden.server")):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(("__main__", ".env")):
                import_module(module.name)
    gc.freeze()  # what is shared with the children stays shared
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen(64)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    call = _Forks(listener).serve()
    if call is not None:
        os.environ.clear()
        os.environ.update(call["environment"])
        os.chdir(call["folder"])
        if "umask" in call:
            os.umask(call["umask"])
        sys.executable = program
        _run(call["words"])


def _run(words: list[str]) -> None:
    """Run the module or the script as Python does, and end. The interpreter reports output that cannot be written."""
    try:
        if words[:2] == _MODULE:
            sys.argv = words[1:]
            runpy.run_module(_MODULE[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = words
            runpy.run_path(_SCRIPT, run_name="__main__")
    except SystemExit as end:
        if not isinstance(end.code, int | None):
            raise
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        for file in (sys.stdout, sys.stderr):
            try:
                file.flush()
            except (OSError, ValueError):
                raise end from None
        os._exit(end.code or 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
