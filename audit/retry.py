"""Work that is made from what is stored, and done again when that has changed before it is durable."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from linewarden.audit.errors import LogUnavailable

R = TypeVar("R")

#: How often work is done again before it is given up.
ATTEMPTS = 20


async def repeat_while(work: Callable[[], Awaitable[R]], *changed: type[Exception]) -> R:
    """Do the work, and again while it raises one of `changed`: what it was made from is no longer so.

    Raises:
        LogUnavailable: others changed it ATTEMPTS times in a row.
        what the work raises.
    """
    for _ in range(ATTEMPTS):
        try:
            return await work()
        except changed:
            continue
    raise LogUnavailable("what the work is made from changes faster than the work is done")
