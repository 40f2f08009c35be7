"""One bound on waiting for an event, so that tests pass on a slow machine and a hang ends.

A test waits for the event itself. The bound only ends a test whose event never comes. No test asserts how fast
something is. TEST_TIME_FACTOR multiplies the bounds, for a machine that is slower still.

Times that are the behaviour under test (a lease, an idle limit, a caller that gives up) stay in their tests.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

FACTOR = float(os.environ.get("TEST_TIME_FACTOR", "1"))
#: Seconds after which a test gives up waiting for an event. Fifty times the longest wait of an idle machine.
HANG_S = 300.0 * FACTOR
#: Processor seconds for hostile input: ten times the usual or more, and less than half of a quadratic reader's.
WORK_S = 5.0
#: The same for one datagram or one segment, whose length is bounded.
DATAGRAM_WORK_S = 0.5


class WorksWithoutEnd(Exception):
    """A test's work needs more processor time than any input may cost."""


@contextmanager
def bounded_work(limit_s: float = WORK_S) -> Iterator[None]:
    """End the work inside once it has used so many seconds of processor time; other processes do not count.

    Raises:
        WorksWithoutEnd: it has.
    """

    def give_up(*_signal: object) -> None:
        raise WorksWithoutEnd(f"more than {limit_s} s of processor time; look for work that grows with the square")

    before = signal.signal(signal.SIGPROF, give_up)
    signal.setitimer(signal.ITIMER_PROF, limit_s * FACTOR)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
