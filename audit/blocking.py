"""How long a request waits for a database that says nothing.

A stopped database refuses, and that is known at once. A silent one, or a dead network path, keeps a thread until the
system gives up on it, which may be never; whoever waits for the thread is told long before. Work that takes long, and
that a tenant causes, has threads of its own: see `shares`.
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

#: A load of the largest policy file that the contract allows, seconds.
LOAD_TIMEOUT_S = 120.0

_THREADS = 8


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="linewarden-short")


async def in_thread(within_s: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function in a thread and wait for it, but no longer than `within_s`.

    Raises:
        LogUnavailable: it took longer. The thread ends when the database lets go of it.
    """
    call = functools.partial(function, *args, **kwargs)
    try:
        async with asyncio.timeout(within_s):
            return await asyncio.get_running_loop().run_in_executor(_threads(), call)
    except TimeoutError as error:
        raise LogUnavailable("the database did not answer in time") from error
