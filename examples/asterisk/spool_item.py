"""Values that a spool reader returns: an item to ask about, or a problem met on the way.

Ids, owners and labels come from untrusted files, so they pass through `stable_id` and `plain` before they become part
of an item. The limits are those of the contract (linewarden/v1/core.proto).
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

ID_BYTES = 496  # the contract's 512, less room for the counter of `UniqueIds`
OWNER_BYTES = 256
QUEUE_BYTES = 128
LABEL_BYTES = 128
PARTIES = 16
_END_OF_TIME_US = 253_402_300_800 * 1_000_000  # 10000-01-01, the first instant a Timestamp cannot hold
_CUT = 400


class ItemType(StrEnum):
    """The kind of an item, named as Linewarden's resource types."""

    RECORDING = "recording"
    VOICEMAIL = "voicemail"
    FAX = "fax"
    CDR = "cdr"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that can be asked about.

    `owner` is an e-mail address, or `ext:<n>` for an extension without a known user, or empty. `parties` are phone
    numbers. `created_us` is microseconds since 1970-01-01 UTC, None when the file does not say. `source` is the path
    relative to the tree, for a call record with the line number. It is for people, not a key.
    """

    type: ItemType
    id: str
    owner: str = ""
    queue: str = ""
    parties: tuple[str, ...] = ()
    created_us: int | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    source: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """A file or line that could not be read as expected. `text` never quotes the file."""

    source: str
    text: str


def text_of(data: bytes) -> str:
    """Return the bytes as text: UTF-8, else Latin-1, which older phones and gateways send and which never fails."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")


def plain(text: str, limit: int) -> str:
    """Return the text without control characters, trimmed, and cut to `limit` bytes of UTF-8."""
    kept = "".join(character for character in text if character.isprintable()).strip()
    return kept.encode("utf-8", "ignore")[:limit].decode("utf-8", "ignore").rstrip()


def stable_id(raw: str) -> str:
    """Return an id that fits the contract, different for different input.

    Bytes that are not UTF-8, characters that do not print, and the percent sign become `%XX`. A result longer than 496
    bytes keeps its beginning and gets a SHA-256 after `%~`, which no escaped text contains.
    """
    escaped = "".join(map(_escaped, raw))
    data = escaped.encode()
    if len(data) <= ID_BYTES:
        return escaped
    return data[:_CUT].decode("utf-8", "ignore") + "%~" + hashlib.sha256(data).hexdigest()


def _escaped(character: str) -> str:
    if character != "%" and character.isprintable():
        return character
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "surrogateescape"))


def microseconds(seconds: float) -> int | None:
    """Return seconds since 1970 as microseconds; None outside the years 1970 to 9999."""
    us = int(seconds) * 1_000_000
    return us if 0 <= us < _END_OF_TIME_US else None


def phone_numbers(*texts: str) -> tuple[str, ...]:
    """Return the phone numbers among the texts, each once, without blanks, dots, brackets and hyphens."""
    shrunk = (text.translate(_PUNCTUATION) for text in texts)
    numbers = (text for text in shrunk if text.isascii() and text.removeprefix("+").isdigit() and len(text) <= 64)
    return tuple(dict.fromkeys(numbers))[:PARTIES]


_PUNCTUATION = str.maketrans("", "", " .()-")


class UniqueIds:
    """Ids of one type, made unique within one reading. It holds every id it has seen."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def take(self, id: str) -> tuple[str, bool]:
        """Return the id, with `%#2`, `%#3` for repeated ones, and whether it is new."""
        count = self._seen[id] = self._seen.get(id, 0) + 1
        return (id, True) if count == 1 else (f"{id}%#{count}", False)
