"""Items, participants and problems, and an item as one line of JSON."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum

ADDRESS_BYTES = 256
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class ItemType(StrEnum):
    """The kind of an item, named as Linewarden's resource types."""

    RECORDING = "recording"
    VOICEMAIL = "voicemail"
    CDR = "cdr"


class Role(StrEnum):
    """The part that an address took in a call."""

    CALLER = "caller"
    CALLEE = "callee"
    ANSWERED = "answered"
    TRANSFERRED_TO = "transferred_to"
    TRANSFERRED_FROM = "transferred_from"
    CONFERENCE = "conference"
    AGENT = "agent"
    MAILBOX_HOLDER = "mailbox_holder"
    FORWARDED_TO = "forwarded_to"
    LISTENER = "listener"


@dataclass(frozen=True, slots=True)
class Participant:
    """An address in a role. `start` and `end` are seconds since 1970, None where the record has no time."""

    address: str
    role: Role
    start: int | None = None
    end: int | None = None

    def fields(self) -> dict[str, str]:
        """Return the participant in the JSON form of the contract."""
        times = {"from": self.start, "until": self.end}
        stated = {name: moment(seconds) for name, seconds in times.items() if seconds is not None}
        return {"address": self.address, "role": self.role.value} | stated


@dataclass(frozen=True, slots=True)
class Item:
    """One recording, voicemail or call record.

    `created` is seconds since 1970, None where the time is unknown. `source` is the path relative to the tree, with
    the line number for a call record. It is for people, and is no key.
    """

    type: ItemType
    id: str
    call_id: str = ""
    queue: str = ""
    created: int | None = None
    duration_s: int | None = None
    participants: tuple[Participant, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    source: str = ""

    def line(self) -> str:
        """Return the item as one JSON object; fields without a value are left out."""
        fields = {
            "type": self.type.value,
            "id": self.id,
            "call_id": self.call_id,
            "queue": self.queue,
            "created_at": "" if self.created is None else moment(self.created),
            "duration_s": self.duration_s,
            "labels": dict(self.labels),
            "participants": [one.fields() for one in self.participants],
        }
        return json.dumps({name: value for name, value in fields.items() if value not in ("", None)})


@dataclass(frozen=True, slots=True)
class Problem:
    """A file or line that could not be read as expected. `text` never quotes the file."""

    source: str
    text: str


def moment(seconds: int) -> str:
    """Return seconds since 1970 as RFC 3339 in UTC."""
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def address(kind: str, value: str) -> str:
    """Return `KIND:VALUE`; empty where the value is empty, too long, or holds blanks or control characters."""
    text = f"{kind}:{value}"
    fits = value and value.isprintable() and " " not in value and len(text.encode("utf-8", "replace")) <= ADDRESS_BYTES
    return text if fits else ""


def merged(participants: list[Participant]) -> tuple[Participant, ...]:
    """Return the participants without empty addresses, each once, in their order."""
    return tuple(dict.fromkeys(one for one in participants if one.address))
