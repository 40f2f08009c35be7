"""Open the database of a settings file in several processes at once: `open_at_once.py FILE TENANT…`.

Each process makes one tenant. All are forked after the imports and wait for the end of one pipe, so that they open the
database at the same moment.
"""

import os
import sys
import traceback
from pathlib import Path

from linewarden.server.bootstrap import now_us
from linewarden.server.operator_actions import create_tenant
from linewarden.server.settings import load_settings
from linewarden.server.storage import open_storage


def open_when_told(go: int, file: Path, tenant: str) -> int:
    """Open the database once the other end of the pipe is closed, and make the tenant; return an exit code."""
    try:
        settings = load_settings(file)
        os.read(go, 1)
        storage = open_storage(settings)
        create_tenant(storage.log, tenant, now_us())
        storage.close()
    except Exception:  # noqa: BLE001 - the test compares the text
        traceback.print_exc()
        return 1
    return 0


go, held = os.pipe()
children = []
for tenant in sys.argv[2:]:
    if not (child := os.fork()):
        os.close(held)
        code = open_when_told(go, Path(sys.argv[1]), tenant)
        sys.stderr.flush()
        os._exit(code)
    children.append(child)
os.close(held)
sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children))
