"""An interpreter whose `-m linewarden.cli` begins as a fork of a process that has imported everything.

Imports take most of a short server's processor time. `forked_python()` returns a program that takes the place of
`sys.executable`: it asks the forking process for a child with its arguments, environment, folder and standard files,
forwards SIGTERM and SIGINT, and ends as the child does. The child is killed when the program is. The children that a
server starts through its `sys.executable` are forks, too. Each other call is passed to the real interpreter.

As a script, this file is the forking process.
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
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path

_MODULE = ["-m", "linewarden.cli"]
_LONGEST_CALL = 1 << 17


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
if sys.argv[1:3] != {_MODULE!r}:
    os.execv(PYTHON, [PYTHON, *sys.argv[1:]])
import json
import signal
import socket
asked = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
asked.connect(SOCKET)
call = {{"arguments": sys.argv[3:], "environment": dict(os.environ), "folder": os.getcwd()}}
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

    def serve(self) -> dict[str, str] | None:
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

    def _heard(self, connection: socket.socket) -> dict[str, str] | None:
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
            call: dict[str, str] = json.loads(data)
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
        os.environ.update(call["environment"])  # type: ignore[arg-type]
        os.chdir(call["folder"])
        sys.executable = program
        sys.argv = ["linewarden", *call["arguments"]]
        runpy.run_module(_MODULE[1], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
