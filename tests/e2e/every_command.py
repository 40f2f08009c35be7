"""Run commands as a user does, each in a process that is forked after the imports: `every_command.py CASES`.

CASES is a file of JSON: a list of `{"arguments": […], "environment": {…}, "stdout": "file" or "closed"}`. For each case
one line of JSON goes to stdout: `{"code": …, "out": …, "err": …}`.
"""

import atexit
import gc
import json
import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

import click

import linewarden.cli


def main() -> None:
    """Run all cases."""
    _import_all(linewarden.cli.main)
    gc.disable()
    gc.freeze()  # memory that the children share stays shared
    for case in json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")):
        folder = Path(tempfile.mkdtemp())
        child = os.fork()
        if child == 0:
            _run(case, folder)
            return
        _, status = os.waitpid(child, 0)
        told = {name: (folder / name).read_text(errors="replace") for name in ("out", "err")}
        shutil.rmtree(folder)
        sys.stdout.write(json.dumps({"code": os.waitstatus_to_exitcode(status)} | told) + "\n")
        sys.stdout.flush()


def _import_all(command: click.Command) -> None:
    """Import every command now, so that no child does it for itself."""
    for inner in command.commands.values() if isinstance(command, click.Group) else ():
        _import_all(inner)


def _run(case: dict[str, Any], folder: Path) -> None:
    for name in [name for name in os.environ if name.startswith("LINEWARDEN_")]:
        del os.environ[name]
    os.environ.update(case["environment"])
    files = {number: os.open(folder / name, os.O_WRONLY | os.O_CREAT) for number, name in ((1, "out"), (2, "err"))}
    if case["stdout"] == "closed":
        read_end, write_end = os.pipe()
        os.close(read_end)
        files[1] = write_end
    for number, file in (files | {0: os.open(os.devnull, os.O_RDONLY)}).items():
        os.dup2(file, number)
    if case["stdout"] == "closed":  # Python's messages at its end belong to the case
        linewarden.cli.main(case["arguments"], prog_name="linewarden")
    try:
        linewarden.cli.main(case["arguments"], prog_name="linewarden")
    except SystemExit as end:
        sys.stdout.flush()
        atexit._run_exitfuncs()
        os._exit(end.code if isinstance(end.code, int) else 1)
    finally:
        traceback.print_exc()


if __name__ == "__main__":
    main()
