"""Recordings of a monitor tree: plain files, which only their names describe.

FreePBX writes `<kind>-<called>-<caller>-<YYYYMMDD>-<HHMMSS>-<uniqueid>.wav`. The unique id leads to the records of the
call, and these say who talked. A name alone states the called extension or the queue. It never states who called,
because FreePBX writes a caller id in that place where the caller has no extension.
"""

import re
from dataclasses import replace

from linewarden.connectors.asterisk.channels import telephone
from linewarden.connectors.model import Item, ItemType, Participant, Role, address, merged

AUDIO = {".wav", ".mp3", ".gsm", ".ogg", ".ulaw", ".alaw", ".sln", ".g722", ".wav49"}
_NAME = re.compile(r"([a-z0-9]+)-(.*)-([^-]*)-(\d{8}-\d{6})-((?:.+-)?\d{6,}\.\d+)", re.IGNORECASE)
_TO_EXTENSION = {"external", "internal", "exten"}
_NUMBER = re.compile(r"\d{2,6}")
_QUEUE = re.compile(r"[\w.-]{1,128}")


def recording(path: str, source: str, calls: dict[str, tuple[Item, ...]]) -> Item:
    """Return the item of a recording, by its path below the monitor folder.

    `calls` holds the records of each call by its unique ids. A recording of a known call has the call's participants.
    """
    name = _NAME.fullmatch(path.rsplit("/", 1)[-1].rsplit(".", 1)[0])
    item = Item(ItemType.RECORDING, path, source=source)
    if name is None:
        return item
    kind, called, _, _, uniqueid = name.groups()
    records = calls.get(uniqueid, ())
    queues = [one.queue for one in records if one.queue]
    item = replace(item, call_id=uniqueid, queue=_queue(kind.lower(), called) or next(iter(queues), ""))
    if not records:
        return replace(item, participants=merged(_by_name(kind.lower(), called)))
    people = merged([one for record in records for one in record.participants if _can_hear(one)])
    return replace(item, call_id=records[0].call_id, created=records[0].created, participants=people)


def _queue(kind: str, called: str) -> str:
    return called if kind == "q" and _QUEUE.fullmatch(called) else ""


def _by_name(kind: str, called: str) -> list[Participant]:
    if kind in _TO_EXTENSION and _NUMBER.fullmatch(called):
        return [Participant(address("ext", called), Role.CALLEE)]
    return [Participant(telephone(called), Role.CALLEE)] if kind == "out" else []


def _can_hear(participant: Participant) -> bool:
    """Return whether a participant of the call is one of its recording: a mailbox has a message of its own."""
    return participant.role is not Role.MAILBOX_HOLDER
