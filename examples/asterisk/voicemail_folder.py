"""Deletion of a message as app_voicemail does it: later messages move up by one number."""

import re
from pathlib import Path

_MESSAGE = re.compile(r"msg(\d{4})(\..+)")


def delete_message(folder: Path, number: int) -> None:
    """Delete msgNNNN and close the gap, so that the folder is numbered from 0 again.

    Raises:
        FileNotFoundError: the folder has no message of that number.
    """
    doomed = _files(folder).get(number)
    if not doomed:
        raise FileNotFoundError(f"no message {number}")
    for path in doomed:
        path.unlink()
    for new, (old, files) in enumerate(sorted(_files(folder).items())):
        for path in files if new != old else ():
            path.rename(path.with_name(f"msg{new:04d}{path.name[len('msg0000') :]}"))


def _files(folder: Path) -> dict[int, list[Path]]:
    files: dict[int, list[Path]] = {}
    for path in sorted(folder.iterdir()):
        if match := _MESSAGE.fullmatch(path.name):
            files.setdefault(int(match[1]), []).append(path)
    return files
