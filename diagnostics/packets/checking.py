"""Check of a filter expression, by a short-lived process without rights.

`python -m linewarden.diagnostics.packets --check-filter` reads the expression from standard input, because every user
of the host can see arguments. The expression is not trusted, and libpcap's optimizer takes time in proportion to the
square of its length. Time and memory are therefore limited, and an expression that needs more counts as invalid.
"""

import os
import resource

from linewarden.diagnostics.packets.confine import confine
from linewarden.diagnostics.packets.errors import CaptureError, FilterRefused
from linewarden.diagnostics.packets.filters import COMPILES, NOT_CHECKED, REFUSED
from linewarden.diagnostics.packets.libpcap import compile_on_ethernet, load

#: Seconds of processor time; the costliest expression known of MOST_BYTES needs one on a slow machine.
CPU_SECONDS = 5
MEMORY_BYTES = 256 * 1024**2
MOST_BYTES = 1_024


def check(fd: int) -> int:
    """Compile the expression from `fd`, as a worker would for an interface or a file. Return the exit status."""
    try:
        load()
        confine()
    except CaptureError:
        return NOT_CHECKED
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    with os.fdopen(fd, "rb", closefd=False) as pipe:
        expression = pipe.read(MOST_BYTES + 1)
    try:
        compile_on_ethernet(_text(expression))
    except (FilterRefused, MemoryError):
        return REFUSED
    return COMPILES


def _text(expression: bytes) -> str:
    if len(expression) > MOST_BYTES or not expression.isascii() or b"\0" in expression:
        raise FilterRefused("the filter is too long, or not ASCII text")
    return expression.decode()
