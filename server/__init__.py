"""The server: gRPC services, admission, credentials, settings and processes.

This package imports all others except the command. `bootstrap` is the composition root. Admission, errors, capacity and
recorded changes know no protocol.
"""

import os

# gRPC's core writes to stderr past Python's logging, addresses of peers among it, and asks for this when it is loaded.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
