"""Open the database of a settings file at a given moment, as others do: `open_at_once.py FILE UNIX_TIME TENANT`."""

import sys
import time
from pathlib import Path

from linewarden.server.bootstrap import now_us
from linewarden.server.operator_actions import create_tenant
from linewarden.server.settings import load_settings
from linewarden.server.storage import open_storage

settings = load_settings(Path(sys.argv[1]))
time.sleep(max(0.0, float(sys.argv[2]) - time.time()))
storage = open_storage(settings)
create_tenant(storage.log, sys.argv[3], now_us())
storage.close()
