"""The offline verifier: it reports on a valid export, and refuses every other one."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewarden.audit.entryproof import EntryProof
from linewarden.audit.errors import VerificationFailed
from linewarden.audit.merkle import EMPTY_ROOT, Frontier, consistency_proof, inclusion_proof, leaf_hash
from linewarden.audit.note import Checkpoint, Signer, sign_checkpoint
from linewarden.audit.tiles import TileReader, tree_files
from linewarden.audit.verify import verify_entry, verify_export, verify_growth
from tests.deadlines import HANG_S

_SIGNER = Signer("linewarden.example/3f1c", bytes(range(32)))
_ORIGIN = _SIGNER.verifier.name
_KEY = str(_SIGNER.verifier)
_START_US = 1_790_000_000_000_000
_SIZE = 600


def _entry(number: int) -> bytes:
    kind = "decision" if number % 3 else "audit.read"
    return json.dumps({"kind": kind, "time": _START_US + number, "v": 1}, separators=(",", ":")).encode()


_ENTRIES = [_entry(number) for number in range(_SIZE)]


def _checkpoint(entries: Sequence[bytes]) -> Checkpoint:
    frontier = Frontier()
    for entry in entries:
        frontier.append(leaf_hash(entry))
    return Checkpoint(_ORIGIN, frontier.size, frontier.root())


def _signed(entries: Sequence[bytes]) -> str:
    return sign_checkpoint(_checkpoint(entries), _SIGNER)


def _write(directory: Path, entries: Sequence[bytes], checkpoint: str | None = None) -> Path:
    stated = _checkpoint(entries)
    for path, data in tree_files(entries, stated.size, stated.root):
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    directory.mkdir(exist_ok=True)
    (directory / "checkpoint").write_text(checkpoint or sign_checkpoint(stated, _SIGNER), newline="")
    return directory


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """Return a valid export of 600 entries, which a test may change."""
    return _write(tmp_path / "export", _ENTRIES)


@pytest.fixture(scope="module")
def kept_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a valid export of 600 entries, which no test changes."""
    return _write(tmp_path_factory.mktemp("kept") / "export", _ENTRIES)


@pytest.fixture(scope="module")
def small_export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a valid export of two entries, which no test changes."""
    return _write(tmp_path_factory.mktemp("small") / "export", _ENTRIES[:2])


def _fails(directory: Path, match: str) -> None:
    with pytest.raises(VerificationFailed, match=match):
        verify_export(directory, _KEY)


def test_report_of_a_sound_export(export: Path) -> None:
    """The report names the log, the entries by kind, and their time range, and the progress reaches the end."""
    heard: list[tuple[int, int]] = []
    report = verify_export(export, _KEY, progress=lambda done, total: heard.append((done, total)))
    assert (report.origin, report.size, report.root) == (_ORIGIN, _SIZE, _checkpoint(_ENTRIES).root)
    assert report.kinds == {"audit.read": 200, "decision": 400}
    assert (report.first_time_us, report.last_time_us) == (_START_US, _START_US + _SIZE - 1)
    assert heard == [(256, 600), (512, 600), (600, 600)]


@pytest.mark.slow
@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 512, 65_536, 65_537])
def test_exports_of_every_shape_hold(tmp_path: Path, size: int) -> None:
    """The verifier accepts exports with full and partial tiles of any number of levels."""
    report = verify_export(_write(tmp_path / "export", [_entry(number) for number in range(size)]), _KEY)
    assert report.size == size == sum(report.kinds.values())


def test_times_are_the_earliest_and_the_latest(tmp_path: Path) -> None:
    """The report shows the earliest and the latest time, even if a clock went back."""
    entries = [b'{"kind":"x","time":%d,"v":1}' % time for time in (5, 9, 3, 7)]
    report = verify_export(_write(tmp_path / "export", entries), _KEY)
    assert (report.first_time_us, report.last_time_us) == (3, 9)


def _paths(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


@pytest.mark.slow
@given(st.data())
@settings(max_examples=150, deadline=None)
def test_one_changed_byte_is_found(kept_export: Path, data: st.DataObject) -> None:
    """The verifier refuses an export with one changed byte in any file."""
    path = data.draw(st.sampled_from(_paths(kept_export)))
    sound = path.read_bytes()
    at, flip = data.draw(st.integers(0, len(sound) - 1)), data.draw(st.integers(1, 255))
    try:
        path.write_bytes(sound[:at] + bytes([sound[at] ^ flip]) + sound[at + 1 :])
        _fails(kept_export, "checkpoint|tile/")
    finally:
        path.write_bytes(sound)


def test_each_changed_byte_of_a_small_export_is_found(small_export: Path) -> None:
    """The verifier finds each changed byte of a small export."""
    for path in _paths(small_export):
        sound = path.read_bytes()
        for at, byte in enumerate(sound):
            path.write_bytes(sound[:at] + bytes([byte ^ 1]) + sound[at + 1 :])
            _fails(small_export, "checkpoint|tile/")
        path.write_bytes(sound)
    verify_export(small_export, _KEY)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_missing_and_surplus_bytes_are_found(kept_export: Path, data: st.DataObject) -> None:
    """The verifier refuses a file that is cut or extended at any length, except by whole signature lines."""
    path = data.draw(st.sampled_from(_paths(kept_export)))
    sound = path.read_bytes()
    cut = data.draw(st.integers(0, len(sound) - 1))
    try:
        for spoiled in (sound[:cut], sound + b"\n", sound + bytes(cut + 1)):
            path.write_bytes(spoiled)
            _fails(kept_export, "checkpoint|tile/")
    finally:
        path.write_bytes(sound)


def test_each_missing_file_is_named(kept_export: Path) -> None:
    """The verifier names each missing file."""
    for path in _paths(kept_export):
        sound = path.read_bytes()
        path.unlink()
        _fails(kept_export, f"^{path.relative_to(kept_export)} is missing$")
        path.write_bytes(sound)


@pytest.mark.parametrize(
    "path",
    [
        "README",
        "checkpoint.old",
        "tile/0/003",
        "tile/0/000.p/5",
        "tile/0/002.p/87",
        "tile/1/000",
        "tile/2/000.p/1",
        "tile/entries/003",
        "tile/x",
        "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o",
    ],
)
def test_surplus_file_is_named(export: Path, path: str) -> None:
    """The verifier names a file that no signature covers."""
    (export / path).parent.mkdir(parents=True, exist_ok=True)
    (export / path).write_bytes(b"")
    _fails(export, "does not belong to a log of 600 entries|lies deeper than any file of a log")


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.symlink_to(path.parent.parent / "elsewhere"),
        lambda path: path.symlink_to("/dev/zero"),
        lambda path: path.symlink_to(path),
        os.mkfifo,
        lambda path: path.mkdir(),
    ],
    ids=["link", "link to a device", "link to itself", "pipe", "directory"],
)
@pytest.mark.parametrize("name", ["checkpoint", "tile/entries/000", "tile/0/001"])
def test_only_plain_files_are_read(export: Path, name: str, make: Callable[[Path], Any]) -> None:
    """The verifier refuses links, pipes and directories in the place of a file, and never hangs."""
    (export / name).rename(export.parent / "elsewhere")
    make(export / name)
    _fails(export, f"'?{name}'? (is|cannot)")


def test_linked_folder_is_refused(export: Path) -> None:
    """The verifier refuses a linked folder."""
    (export / "tile/0").rename(export.parent / "elsewhere")
    (export / "tile/0").symlink_to(export.parent / "elsewhere")
    _fails(export, "'tile/0' is neither a file nor a directory")


@pytest.mark.parametrize("name", ["checkpoint", "tile/entries/000", "tile/0/000", "tile/0/002.p/88", "tile/1/000.p/2"])
def test_giant_file_is_not_read(export: Path, name: str) -> None:
    """The verifier refuses a file of a terabyte for its size, without reading it."""
    os.truncate(export / name, 2**40)
    _fails(export, f"{name} has {2**40} bytes where at most")


@pytest.mark.parametrize("size", [601, 2**40, 2**62, 2**63 - 1])
def test_size_beyond_the_files_fails_at_once(tmp_path: Path, size: int) -> None:
    """The verifier refuses a checkpoint with more entries than the files hold, at any size."""
    note = sign_checkpoint(Checkpoint(_ORIGIN, size, bytes(32)), _SIGNER)
    _fails(_write(tmp_path / "export", _ENTRIES, note), "does not belong to a log of")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty/checkpoint").write_text(note)
    _fails(tmp_path / "empty", "^tile/entries/000 is missing$")


def test_missing_directory_fails(tmp_path: Path) -> None:
    """The verifier refuses a directory that does not exist."""
    _fails(tmp_path / "nowhere", "checkpoint is missing")


@pytest.mark.parametrize(
    ("checkpoint", "match"),
    [
        (sign_checkpoint(_checkpoint(_ENTRIES[:-1]), _SIGNER), "does not belong to a log of 599"),
        (sign_checkpoint(Checkpoint(_ORIGIN, 600, EMPTY_ROOT), _SIGNER), "root is not that of the 600 entries"),
        (
            sign_checkpoint(Checkpoint("other.example", 600, EMPTY_ROOT), Signer("other.example", bytes(range(32)))),
            "not signed by",
        ),
        (sign_checkpoint(Checkpoint(_ORIGIN, 600, EMPTY_ROOT), Signer(_ORIGIN, bytes(32))), "not signed by"),
        ("\n", "has no signatures"),
    ],
    ids=["another size", "another root", "another origin", "another key", "no note"],
)
def test_checkpoint_of_something_else_fails(tmp_path: Path, checkpoint: str, match: str) -> None:
    """The verifier refuses a checkpoint of another log or key."""
    _fails(_write(tmp_path / "export", _ENTRIES, checkpoint), match)


def test_checkpoint_that_is_no_text_fails(export: Path) -> None:
    """The verifier refuses a checkpoint that is not UTF-8."""
    (export / "checkpoint").write_bytes(b"\xff\xfe")
    _fails(export, "checkpoint: it is not UTF-8")


def test_rewritten_entry_is_named(export: Path) -> None:
    """The verifier names an entry that was changed without its tile."""
    path = export / "tile/entries/001"
    path.write_bytes(path.read_bytes().replace(_ENTRIES[300], _ENTRIES[300].replace(b"audit.read", b"audit.fake")))
    _fails(export, "^tile/0/001: hash 44 is not that of entry 300$")


def test_rewritten_tile_is_named(export: Path) -> None:
    """The verifier names the root that does not fit if the tile was changed, too."""
    spoiled = [*_ENTRIES[:300], _ENTRIES[300].replace(b"audit.read", b"audit.fake"), *_ENTRIES[301:]]
    stated = _checkpoint(spoiled)
    files = dict(tree_files(spoiled, stated.size, stated.root))
    for name in ("tile/entries/001", "tile/0/001"):
        (export / name).write_bytes(files[name])
    _fails(export, "^tile/1/000.p/2: hash 1 is not the root of tile/0/001$")
    (export / "tile/1/000.p/2").write_bytes(files["tile/1/000.p/2"])
    _fails(export, "^checkpoint: the root is not that of the 600 entries in the export$")


_KINDS = [b'{"kind":"k%d","time":1,"v":1}' % number for number in range(1_001)]


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{}",
        b'{"kind":"x","time":1,"v":1} ',
        b' {"kind":"x","time":1,"v":1}',
        b'\xef\xbb\xbf{"kind":"x","time":1,"v":1}',
        b'{"kind":"x","time":1,"v":1}{}',
        b'{"kind":"x","time":1}',
        b'{"kind":"x","v":1}',
        b'{"time":1,"v":1}',
        b'{"kind":"x","v":1,"time":1}',
        b'{"kind":"x","kind":"x","time":1,"v":1}',
        b'{"a":{"c":1,"b":1},"kind":"x","time":1,"v":1}',
        b'{"a":[{"b":1,"b":1}],"kind":"x","time":1,"v":1}',
        b'{"kind":"x","time":1.5,"v":1}',
        b'{"kind":"x","time":true,"v":1}',
        b'{"kind":"x","time":-1,"v":1}',
        b'{"kind":"x","time":1e3,"v":1}',
        b'{"kind":"x","time":99999999999999999999,"v":1}',
        b'{"kind":"x","time":' + b"9" * 5_000 + b',"v":1}',
        b'{"kind":"x","time":NaN,"v":1}',
        b'{"a":Infinity,"kind":"x","time":1,"v":1}',
        b'{"kind":"x","time":1,"v":0}',
        b'{"kind":"x","time":1,"v":"1"}',
        b'{"kind":"","time":1,"v":1}',
        b'{"kind":"a..b","time":1,"v":1}',
        b'{"kind":"\\u001b[2J","time":1,"v":1}',
        b'{"kind":["x"],"time":1,"v":1}',
        b'{"kind":"' + b"x" * 101 + b'","time":1,"v":1}',
        b'{"a":"\xff","kind":"x","time":1,"v":1}',
        b'{"a":"\n","kind":"x","time":1,"v":1}',
        b'{"a":' + b"[" * 60_000 + b"]" * 4_000 + b',"kind":"x","time":1,"v":1}',
    ],
    ids=lambda entry: entry[:40].decode(errors="replace"),
)
def test_entry_of_another_shape_is_named(tmp_path: Path, entry: bytes) -> None:
    """The verifier refuses a signed log whose entries have another shape, and names the entry."""
    _fails(_write(tmp_path / "export", [*_ENTRIES[:300], entry]), r"^tile/entries/001\.p/45: entry 300 (is|has) ")


def test_kinds_are_bounded(tmp_path: Path) -> None:
    """The verifier refuses more than a thousand kinds, because a log of new kinds would fill its memory."""
    verify_export(_write(tmp_path / "most", _KINDS[:1_000]), _KEY)
    _fails(_write(tmp_path / "more", _KINDS), "entry 1000 has a kind beyond")


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 512, 513, 599, 600])
def test_older_checkpoint_is_a_prefix(export: Path, size: int) -> None:
    """The verifier accepts an older checkpoint that is a prefix of the log, at any size, and no other."""
    assert verify_export(export, _KEY, old_checkpoint=_signed(_ENTRIES[:size])).size == _SIZE
    other = sign_checkpoint(Checkpoint(_ORIGIN, size, leaf_hash(b"")), _SIGNER)
    with pytest.raises(VerificationFailed, match="older checkpoint"):
        verify_export(export, _KEY, old_checkpoint=other)


def test_older_checkpoint_must_be_of_this_log(export: Path, tmp_path: Path) -> None:
    """The verifier refuses a checkpoint of another or a longer log, and a text that is not a checkpoint."""
    old = _write(tmp_path / "old", _ENTRIES[:300])
    verify_export(export, _KEY, old_checkpoint=(old / "checkpoint").read_text())
    with pytest.raises(VerificationFailed, match="the older checkpoint has 600 entries, the export only 300"):
        verify_export(old, _KEY, old_checkpoint=(export / "checkpoint").read_text())
    other = sign_checkpoint(Checkpoint("other.example", 0, EMPTY_ROOT), Signer("other.example", bytes(range(32))))
    with pytest.raises(VerificationFailed, match="of an origin that this log never had"):
        verify_export(export, _KEY, old_checkpoint=other)
    for note in ("", "\ud800"):
        with pytest.raises(VerificationFailed, match=r"^the older checkpoint: the note"):
            verify_export(export, _KEY, old_checkpoint=note)


def test_invalid_key_fails(export: Path) -> None:
    """The verifier refuses a mistyped key."""
    with pytest.raises(VerificationFailed, match="key"):
        verify_export(export, _KEY.replace("+", "-"))


def _proof(export: Path, index: int) -> str:
    reader = TileReader(lambda path: (export / path).read_bytes(), _SIZE)
    path = tuple(inclusion_proof(reader, index, _SIZE))
    return str(EntryProof(index, path, (export / "checkpoint").read_text()))


@pytest.mark.parametrize("index", [0, 255, 256, 511, 512, 599])
def test_single_entry_is_proven(kept_export: Path, index: int) -> None:
    """A third party verifies a single entry with the key alone."""
    proven = verify_entry(_ENTRIES[index], _proof(kept_export, index), _KEY)
    assert (proven.index, proven.checkpoint) == (index, _checkpoint(_ENTRIES))


def test_proof_of_another_entry_fails(kept_export: Path) -> None:
    """A proof fails for another entry, another index, and another log's key."""
    proof = _proof(kept_export, 300)
    for text, entry, key in (
        (proof, _ENTRIES[301], _KEY),
        (proof, _ENTRIES[300] + b" ", _KEY),
        (proof.replace("index 300", "index 301"), _ENTRIES[300], _KEY),
        (proof.replace("index 300", "index 600"), _ENTRIES[300], _KEY),
        (proof, _ENTRIES[300], str(Signer("other.example", bytes(32)).verifier)),
    ):
        with pytest.raises(VerificationFailed):
            verify_entry(entry, text, key)


@given(st.data())
@settings(deadline=None)
def test_no_character_of_a_proof_can_be_changed(kept_export: Path, data: st.DataObject) -> None:
    """A change of any character of a proof makes it fail."""
    proof = _proof(kept_export, 300)
    at, char = data.draw(st.integers(0, len(proof) - 1)), data.draw(st.characters())
    changed = proof[:at] + char + proof[at + 1 :]
    if changed != proof:
        with pytest.raises(VerificationFailed):
            verify_entry(_ENTRIES[300], changed, _KEY)


def test_growth_is_proven_between_checkpoints(kept_export: Path) -> None:
    """Two checkpoints and a consistency proof show that no entry was removed between them."""
    reader = TileReader(lambda path: (kept_export / path).read_bytes(), _SIZE)
    new, empty = _signed(_ENTRIES), _signed([])
    for size in (1, 256, 300, 600):
        old, proof = _signed(_ENTRIES[:size]), consistency_proof(reader, size, _SIZE)
        verify_growth(old, new, proof, _KEY)
        with pytest.raises(VerificationFailed):
            verify_growth(sign_checkpoint(Checkpoint(_ORIGIN, size, EMPTY_ROOT), _SIGNER), new, proof, _KEY)
    verify_growth(empty, new, [], _KEY)
    verify_growth(empty, empty, [], _KEY)


@pytest.mark.parametrize(
    ("old", "new", "proof"),
    [
        ((2, EMPTY_ROOT), (1, EMPTY_ROOT), []),
        ((1, EMPTY_ROOT), (0, EMPTY_ROOT), []),
        ((0, bytes(32)), (1, EMPTY_ROOT), []),
        ((0, EMPTY_ROOT), (0, bytes(32)), []),
        ((0, EMPTY_ROOT), (1, EMPTY_ROOT), [EMPTY_ROOT]),
    ],
)
def test_no_growth_without_proof(old: tuple[int, bytes], new: tuple[int, bytes], proof: list[bytes]) -> None:
    """The verifier refuses a shrunken log, an empty log with another root, and a non-empty proof from an empty log."""
    notes = [sign_checkpoint(Checkpoint(_ORIGIN, *stated), _SIGNER) for stated in (old, new)]
    with pytest.raises(VerificationFailed):
        verify_growth(notes[0], notes[1], proof, _KEY)


def test_no_growth_between_different_logs() -> None:
    """The verifier refuses checkpoints of another log than that of the key."""
    own, signer = _signed([]), Signer("other.example", bytes(range(32)))
    other = sign_checkpoint(Checkpoint("other.example", 0, EMPTY_ROOT), signer)
    for notes in ((own, other), (other, own)):
        with pytest.raises(VerificationFailed, match="not signed by"):
            verify_growth(*notes, [], _KEY)


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    """The verifier reads bundle by bundle: 8 MiB of entries need a fraction of that memory."""
    code = (
        "import sys, tracemalloc; from pathlib import Path\n"
        "from linewarden.audit.verify import verify_export\n"
        "tracemalloc.start()\n"
        "verify_export(Path(sys.argv[1]), sys.argv[2])\n"
        "print(tracemalloc.get_traced_memory()[1])"
    )
    entries = [b'{"a":"%s","kind":"x","time":%d,"v":1}' % (b"a" * 1_000, number) for number in range(8_192)]
    export = _write(tmp_path / "export", entries)
    run = [sys.executable, "-c", code, str(export), _KEY]
    done = subprocess.run(run, capture_output=True, text=True, check=True, timeout=HANG_S)
    assert int(done.stdout) < 3 * 2**20


def _modules_after_import() -> Iterator[str]:
    code = "import sys, linewarden.audit.verify; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=HANG_S)
    yield from done.stdout.split()


def test_verifier_imports_nothing_that_writes() -> None:
    """The verifier imports six files of ours, and no database, server or policy engine."""
    allowed = {"canonical_text", "errors", "merkle", "note", "entryproof", "tiles"}
    ours: set[str] = set()
    for module in _modules_after_import():
        assert module.split(".")[0] not in {"sqlalchemy", "sqlite3", "grpc", "google", "casbin", "scapy", "orjson"}
        if module.startswith("linewarden.audit.") and not module.startswith("linewarden.audit.verify"):
            ours.add(module.removeprefix("linewarden.audit."))
    assert ours == allowed
