"""Voicemail messages of a spool: `<context>/<mailbox>/<folder>/msgNNNN.txt` with audio of the same name beside it.

The number in the name is a place in the folder, not a name: deleting msg0001 makes msg0002 the new msg0001. The key
is `msg_id`, which Asterisk 11 and newer writes as `<seconds>-<counter>`. Older messages get a digest of what stays
the same when they are moved. The layout and the keys are those of app_voicemail.c, `leave_voicemail`.

Greetings (unavail, busy, greet, temp) are no messages, and `tmp` holds messages still being spoken; both are left out.
A message whose description is broken stays an item: it can still be heard, so it must still be asked about.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from asterisk_config import Directory
from spool_files import read_head, shown, walk
from spool_item import (
    LABEL_BYTES,
    Item,
    ItemType,
    Problem,
    UniqueIds,
    microseconds,
    phone_numbers,
    plain,
    stable_id,
    text_of,
)

_TEXT_BYTES = 64 << 10
_AUDIO_HEAD = 64 << 10
_MESSAGE = re.compile(r"(msg\d{4,})\.(\w{1,8})")
_NUMBER = re.compile(r"<([^<>]*)>\s*$")
_STEADY = ("origtime", "callerchan", "callerid")


@dataclass(slots=True)
class _Files:
    text: Path | None = None
    audio: Path | None = None


def read_voicemail(root: Path, spool: Path, directory: Directory) -> Iterator[Item | Problem]:
    """Yield each message below `spool`, in the order of the paths. `root` is what sources are relative to."""
    unique = UniqueIds()
    for found in _messages(root, spool):
        if isinstance(found, Problem):
            yield found
        else:
            yield from _read(root, spool, found, directory, unique)


def _messages(root: Path, spool: Path) -> Iterator[_Files | Problem]:
    messages: dict[Path, _Files] = {}
    for found in walk(root, spool):
        if isinstance(found, Problem):
            yield found
        elif (name := _MESSAGE.fullmatch(found.name)) and _is_message_folder(found.parent.relative_to(spool)):
            files = messages.setdefault(found.parent / name[1], _Files())
            if name[2] == "txt":
                files.text = found
            else:
                files.audio = files.audio or found
    yield from messages.values()


def _is_message_folder(folder: Path) -> bool:
    return len(folder.parts) == 3 and folder.name != "tmp"


def _read(root: Path, spool: Path, files: _Files, directory: Directory, unique: UniqueIds) -> Iterator[Item | Problem]:
    path = files.text or files.audio
    assert path is not None  # a message is made of the files found
    source = shown(path, root)
    fields = _description(files.text)
    problem = _fault(files, fields)
    if problem:
        yield Problem(source, problem)
    context, mailbox, folder = path.parent.relative_to(spool).parts
    key = fields.get("msg_id") or _digest(fields, files.audio)
    name, new = unique.take(stable_id(f"{context}/{mailbox}/{key}"))
    if not new:
        yield Problem(source, "another message of this mailbox has the same msg_id")
    yield Item(
        type=ItemType.VOICEMAIL,
        id=name,
        owner=directory.owner_of_mailbox(context, mailbox),
        parties=_caller(fields.get("callerid", "")),
        created_us=_time(fields.get("origtime", "")),
        labels=_labels(context, folder, fields),
        source=source,
    )


def _description(path: Path | None) -> Mapping[str, str]:
    """Return the `key=value` lines; empty when there is no description or it cannot be read."""
    try:
        data = read_head(path, _TEXT_BYTES) if path else b""
    except OSError:
        return {}
    if b"\0" in data:
        return {}
    # Not Asterisk's own reader: a semicolon in `callerchan=Local/1001@default-0000;1` is no comment.
    pairs = (text_of(line).split("=", 1) for line in data.splitlines() if b"=" in line and not line.startswith(b";"))
    return {pair[0].strip(): pair[1].strip() for pair in pairs}


def _fault(files: _Files, fields: Mapping[str, str]) -> str:
    if files.text is None:
        return "message without a description"
    if files.audio is None:
        return "message without audio"
    if not fields:
        return "description cannot be read"
    return "" if _time(fields.get("origtime", "")) is not None else "origtime cannot be read"


def _digest(fields: Mapping[str, str], audio: Path | None) -> str:
    steady = "\n".join(fields.get(key, "") for key in _STEADY).encode()
    try:
        head = read_head(audio, _AUDIO_HEAD) if audio else b""
    except OSError:
        head = b""
    return "digest-" + hashlib.sha256(hashlib.sha256(steady).digest() + head).hexdigest()[:32]


def _caller(callerid: str) -> tuple[str, ...]:
    number = _NUMBER.search(callerid)
    return phone_numbers(number[1] if number else callerid)


def _time(origtime: str) -> int | None:
    digits = origtime.isascii() and origtime.isdigit() and len(origtime) < 16
    return microseconds(int(origtime)) if digits else None


def _labels(context: str, folder: str, fields: Mapping[str, str]) -> dict[str, str]:
    labels = {"context": plain(context, LABEL_BYTES), "folder": plain(folder, LABEL_BYTES)}
    return labels | ({"urgent": "yes"} if fields.get("flag") == "Urgent" else {})
