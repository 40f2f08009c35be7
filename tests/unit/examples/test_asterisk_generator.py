"""The generator makes the same company each time, in the shapes Asterisk makes."""

import csv
import io
import struct
import wave
from datetime import UTC, datetime
from pathlib import Path

import pytest
import spool_generator
from voicemail_folder import delete_message


def _contents(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_same_seed_same_bytes(tmp_path: Path) -> None:
    """The same seed and moment give the same files with the same bytes."""
    for name in ("one", "two"):
        spool_generator.generate(tmp_path / name, seed=7)
    assert _contents(tmp_path / "one") == _contents(tmp_path / "two")


def test_other_seed_other_bytes() -> None:
    """Another seed gives another company history."""
    assert spool_generator.tree(7) != spool_generator.tree(8)


@pytest.mark.parametrize("seed", range(5))
def test_any_seed_renumbers(tmp_path: Path, seed: int) -> None:
    """With any seed, a mailbox has lost a message and is numbered without a gap."""
    spool_generator.generate(tmp_path, seed=seed)
    inbox = tmp_path / "voicemail/default/1002/INBOX"
    texts = sorted(path.name for path in inbox.glob("*.txt"))
    assert len(texts) >= 10
    assert texts == [f"msg{number:04d}.txt" for number in range(len(texts))]
    assert (
        sum(name.startswith("voicemail/default/1002/INBOX/msg") for name in spool_generator.tree(seed))
        == 2 * len(texts) + 2
    )


def test_calls_end_at_now() -> None:
    """No call begins after the given moment, and the last one lies within the hour before it."""
    now = datetime(2030, 1, 1, tzinfo=UTC)
    lines = csv.reader(io.StringIO(spool_generator.tree(7, now)["cdr-csv/Master.csv"].decode("latin-1")))
    starts = [datetime.strptime(line[9], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC) for line in lines]
    assert 0 < (now - max(starts)).total_seconds() < 3600


def test_every_width() -> None:
    """Master.csv has lines of each width from 16 to 21 columns."""
    lines = csv.reader(io.StringIO(spool_generator.tree(7)["cdr-csv/Master.csv"].decode("latin-1")))
    assert {len(line) for line in lines} == {16, 17, 18, 19, 20, 21}


def test_unset_time_is_bare() -> None:
    """A missed call has an empty column instead of an empty pair of quotes."""
    assert b'",,"' in spool_generator.tree(7)["cdr-csv/Master.csv"]


def test_audio_is_pcm() -> None:
    """Recordings and messages are RIFF PCM of one channel, 8 kHz, 16 bit."""
    audio = [data for name, data in spool_generator.tree(7).items() if name.endswith(".wav")]
    for data in audio:
        with wave.open(io.BytesIO(data)) as file:
            assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (1, 8000, 2)
    assert len(audio) > 60


def test_fax_is_class_f() -> None:
    """A fax page has the tags of TIFF-F, in order, and a strip that ends with the file."""
    data = next(data for name, data in spool_generator.tree(7).items() if name.endswith(".tif"))
    count = struct.unpack_from("<H", data, 8)[0]
    tags = [struct.unpack_from("<HHII", data, 10 + 12 * i) for i in range(count)]
    values = {tag: value for tag, _, _, value in tags}
    assert data[:4] == b"II*\0"
    assert [tag for tag, *_ in tags] == sorted(values)
    assert (values[256], values[259], values[266]) == (1728, 3, 2)
    assert values[273] + values[279] == len(data)
    assert struct.unpack_from("<IIII", data, values[282]) == (204, 1, 196, 1)


def test_deleting_renumbers(tmp_path: Path) -> None:
    """The messages behind a deleted one move up with text and audio, and those before it stay."""
    for number in (0, 1, 2, 4):
        for suffix in ("txt", "wav"):
            (tmp_path / f"msg{number:04d}.{suffix}").write_text(f"{number} {suffix}")
    delete_message(tmp_path, 1)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {
        "msg0000.txt": "0 txt", "msg0000.wav": "0 wav", "msg0001.txt": "2 txt", "msg0001.wav": "2 wav",
        "msg0002.txt": "4 txt", "msg0002.wav": "4 wav",
    }  # fmt: skip


def test_deleting_nothing(tmp_path: Path) -> None:
    """Deleting a message that is not there is an error and changes nothing."""
    (tmp_path / "msg0000.txt").write_text("")
    with pytest.raises(FileNotFoundError):
        delete_message(tmp_path, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["msg0000.txt"]


def test_command(tmp_path: Path) -> None:
    """The command writes the requested tree."""
    assert spool_generator.main([str(tmp_path), "--seed", "9", "--now", "2026-01-01"]) == 0
    assert (tmp_path / "cdr-csv" / "Master.csv").is_file()
