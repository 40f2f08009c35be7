"""The doors and the wiring: gRPC, identity, settings, processes, and the command `linewarden`.

The only room that imports all others, and the only one that knows gRPC and protobuf. `bootstrap` is the composition
root.
"""

import os

# gRPC's core writes to stderr past Python's logging, addresses of peers among it, and asks for this when it is loaded.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
