"""Running blocking calls of the database in threads, with a limit of time.

A stopped database refuses a connection at once. A database that does not respond, or a dead network path, blocks a
thread until the system gives up, which may be never. The request that waits for the thread fails long before that. Long
work that tenants cause has other threads: see `shares`.
"""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from linewarden.audit.errors import LogUnavailable

P = ParamSpec("P")
T = TypeVar("T")

#: The limit for reading a few rows that a request needs, seconds.
READ_TIMEOUT_S = 2.0

#: The limit for reading or compiling a whole policy, or searching the index, seconds.
LONG_TIMEOUT_S = 10.0

#: The limit for loading the largest policy file that the contract allows, seconds.
LOAD_TIMEOUT_S = 120.0

_THREADS = 8


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="linewarden-short")


async def in_thread(within_s: float, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Run a blocking function in a thread and wait for it, for at most `within_s` seconds.

    Raises:
        LogUnavailable: the function took longer. The thread ends when the database responds.
    """
    call = functools.partial(function, *args, **kwargs)
    try:
        async with asyncio.timeout(within_s):
            return await asyncio.get_running_loop().run_in_executor(_threads(), call)
    except TimeoutError as error:
        raise LogUnavailable(f"the database did not answer within {within_s:g} s") from error
