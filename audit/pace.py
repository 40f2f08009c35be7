"""Long work of a thread in slices, with pauses in which the event loop can run.

The interpreter runs one thread at a time, and interrupts a computing thread only after five milliseconds. A request
needs several turns, so it would wait tens of milliseconds beside a thread that parses a policy. Work that pauses
between its items delays other threads by one slice at most.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

#: The length of a slice, and of the pause after it, seconds.
SLICE_S = 0.001
PAUSE_S = 0.001

#: Items between two readings of the clock.
_ITEMS = 16

_thread = threading.local()


class Abandoned(Exception):
    """The work was abandoned, because the request that needs its result has ended."""


def in_slices(abandoned: Callable[[], bool], function: Callable[[], T]) -> T:
    """Run a function whose `paced` loops pause, and stop it once `abandoned` returns true.

    Raises:
        Abandoned: the function was stopped.
    """
    _thread.abandoned = abandoned
    try:
        return function()
    finally:
        del _thread.abandoned


def paced(items: Iterable[T]) -> Iterator[T]:
    """Yield the items, with pauses between them in a thread that works in slices, and as they are anywhere else.

    Raises:
        Abandoned: the request that needs the work has ended.
    """
    abandoned = getattr(_thread, "abandoned", None)
    return iter(items) if abandoned is None else _sliced(items, abandoned)


def _sliced(items: Iterable[T], abandoned: Callable[[], bool]) -> Iterator[T]:
    until = time.monotonic() + SLICE_S
    for number, item in enumerate(items):
        if number % _ITEMS == 0 and time.monotonic() > until:
            if abandoned():
                raise Abandoned
            time.sleep(PAUSE_S)
            until = time.monotonic() + SLICE_S
        yield item
