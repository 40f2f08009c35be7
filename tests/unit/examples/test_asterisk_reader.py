"""Agreement of reader and generator: every item once, with its owner, queue, parties and time."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import cdr_writer
import company
import pytest
import spool_generator
import spool_reader
from cdr_writer import Call
from spool_item import Item, ItemType
from voicemail_folder import delete_message

_DEFAULT = "voicemail/default"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a generated tree that no test changes."""
    root = tmp_path_factory.mktemp("spool")
    spool_generator.generate(root, seed=7)
    return root


@pytest.fixture(scope="module")
def items(tree: Path) -> list[Item]:
    """Return the items of that tree, all of which could be read."""
    found, problems = spool_reader.split(spool_reader.read_tree(tree))
    assert problems == []
    return found


def _of(items: list[Item], type: ItemType) -> list[Item]:
    return [item for item in items if item.type is type]


def test_every_file_is_an_item(tree: Path, items: list[Item]) -> None:
    """Each message, recording, fax and line is one item, and a greeting makes no item."""
    assert Counter(item.type for item in items) == {
        ItemType.VOICEMAIL: len(list(tree.glob("voicemail/*/*/*/*.txt"))),
        ItemType.RECORDING: len(list(tree.glob("monitor/*/*/*/*.wav"))),
        ItemType.FAX: len(list(tree.glob("fax/*.tif"))),
        ItemType.CDR: (tree / "cdr-csv/Master.csv").read_bytes().count(b"\n"),
    }


def test_ids_are_unique_and_fit(items: list[Item]) -> None:
    """No two items of a type share an id, and each fits the contract."""
    assert len({(item.type, item.id) for item in items}) == len(items)
    assert all(item.id.isprintable() and 0 < len(item.id.encode()) <= 512 for item in items)


def test_owners_are_people(items: list[Item]) -> None:
    """Messages, recordings and faxes belong to people of voicemail.conf, or to the mailbox without an address."""
    people = {person.email or f"ext:{person.extension}" for person in company.PEOPLE}
    assert {item.owner for item in items if item.type is not ItemType.CDR} <= people
    assert all(item.owner == "priya@acme.example" for item in _of(items, ItemType.FAX))


def test_queues_have_names(items: list[Item]) -> None:
    """A queue's file has the dialled number in its name, and its item has the name of the queue."""
    recordings = [item for item in _of(items, ItemType.RECORDING) if item.labels["kind"] == "q"]
    assert {item.queue for item in recordings} == {name for name, _ in company.QUEUES.values()}


def test_queue_recording_belongs_to_who_answered(tmp_path: Path) -> None:
    """The owner of a queue's recording is the agent that answered, not one whose phone rang before."""
    start = 1_782_900_000
    rang = Call(start=start, end=start + 9, uniqueid=f"{start}.1", disposition="NO ANSWER", dstchannel="PJSIP/1002-1")
    spoke = replace(rang, answer=start + 9, disposition="ANSWERED", dstchannel="PJSIP/1003-1", sequence=1)
    calls = [replace(call, dst="600", lastapp="Queue", lastdata="sales,t") for call in (rang, spoke)]
    files = {f"etc/asterisk/{name}": text.encode() for name, text in company.configuration().items()}
    files["cdr-csv/Master.csv"] = cdr_writer.file(calls, [])
    files[f"monitor/q-600-15550142-20260701-100000-{start}.1.wav"] = b"RIFF"
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    items, problems = spool_reader.split(spool_reader.read_tree(tmp_path))
    owners = [(item.type, item.owner) for item in items]
    assert problems == []
    assert owners == [
        (ItemType.CDR, "bob@acme.example"),
        (ItemType.CDR, "carol@acme.example"),
        (ItemType.RECORDING, "carol@acme.example"),
    ]


def test_parties_come_from_names(items: list[Item]) -> None:
    """The phone numbers in a recording's name are its parties."""
    recordings = _of(items, ItemType.RECORDING)
    assert all(set(item.id.rsplit("/", 1)[1].split("-")[1:3]) <= set(item.parties) for item in recordings)


def test_times_of_a_call_agree(items: list[Item]) -> None:
    """A recording was made when its call began, and a fax, by the second."""
    starts = {item.id.split("/")[0]: item.created_us for item in _of(items, ItemType.CDR)}
    for item in _of(items, ItemType.RECORDING) + _of(items, ItemType.FAX):
        uniqueid = item.id.rsplit("/", 1)[-1].rsplit("-", 1)[-1].rsplit(".", 1)[0]
        assert starts.get(uniqueid, item.created_us) == item.created_us


def test_renumbering_keeps_ids(tmp_path: Path) -> None:
    """Deleting a message changes the files of later messages, and no other id."""
    spool_generator.generate(tmp_path, seed=7)
    before = {item.id: item for item in spool_reader.split(spool_reader.read_tree(tmp_path))[0]}
    delete_message(tmp_path / _DEFAULT / "1002/INBOX", 0)
    after = {item.id: item for item in spool_reader.split(spool_reader.read_tree(tmp_path))[0]}
    gone = set(before) - set(after)
    assert len(gone) == 1
    assert set(after) < set(before)
    assert sum(before[name].source != after[name].source for name in after) >= 3


def test_moving_keeps_the_id(tmp_path: Path) -> None:
    """A message that moves to another folder stays the same item."""
    spool_generator.generate(tmp_path, seed=7)
    box = tmp_path / _DEFAULT / "1002"
    before = {item.id for item in spool_reader.split(spool_reader.read_tree(tmp_path))[0]}
    (box / "Work").mkdir()
    for path in list((box / "INBOX").glob("msg0010.*")):
        path.rename(box / "Work" / path.name)
    items, problems = spool_reader.split(spool_reader.read_tree(tmp_path))
    assert ({item.id for item in items}, problems) == (before, [])
    assert any(item.labels.get("folder") == "Work" for item in items)


def test_zone(tree: Path, items: list[Item]) -> None:
    """The reader reads dates in names and lines in the given zone, and `origtime` as UTC."""
    berlin = spool_reader.split(spool_reader.read_tree(tree, tz=ZoneInfo("Europe/Berlin")))[0]
    moved = {
        (item.type, other.created_us - item.created_us)
        for item, other in zip(items, berlin, strict=True)
        if item.created_us is not None and other.created_us is not None
    }
    hour = 3600 * 1_000_000
    assert {shift for kind, shift in moved if kind is ItemType.CDR} == {-hour, -2 * hour}
    assert {shift for kind, shift in moved if kind is ItemType.VOICEMAIL} == {0}


def test_layout_of_a_machine(tmp_path: Path, items: list[Item]) -> None:
    """A machine's root, with its three folders apart, gives the same items."""
    spool_generator.generate(tmp_path / "var/spool/asterisk", seed=7)
    spool = tmp_path / "var/spool/asterisk"
    (tmp_path / "var/log/asterisk").mkdir(parents=True)
    (spool / "cdr-csv").rename(tmp_path / "var/log/asterisk/cdr-csv")
    (spool / "etc").rename(tmp_path / "etc")
    found, problems = spool_reader.split(spool_reader.read_tree(tmp_path))
    assert problems == []
    assert [(item.type, item.id, item.owner) for item in found] == [(item.type, item.id, item.owner) for item in items]


def test_command_prints_json(tree: Path, items: list[Item], capsys: pytest.CaptureFixture[str]) -> None:
    """With --json each item is one object on one line."""
    assert spool_reader.main([str(tree), "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [item.id for item in items]


def test_command_prints_a_table(tree: Path, items: list[Item], capsys: pytest.CaptureFixture[str]) -> None:
    """Without --json the command prints a heading, and a row for each item with the time in UTC."""
    assert spool_reader.main([str(tree)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(items) + 1
    assert items[0].created_us is not None
    assert f"{datetime.fromtimestamp(items[0].created_us / 1e6, UTC):%Y-%m-%d %H:%M:%S}" in lines[1]


def test_command_without_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command reports a missing folder as a usage error."""
    assert spool_reader.main([str(tmp_path / "missing")]) == 2
    assert capsys.readouterr().err == "not a folder\n"
