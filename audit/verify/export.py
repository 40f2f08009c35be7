"""Verifying an exported directory: checkpoint, bundles and tiles, and no other file."""

from collections.abc import Callable, Sequence
from pathlib import Path

from linewarden.audit.errors import VerificationFailed
from linewarden.audit.merkle import HASH_BYTES, leaf_hash
from linewarden.audit.note import MAX_NOTE_LENGTH, Checkpoint, Verifier, open_checkpoint
from linewarden.audit.tiles import (
    MAX_BUNDLED_BYTES,
    TILE_WIDTH,
    TileStack,
    bundle_path,
    decode_bundle,
    is_path_of,
    tile_path,
    tile_width,
)
from linewarden.audit.verify.content import Recovery, Report, Tally
from linewarden.audit.verify.files import ExportFiles

_CHECKPOINT = "checkpoint"


def verify_export(
    directory: Path,
    verifier_key: str,
    *,
    old_checkpoint: str | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Report:
    """Verify that a directory is exactly the log that its signed checkpoint states.

    Every hash of every tile is computed again from the entries, so that any changed byte is found. `old_checkpoint`,
    from an older export for example, must be of a prefix of this log. It may be of an origin that the log had before a
    recovery. `progress` is called with the number of verified entries and of all entries. Memory: one bundle and one
    tile of each level.

    Raises:
        VerificationFailed: the directory is not that log. The text names the file and the entry.
    """
    files, verifier = ExportFiles(directory), Verifier.parse(verifier_key)
    checkpoint = _checkpoint(files, verifier)
    older = None if old_checkpoint is None else _older(old_checkpoint, verifier, checkpoint)
    for path in files.paths():
        if path != _CHECKPOINT and not is_path_of(path, checkpoint.size):
            raise VerificationFailed(f"{path!r} does not belong to a log of {checkpoint.size} entries")
    tally, stack, is_prefix = Tally(), TileStack(), True
    leaves: list[bytes] = []
    while stack.size + len(leaves) < checkpoint.size:
        leaves = _check_bundle(files, stack.size, checkpoint.size, tally)
        is_prefix &= _fits(stack, leaves, older)
        _check_recoveries(stack, leaves, tally.recoveries)
        if len(leaves) == TILE_WIDTH:
            for level, number, tile in stack.push(leaves):
                _check_tile(files, level, number, tile)
            leaves = []
        progress(stack.size + len(leaves), checkpoint.size)
    for level, number, tile in stack.partial(leaves):
        _check_tile(files, level, number, tile)
    if stack.root(leaves) != checkpoint.root:
        raise VerificationFailed(f"{_CHECKPOINT}: the root is not that of the {checkpoint.size} entries in the export")
    _check_origins(checkpoint, older, tally.recoveries)
    if older is not None and not is_prefix:
        raise VerificationFailed(f"the first {older.size} entries are not those of the older checkpoint")
    return tally.report(checkpoint.origin, checkpoint.size, checkpoint.root)


def _checkpoint(files: ExportFiles, verifier: Verifier) -> Checkpoint:
    data = files.read(_CHECKPOINT, MAX_NOTE_LENGTH)
    try:
        return open_checkpoint(data.decode(), verifier)
    except UnicodeDecodeError:
        raise VerificationFailed(f"{_CHECKPOINT}: it is not UTF-8") from None
    except VerificationFailed as error:
        raise VerificationFailed(f"{_CHECKPOINT}: {error}") from None


def _older(note: str, verifier: Verifier, newer: Checkpoint) -> Checkpoint:
    origin = note.partition("\n")[0]
    try:
        older = open_checkpoint(note, Verifier(origin, verifier.public_key))
    except VerificationFailed as error:
        raise VerificationFailed(f"the older checkpoint: {error}") from None
    if older.origin == newer.origin and older.size > newer.size:
        raise VerificationFailed(f"the older checkpoint has {older.size} entries, the export only {newer.size}")
    if older.size == newer.size and older.root != newer.root:
        raise VerificationFailed(f"the older checkpoint states another root for the same {older.size} entries")
    return older


def _fits(stack: TileStack, leaves: Sequence[bytes], older: Checkpoint | None) -> bool:
    """Return whether the older checkpoint, if it ends within these leaves, has the root of the entries before it."""
    if older is None or not 0 <= older.size - stack.size < len(leaves):
        return True
    return stack.root(leaves[: older.size - stack.size]) == older.root


def _check_recoveries(stack: TileStack, leaves: Sequence[bytes], recoveries: Sequence[Recovery]) -> None:
    for recovery in recoveries:
        start = recovery.size - stack.size
        if 0 <= start < len(leaves) and stack.root(leaves[:start]) != recovery.root:
            raise VerificationFailed(f"entry {recovery.index} states a root that is not of the entries before it")


def _check_origins(checkpoint: Checkpoint, older: Checkpoint | None, recoveries: Sequence[Recovery]) -> None:
    """Check that each recovery leads to the origin of the next, and that an older checkpoint fits among them."""
    origins = [*(one.former_origin for one in recoveries), checkpoint.origin]
    if origins[1:] != [one.origin for one in recoveries]:
        raise VerificationFailed("the recoveries in the log do not lead to the origin of its checkpoint")
    if older is None or older.origin == checkpoint.origin:
        return
    left = next((one for one in recoveries if one.former_origin == older.origin), None)
    if left is None:
        raise VerificationFailed("the older checkpoint is of an origin that this log never had")
    if older.size > left.size:
        lost = older.size - left.size
        raise VerificationFailed(
            f"the older checkpoint has {older.size} entries, but the log was recovered at {left.size}: {lost} are lost"
        )


def _check_bundle(files: ExportFiles, first: int, size: int, tally: Tally) -> list[bytes]:
    number = first // TILE_WIDTH
    width = tile_width(0, number, size)
    path = bundle_path(number, width)
    data = files.read(path, width * (2 + MAX_BUNDLED_BYTES))
    try:
        entries = decode_bundle(data, width)
    except VerificationFailed as error:
        raise VerificationFailed(f"{path}: {error}") from None
    for index, entry in enumerate(entries, first):
        try:
            tally.add(entry)
        except VerificationFailed as error:
            raise VerificationFailed(f"{path}: entry {index} {error}") from None
    return [leaf_hash(entry) for entry in entries]


def _check_tile(files: ExportFiles, level: int, number: int, expected: bytes) -> None:
    path = tile_path(level, number, len(expected) // HASH_BYTES)
    data = files.read(path, len(expected))
    if len(data) != len(expected):
        raise VerificationFailed(f"{path} has {len(data)} bytes where {len(expected)} belong")
    if data != expected:
        place = next(at for at, (one, other) in enumerate(zip(data, expected, strict=True)) if one != other)
        place //= HASH_BYTES
        below = number * TILE_WIDTH + place
        what = f"the root of {tile_path(level - 1, below)}" if level else f"that of entry {below}"
        raise VerificationFailed(f"{path}: hash {place} is not {what}")
