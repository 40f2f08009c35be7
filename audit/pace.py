"""Long work of a thread in slices, with pauses in which the event loop gets the interpreter.

The interpreter lets one thread run at a time, and a thread that only computes is made to give way after five
milliseconds each time that another wants to run. A request needs several turns, so beside a thread that parses a policy
it would wait for tens of milliseconds. Work that says where it can pause holds nothing up for longer than a slice.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

#: So long a slice takes, and so long the pause after it, seconds.
SLICE_S = 0.001
PAUSE_S = 0.001

#: Items between two looks at the clock.
_ITEMS = 16

_thread = threading.local()


class Abandoned(Exception):
    """The request that the work was for has ended; its result is of no use to anybody."""


def in_slices(abandoned: Callable[[], bool], function: Callable[[], T]) -> T:
    """Run a function whose `paced` loops pause, and end once `abandoned` is true.

    Raises:
        Abandoned: it ended so.
    """
    _thread.abandoned = abandoned
    try:
        return function()
    finally:
        del _thread.abandoned


def paced(items: Iterable[T]) -> Iterator[T]:
    """Yield the items, with pauses between them in a thread that works in slices, and as they are anywhere else.

    Raises:
        Abandoned: the work is of no use any more.
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
