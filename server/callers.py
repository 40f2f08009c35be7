"""Authentication of callers by API keys in memory, which are read again when they change."""

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

#: An unknown token may belong to a key that is newer than those in memory. It waits for a read of the keys that begins
#: after its arrival. For such tokens the keys are read at most once in this time, seconds.
RELOAD_INTERVAL_S = 0.2


class Appender(Protocol):
    """The part of the writer that this module uses."""

    def append(self, unit: Unit) -> "asyncio.Future[int]":
        """Append a unit."""


_NONE = KeySet(-1, ())


class Identity(NamedTuple):
    """An authenticated caller: its key, the guard for its entries, and its token."""

    key: ApiKey
    guard: Guard
    token: str | None


class Callers:
    """Authenticates tokens against the keys in memory.

    While the stored keys are not those that the service wrote, every token is refused.
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
        """Return the caller with this token.

        Raises:
            CredentialsInvalid: the token is missing, wrong, revoked or expired.
        """
        key = self._keys.authenticate(token, self._now_us())
        return Identity(key, Guard(SYSTEM_LOG, self._keys.revision), token)

    def check_valid(self, key: ApiKey) -> None:
        """Make sure that a key that was authenticated before is still valid.

        Raises:
            CredentialsInvalid: it is revoked or expired.
        """
        self._keys.check_valid(key, self._now_us())

    async def admit(self, token: str | None) -> Identity:
        """Authenticate a token, and read newer keys before it is refused.

        Raises:
            CredentialsInvalid: the token is missing, wrong, revoked or expired.
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
        """Enter the refusals since the last call into the system log as counts, so that a flood makes one entry.

        Raises:
            LogUnavailable: they could not be entered; the next call enters them.
        """
        refused, self._refused = self._refused, Counter()
        if not refused:
            return
        entry = encode(CREDENTIALS_REFUSED, self._now_us(), {"counts": refused})
        try:
            await writer.append(Unit(SYSTEM_LOG, (entry,)))
        except BaseException:  # a cancelled call may have ended before the record too
            self._refused += refused
            raise

    async def _renew(self, not_before: float) -> None:
        """Read the keys at `not_before` or later. Concurrent calls share one read."""
        while self._loaded_at < not_before:
            if self._loading is None:
                self._loading = asyncio.create_task(self._load_keys())
            await asyncio.shield(self._loading)
        if not self._ours:
            raise KeysNotOurs("the stored keys are not those that the service wrote")

    async def _renew_later(self, not_before: float) -> None:
        """Read the keys like `_renew`, but at most every RELOAD_INTERVAL_S."""
        if self._loaded_at < not_before:
            await asyncio.sleep(self._loaded_at + RELOAD_INTERVAL_S - time.monotonic())
        await self._renew(not_before)

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
        # The time includes the wait for earlier calls.
        try:
            async with asyncio.timeout(READ_TIMEOUT_S):
                await renewal
        except TimeoutError as error:
            raise LogUnavailable("the keys could not be read in time") from error
