"""Append to a log while syncs fail now and then: `append_on_a_disk.py DATABASE SWITCH STEP…`.

A step is a number of entries to append, `fail:TEXT` (syncs of files with the text in their path fail), `heal`, or
`read` (print the size of the log by another connection). Prints what was acknowledged, and ends as a power cut would.
"""

import os
import sys
from pathlib import Path

from linewarden.audit.errors import LogUnavailable
from linewarden.audit.keyring import RowMac
from linewarden.audit.model import Unit
from linewarden.audit.store import schema
from linewarden.audit.store.engine import open_engine
from linewarden.audit.store.log import LogStore

database, switch, *steps = sys.argv[1:]
engine = open_engine(f"sqlite:///{database}")
store = LogStore(engine, RowMac(bytes(32)))
with store.writing() as connection:
    schema.metadata.create_all(connection)
store.create("", "origin", 1)
engine.pool.dispose()  # as when no thread has read for a while: the writer's connection is the only one


def step(what: str) -> None:
    """Do one step."""
    if what.startswith("fail:"):
        Path(switch).write_text(what.removeprefix("fail:"))
    elif what == "heal":
        Path(switch).unlink()
    elif what == "read":
        sys.stdout.write(f"head {store.head(0).size}\n")
    else:
        for _ in range(int(what)):
            entry = os.urandom(700).hex()
            try:
                (result,) = store.append([Unit(0, (entry.encode(),))])
            except LogUnavailable:
                sys.stdout.write("refused\n")
            else:
                sys.stdout.write(f"{result} {entry}\n")


for one in steps:
    step(one)
sys.stdout.flush()
os._exit(0)
