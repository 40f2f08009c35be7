"""The callers of this process's RPCs: authenticated, counted when refused, renewed when keys change."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from linewarden.audit.blocking import READ_TIMEOUT_S
from linewarden.audit.entry import CREDENTIALS_REFUSED, encode
from linewarden.audit.errors import LogUnavailable
from linewarden.audit.model import SYSTEM_LOG, Guard, Unit
from linewarden.server.credentials import ApiKey, KeySet
from linewarden.server.errors import CredentialsInvalid, KeysNotOurs

#: A token no key fits may be newer than the keys in memory. It waits for the keys as they are after it came; they are
#: read at most this often for such tokens, seconds, however many come.
RELOAD_INTERVAL_S = 0.2


class Appender(Protocol):
    """What callers need of the writer."""

    def append(self, unit: Unit) -> "asyncio.Future[int]":
        """Append a unit."""


_NONE = KeySet(-1, ())


class Identity(NamedTuple):
    """An authenticated caller: its key, the guard for what it causes, and the token that it came with."""

    key: ApiKey
    guard: Guard
    token: str | None


class Callers:
    """Authenticates tokens against the keys in memory.

    Where what is stored turns out not to be what the service wrote, nobody is authenticated until it is again.
    """

    def __init__(self, load: Callable[[], KeySet], now_us: Callable[[], int]) -> None:
        self._load = load
        self._now_us = now_us
        self._keys = _NONE
        self._ours = True
        self._loaded_at = float("-inf")
        self._loading: asyncio.Task[None] | None = None
        self._refused: Counter[str] = Counter()

    def authenticate(self, token: str | None) -> Identity:
        """Return the caller whose token this is.

        Raises:
            CredentialsInvalid: there is none, or it is wrong, revoked or expired.
        """
        key = self._keys.authenticate(token, self._now_us())
        return Identity(key, Guard(SYSTEM_LOG, self._keys.revision), token)

    def check_valid(self, key: ApiKey) -> None:
        """Make sure that a key that was authenticated before is still one.

        Raises:
            CredentialsInvalid: it was revoked, or is expired.
        """
        self._keys.check_valid(key, self._now_us())

    async def admit(self, token: str | None) -> Identity:
        """As `authenticate`, but looks for newer keys before it refuses.

        Raises:
            CredentialsInvalid: there is none, or it is wrong, revoked or expired.
            KeysNotOurs: the stored keys are not those that the service wrote.
            LogUnavailable: the keys cannot be read.
        """
        try:
            return self.authenticate(token)
        except CredentialsInvalid:
            if token:
                await self._within_patience(self._renew_later(time.monotonic()))
        try:
            return self.authenticate(token)
        except CredentialsInvalid:
            self._refused["wrong" if token else "missing"] += 1
            raise

    async def refresh(self) -> None:
        """Read the keys again.

        Raises:
            KeysNotOurs: the stored keys are not those that the service wrote.
            LogUnavailable: the keys cannot be read.
        """
        await self._within_patience(self._renew(time.monotonic()))

    async def record_refusals(self, writer: Appender) -> None:
        """Enter the refusals since the last call into the system log, as counts: a flood makes one entry.

        Raises:
            LogUnavailable: they could not be entered; the next call enters them.
        """
        refused, self._refused = self._refused, Counter()
        if not refused:
            return
        entry = encode(CREDENTIALS_REFUSED, self._now_us(), {"counts": refused})
        try:
            await writer.append(Unit(SYSTEM_LOG, (entry,)))
        except BaseException:  # a cancelled call may have been cut off before the record, too
            self._refused += refused
            raise

    async def _renew(self, asked_at: float) -> None:
        """Read the keys as they are at `asked_at` or later; all who ask at the same time share one read."""
        while self._loaded_at < asked_at:
            if self._loading is None:
                self._loading = asyncio.create_task(self._load_keys())
            await asyncio.shield(self._loading)
        if not self._ours:
            raise KeysNotOurs("the stored keys are not those that the service wrote")

    async def _renew_later(self, asked_at: float) -> None:
        """As `_renew`, at most every RELOAD_INTERVAL_S. Who knows that the keys have changed does not wait for that."""
        if self._loaded_at < asked_at:
            await asyncio.sleep(self._loaded_at + RELOAD_INTERVAL_S - time.monotonic())
        await self._renew(asked_at)

    async def _load_keys(self) -> None:
        loaded_at = time.monotonic()
        try:
            self._keys, self._ours = await asyncio.to_thread(self._load), True
        except KeysNotOurs:
            self._keys, self._ours = _NONE, False
        finally:
            self._loading = None
        self._loaded_at = loaded_at

    @staticmethod
    async def _within_patience(renewal: Awaitable[None]) -> None:
        # Counted with the wait for those who came before: they may all have waited in vain.
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                await renewal
        except TimeoutError as error:
            raise LogUnavailable("the keys could not be read in time") from error
