"""The libraries that a backend loads with the client, and the process that the client belongs to."""

import json
import subprocess
import sys

#: gRPC itself, what it loads if it is installed, and what its extension modules consist of.
_GRPC = {"grpc", "grpc_status", "grpc_health", "grpc_reflection", "grpc_tools", "typing_extensions", "cython_runtime"}
_PERMITTED = {"linewarden", "google", "buf", *_GRPC}

_IMPORTED = """
import json, sys
before = set(sys.modules)
import linewarden.client
print(json.dumps(sorted(set(sys.modules) - before)))
"""

_FORKED = """
import os, sys
from linewarden.client import Client, ClientUnusable, Question
client = Client("127.0.0.1:1", key="lw_1_1", tenant="acme", plaintext=True)
child = os.fork()
if child == 0:
    code = 1
    try:
        client.check(Question("bob", "play", "voicemail", "1"), timeout_s=1)
    except ClientUnusable:
        client.close()
        code = 42
    os._exit(code)
_, status = os.waitpid(child, 0)
sys.exit(0 if os.waitstatus_to_exitcode(status) == 42 else 1)
"""


def run(script: str) -> str:
    """Run a script in a fresh interpreter and return its output."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_client_loads_grpc_and_the_contract_alone() -> None:
    """Importing the client loads no server, no database, no Casbin and no library but gRPC and protobuf."""
    modules = json.loads(run(_IMPORTED))
    loaded = {name.partition(".")[0] for name in modules} - {*sys.stdlib_module_names, *_PERMITTED}
    assert {name for name in loaded if not name.startswith("_cython_")} == set()
    ours = {name.split(".")[1] for name in modules if name.startswith("linewarden.")}
    assert ours == {"client", "v1"}


def test_a_client_does_not_survive_a_fork() -> None:
    """A client in a forked process raises ClientUnusable at once, and can be closed."""
    run(_FORKED)
