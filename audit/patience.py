"""How long a request waits for a database that says nothing.

A stopped database refuses, and that is known at once. A silent one, or a dead network path, keeps a thread until the
system gives up on it, which may be never; whoever waits for the thread is told long before.
"""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from linewarden.audit.errors import LogUnavailable

P = ParamSpec("P")
T = TypeVar("T")

#: For a few rows that stand between a request and its answer, seconds.
READ_TIMEOUT_S = 2.0

#: For what reads or compiles a whole policy, or searches an index, seconds.
LONG_TIMEOUT_S = 10.0

_THREADS = {"short": 8, "long": 3}


@functools.cache
def _threads(kind: str) -> ThreadPoolExecutor:
    """Threads for one kind of work: what takes long must not take the threads of what answers wait for."""
    return ThreadPoolExecutor(max_workers=_THREADS[kind], thread_name_prefix=f"linewarden-{kind}")


async def in_thread(within_s: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function in a thread and wait for it, but no longer than `within_s`.

    Raises:
        LogUnavailable: it took longer. The thread ends when the database lets go of it.
    """
    kind = "long" if within_s > READ_TIMEOUT_S else "short"
    call = functools.partial(function, *args, **kwargs)
    try:
        async with asyncio.timeout(within_s):
            return await asyncio.get_running_loop().run_in_executor(_threads(kind), call)
    except TimeoutError as error:
        raise LogUnavailable("the database did not answer in time") from error
