"""The required form of the entries of a log, and the counts of a report."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

from linewarden.audit.canonical_text import from_base64_hash
from linewarden.audit.errors import VerificationFailed

# A log with more kinds than this is made to exhaust the memory of the verifier.
_MAX_KINDS = 1_000
_KIND = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")
_MAX_KIND_LENGTH = 100
_RECOVERED = "log.recovered"


@dataclass(frozen=True, slots=True)
class Report:
    """The content of a verified export. Times are the earliest and the latest of an entry, microseconds since 1970."""

    origin: str
    size: int
    root: bytes
    kinds: Mapping[str, int]
    first_time_us: int | None
    last_time_us: int | None
    recoveries: tuple["Recovery", ...] = ()


@dataclass(frozen=True, slots=True)
class Recovery:
    """The recovery of the log to an older state by its operator, as the entry at `index` states it.

    `size` and `root` are of the accepted state. `lost` is how many more entries the last checkpoint before it had.
    """

    index: int
    time_us: int
    origin: str
    former_origin: str
    size: int
    root: bytes
    lost: int
    account: str
    reason: str


class Tally:
    """The counts of the entries verified so far."""

    def __init__(self) -> None:
        self.recoveries: list[Recovery] = []
        self._entries = 0
        self._kinds: dict[str, int] = {}
        self._first: int | None = None
        self._last: int | None = None

    def add(self, data: bytes) -> None:
        """Check and count one entry.

        Raises:
            VerificationFailed: the entry is not a JSON object with sorted keys and a version, a kind and a time.
        """
        entry = _parse(data)
        version, kind, time = entry.get("v"), entry.get("kind"), entry.get("time")
        if type(version) is not int or version < 1:
            raise VerificationFailed("has no version `v`")
        if type(time) is not int or not 0 <= time < 1 << 63:
            raise VerificationFailed("has no `time` in microseconds")
        if type(kind) is not str:
            raise VerificationFailed("has no `kind`")
        if kind not in self._kinds:
            self._admit(kind)
        if kind == _RECOVERED:
            self.recoveries.append(_recovery(self._entries, time, entry))
        self._entries += 1
        self._kinds[kind] += 1
        if self._first is None or time < self._first:
            self._first = time
        if self._last is None or time > self._last:
            self._last = time

    def report(self, origin: str, size: int, root: bytes) -> Report:
        """Return the counts together with the values of the checkpoint."""
        kinds = dict(sorted(self._kinds.items()))
        return Report(origin, size, root, kinds, self._first, self._last, tuple(self.recoveries))

    def _admit(self, kind: str) -> None:
        if len(kind) > _MAX_KIND_LENGTH or not _KIND.fullmatch(kind):
            raise VerificationFailed("has a `kind` that is not of the form noun.participle")
        if len(self._kinds) == _MAX_KINDS:
            raise VerificationFailed(f"has a kind beyond the {_MAX_KINDS} before it")
        self._kinds[kind] = 0


def _recovery(index: int, time_us: int, entry: Mapping[str, Any]) -> Recovery:
    try:
        size, anchor = entry["size"], entry.get("anchor", {"size": 0})
        texts = [entry[name] for name in ("origin", "former_origin", "account", "reason")]
        root = from_base64_hash(entry["root"], "the root of a recovery")
        if size != index or type(anchor["size"]) is not int or not all(type(text) is str for text in texts):
            raise VerificationFailed("does not state the recovery that it is")
    except (KeyError, TypeError):
        raise VerificationFailed("does not state the recovery that it is") from None
    origin, former, account, reason = texts
    lost = max(0, anchor["size"] - size)
    return Recovery(index, time_us, origin, former, size, root, lost, account, reason)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Strictly ascending, because different readers interpret a repeated key differently.
    last: str | None = None
    for key, _value in pairs:
        if last is not None and key <= last:
            raise VerificationFailed("has keys that are not sorted")
        last = key
    return dict(pairs)


def _no_number(_text: str) -> NoReturn:
    raise VerificationFailed("has a number that JSON does not know")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_number)


def _parse(data: bytes) -> dict[str, Any]:
    try:
        text = data.decode()
        value, end = _DECODER.raw_decode(text)
    except (ValueError, RecursionError):
        raise VerificationFailed("is not JSON") from None
    if end != len(text) or not isinstance(value, dict):
        raise VerificationFailed("is not one JSON object")
    return value
