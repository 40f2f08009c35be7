"""Call recordings and faxes of a spool. They are plain files, so that only the name describes them.

FreePBX names a recording `<kind>-<called>-<caller>-<YYYYMMDD>-<HHMMSS>-<uniqueid>.wav` (`sub-record-check` of its
callrecording module) and a fax `<uniqueid>.tif`. The kinds: `external` and `internal` are calls to an extension,
`out` a call to the world, `in` a call by an inbound route, `q` a queue, `rg` a ring group, `conf` a conference.
The called number may hold hyphens, the caller's may not. Other names stay items without owner.

The unique id leads to the call's own record, which knows who answered in a queue and who got a fax.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from pathlib import Path

from asterisk_config import Directory
from spool_files import read_head, shown, walk
from spool_item import PARTIES, Item, ItemType, Problem, microseconds, phone_numbers, stable_id

_AUDIO = {".wav", ".mp3", ".gsm", ".ogg", ".ulaw", ".alaw", ".sln", ".g722", ".wav49"}
_TIFF = {".tif", ".tiff"}
_RECORDING = re.compile(r"([a-z]+)-(.*)-([^-]*)-(\d{8}-\d{6})-(.+)", re.IGNORECASE)
_FAX = re.compile(r"((?:.+-)?(\d{6,12})\.\d+)")
_MAGIC = {".wav": (b"RIFF",), ".tif": (b"II*\0", b"MM\0*"), ".tiff": (b"II*\0", b"MM\0*")}
_KINDS = {"external", "internal", "exten", "out", "in", "q", "rg", "conf", "force", "ondemand"}
_TO_EXTENSION = {"external", "internal", "exten"}


@dataclass(frozen=True, slots=True)
class Media:
    """A file as its name describes it, and the unique id of its call, empty if the name has none."""

    item: Item
    uniqueid: str


def read_recordings(root: Path, folder: Path, directory: Directory, tz: tzinfo) -> Iterator[Media | Problem]:
    """Yield each audio file below `folder`. `tz` is the zone of the dates in the names."""
    for path in _files(root, folder, _AUDIO):
        yield path if isinstance(path, Problem) else _recording(root, folder, path, directory, tz)


def read_faxes(root: Path, folder: Path) -> Iterator[Media | Problem]:
    """Yield each TIFF below `folder`."""
    for path in _files(root, folder, _TIFF):
        yield path if isinstance(path, Problem) else _fax(root, folder, path)


def with_call(media: Media, calls: Mapping[str, Item]) -> Item:
    """Complete the file's item from the record of its call. Facts in the name take precedence."""
    item, call = media.item, calls.get(media.uniqueid)
    if call is None:
        return item
    return replace(
        item,
        owner=item.owner or call.owner,
        queue=item.queue or call.queue,
        parties=tuple(dict.fromkeys(item.parties + call.parties))[:PARTIES],
        created_us=call.created_us if item.created_us is None else item.created_us,
    )


def _files(root: Path, folder: Path, suffixes: set[str]) -> Iterator[Path | Problem]:
    for found in walk(root, folder):
        if isinstance(found, Path):
            if found.suffix.lower() not in suffixes:
                continue
            if fault := _fault(found):
                yield Problem(shown(found, root), fault)
        yield found


def _fault(path: Path) -> str:
    magic = _MAGIC.get(path.suffix.lower())
    try:
        head = read_head(path, 4)
    except OSError:
        return "file cannot be read"
    return "content does not fit the name" if magic and head not in magic else ""


def _recording(root: Path, folder: Path, path: Path, directory: Directory, tz: tzinfo) -> Media:
    name = _RECORDING.fullmatch(path.stem)
    item = _item(ItemType.RECORDING, root, folder, path)
    if name is None:
        return Media(item, "")
    kind, called, caller, moment, uniqueid = name.groups()
    kind = kind.lower()
    owner = called if kind in _TO_EXTENSION else caller if kind == "out" else ""
    item = replace(
        item,
        owner=directory.owner_of_extension(owner) if owner else "",
        queue=directory.queue_of(called) if kind == "q" else "",
        parties=phone_numbers(called, caller),
        created_us=_time(moment, tz),
        labels={"kind": kind if kind in _KINDS else "other"},
    )
    return Media(item, uniqueid)


def _fax(root: Path, folder: Path, path: Path) -> Media:
    name = _FAX.fullmatch(path.stem)
    item = _item(ItemType.FAX, root, folder, path)
    return Media(replace(item, created_us=microseconds(int(name[2]))), name[1]) if name else Media(item, "")


def _item(type: ItemType, root: Path, folder: Path, path: Path) -> Item:
    return Item(type=type, id=stable_id(path.relative_to(folder).as_posix()), source=shown(path, root))


def _time(text: str, tz: tzinfo) -> int | None:
    try:
        return microseconds(datetime.strptime(text, "%Y%m%d-%H%M%S").replace(tzinfo=tz).timestamp())
    except (ValueError, OverflowError):
        return None
