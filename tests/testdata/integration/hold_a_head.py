"""Append to a log, and stop inside the transaction: `hold_a_head.py URL LOG`."""

import sys
import time
from typing import Any

from linewarden.audit.keyring import RowMac
from linewarden.audit.model import Unit
from linewarden.audit.store.engine import open_engine
from linewarden.audit.store.log import LogStore


def hold(_connection: Any) -> None:
    """Say that the head is locked, and stay."""
    sys.stdout.write("held\n")
    sys.stdout.flush()
    time.sleep(3600)


LogStore(open_engine(sys.argv[1]), RowMac(bytes(32))).append([Unit(int(sys.argv[2]), (b"x",), effect=hold)])
