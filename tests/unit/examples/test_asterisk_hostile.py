"""Hostile trees: the reader raises nothing, reads nothing outside, and names what it skips."""

import os
from pathlib import Path

import pytest
import spool_reader
from asterisk_config import Person, endpoint_of, read_directory
from spool_item import ID_BYTES, Item, Problem, UniqueIds, plain, stable_id

from tests.deadlines import bounded_work

_TEXT = ';\n[message]\norigmailbox=1\ncallerid="A" <15550142>\norigtime=1782900000\nmsg_id=1782900000-00000001\n'
_WAV = b"RIFF\0\0\0\0WAVE"


def _message(root: Path, text: bytes, *, mailbox: str = "1", number: int = 0, audio: bytes | None = _WAV) -> Path:
    folder = root / "voicemail/default" / mailbox / "INBOX"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"msg{number:04d}.txt").write_bytes(text)
    if audio is not None:
        (folder / f"msg{number:04d}.wav").write_bytes(audio)
    return folder


def _read(root: Path) -> tuple[list[Item], list[Problem]]:
    return spool_reader.split(spool_reader.read_tree(root))


def _texts(problems: list[Problem]) -> list[str]:
    return [problem.text for problem in problems]


def test_empty_tree(tmp_path: Path) -> None:
    """An empty folder has no items and no problems."""
    assert _read(tmp_path) == ([], [])


def test_links_are_not_followed(tmp_path: Path) -> None:
    """The reader names and does not follow links to a file or folder outside, or to the folder itself."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "external-1-2-20260101-000000-1.1.wav").write_bytes(_WAV)
    monitor = tmp_path / "tree/monitor"
    monitor.mkdir(parents=True)
    (monitor / "folder").symlink_to(outside)
    (monitor / "file.wav").symlink_to(outside / "external-1-2-20260101-000000-1.1.wav")
    (monitor / "loop").symlink_to(monitor)
    items, problems = _read(tmp_path / "tree")
    assert items == []
    assert _texts(problems) == ["link not followed"] * 3


@pytest.mark.parametrize("name", ["voicemail", "monitor", "fax", "cdr-csv", "etc"])
def test_top_folder_may_not_lead_out(tmp_path: Path, name: str) -> None:
    """One of the tree's own folders that is a link to somewhere else counts as missing."""
    _message(tmp_path / "outside", _TEXT.encode())
    (tmp_path / "outside/Master.csv").write_text("x\n")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / name).symlink_to(tmp_path / "outside" / ("voicemail" if name == "voicemail" else "."))
    assert _read(tmp_path / "tree") == ([], [])


def test_configuration_link_leads_out(tmp_path: Path) -> None:
    """The reader skips a configuration file that is a link out of the tree, unless its folder was named."""
    (tmp_path / "voicemail.conf").write_text("[default]\n1 => 1,A,a@acme.example\n")
    etc = tmp_path / "tree/etc"
    etc.mkdir(parents=True)
    (etc / "voicemail.conf").symlink_to(tmp_path / "voicemail.conf")
    _message(tmp_path / "tree", _TEXT.encode())
    items, problems = _read(tmp_path / "tree")
    assert ([item.owner for item in items], _texts(problems)) == (["ext:1"], ["link out of the tree not followed"])
    named = spool_reader.read_tree(tmp_path / "tree", config=etc)
    assert [item.owner for item in spool_reader.split(named)[0]] == ["a@acme.example"]


def test_pipes_do_not_hang(tmp_path: Path) -> None:
    """The reader skips a named pipe in the place of a description, a recording, a configuration or Master.csv."""
    folder = _message(tmp_path, _TEXT.encode())
    (folder / "msg0000.txt").unlink()
    for path in (
        folder / "msg0000.txt",
        tmp_path / "monitor/a.wav",
        tmp_path / "etc/voicemail.conf",
        tmp_path / "cdr-csv/Master.csv",
    ):
        path.parent.mkdir(exist_ok=True)
        os.mkfifo(path)
    items, problems = _read(tmp_path)
    assert len(items) == 1
    assert sorted(_texts(problems)) == [
        "configuration file cannot be read", "file cannot be read", "message without a description",
        "not a regular file", "not a regular file",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "description cannot be read"),
        (bytes(range(256)) * 400, "description cannot be read"),
        (b"[message]\nmsg_id=1-1\n", "origtime cannot be read"),
        (b"[message]\norigtime=99999999999999\n", "origtime cannot be read"),
        (b"[message]\norigtime=-1\n", "origtime cannot be read"),
        ("[message]\norigtime=\u0661\n".encode(), "origtime cannot be read"),
        (b"[message]\norigtime=1e9\n" + b"x" * 5_000_000, "origtime cannot be read"),
    ],
)
def test_broken_description(tmp_path: Path, text: bytes, problem: str) -> None:
    """A broken description is a problem, and the message stays an item that can be asked about."""
    _message(tmp_path, text)
    items, problems = _read(tmp_path)
    assert _texts(problems) == [problem]
    assert [(item.owner, item.created_us) for item in items] == [("ext:1", None)]


def test_message_without_audio_or_text(tmp_path: Path) -> None:
    """Half a message is an item and a problem."""
    folder = _message(tmp_path, _TEXT.encode(), audio=None)
    (folder / "msg0001.gsm").write_bytes(b"x")
    items, problems = _read(tmp_path)
    assert len({item.id for item in items}) == 2
    assert _texts(problems) == ["message without audio", "message without a description"]


def test_old_message_without_msg_id(tmp_path: Path) -> None:
    """A message older than msg_id keeps its id when it is renumbered."""
    text = _TEXT.replace("msg_id=1782900000-00000001\n", "").encode()
    folder = _message(tmp_path, text, number=3)
    (before,) = _read(tmp_path)[0]
    for path in list(folder.iterdir()):
        path.rename(path.with_name(path.name.replace("0003", "0000")))
    (after,) = _read(tmp_path)[0]
    assert before.id == after.id
    assert before.source != after.source


def test_msg_id_is_the_key(tmp_path: Path) -> None:
    """Context, mailbox and msg_id make the id."""
    _message(tmp_path, _TEXT.encode())
    assert [item.id for item in _read(tmp_path)[0]] == ["default/1/1782900000-00000001"]


def test_unfinished_message(tmp_path: Path) -> None:
    """A message that is still being spoken, in the folder tmp, is no item yet."""
    _message(tmp_path, _TEXT.encode()).rename(tmp_path / "voicemail/default/1/tmp")
    assert _read(tmp_path) == ([], [])


def test_same_msg_id_twice(tmp_path: Path) -> None:
    """Two messages with one msg_id are two items, and the reader reports a problem."""
    _message(tmp_path, _TEXT.encode())
    _message(tmp_path, _TEXT.encode(), number=1)
    items, problems = _read(tmp_path)
    assert len({item.id for item in items}) == 2
    assert _texts(problems) == ["another message of this mailbox has the same msg_id"]


def test_control_characters_stay_out(tmp_path: Path) -> None:
    """Escape sequences in a file's content or name reach no id, label or source."""
    _message(tmp_path, _TEXT.replace("-00000001", "-\x1b[31m\x07\u202e").encode(), mailbox="1\n2")
    monitor = tmp_path / "monitor"
    monitor.mkdir()
    (monitor / os.fsdecode(b"q-600\x1b-\xe9-20260101-000000-1.1.wav")).write_bytes(_WAV)
    items, _ = _read(tmp_path)
    for item in items:
        texts = [item.id, item.owner, item.queue, item.source, *item.labels.values(), *item.parties]
        assert all(text.isprintable() for text in texts)
        assert all(text.encode() is not None for text in texts)
    assert any("%E9" in item.id for item in items)


def test_deep_folders(tmp_path: Path) -> None:
    """The reader comes to an end of deeply nested folders."""
    (tmp_path / "monitor" / "/".join("d" * 30)).mkdir(parents=True)
    assert _texts(_read(tmp_path)[1]) == ["folders too deep"]


def test_content_that_is_no_audio(tmp_path: Path) -> None:
    """A recording or fax with wrong first bytes is a problem and stays an item."""
    for name in ("monitor/a.wav", "fax/b.tif"):
        path = tmp_path / name
        path.parent.mkdir()
        path.write_bytes(b"<?php")
    items, problems = _read(tmp_path)
    assert len(items) == 2
    assert _texts(problems) == ["content does not fit the name"] * 2


def test_names_of_other_systems(tmp_path: Path) -> None:
    """A recording with a name of another shape is an item without owner, time and parties."""
    (tmp_path / "monitor").mkdir()
    for name in ("1234567890.12.wav", "call.wav", "out-1-2-20269901-000000-1.1.wav", "-.wav"):
        (tmp_path / "monitor" / name).write_bytes(_WAV)
    items, problems = _read(tmp_path)
    assert problems == []
    assert [item.created_us for item in items] == [None] * 4


def test_called_number_with_hyphens(tmp_path: Path) -> None:
    """Hyphens in the called number do not shift the caller."""
    (tmp_path / "monitor").mkdir()
    (tmp_path / "monitor/out-+49-30-555-1002-20260101-000000-pbx-1-1782900000.1.wav").write_bytes(_WAV)
    (item,) = _read(tmp_path)[0]
    assert (item.owner, item.parties) == ("ext:1002", ("+4930555", "1002"))


def test_two_customers_on_one_machine(tmp_path: Path) -> None:
    """An extension's item has no person as owner if two contexts have its mailbox number."""
    (tmp_path / "voicemail.conf").write_text("[one]\n1 => 1,A,a@one.example\n[two]\n1 => 1,B,b@two.example\n")
    directory, _ = read_directory(tmp_path)
    assert directory.owner_of_extension("1") == "ext:1"
    assert directory.owner_of_mailbox("two", "1") == "b@two.example"


@pytest.mark.parametrize("address", ["role:tenant_admin", "//other/a@b", "a b@c", "", "a@b@c", "@", "a@"])
def test_invalid_addresses(tmp_path: Path, address: str) -> None:
    """An address that could pass for a role or a person of another tenant makes no owner."""
    (tmp_path / "voicemail.conf").write_text(f"[default]\n1 => 1,A,{address}\n")
    assert read_directory(tmp_path)[0].owner_of_extension("1") == "ext:1"


def test_configuration_as_people_write_it(tmp_path: Path) -> None:
    """The reader understands comments, an escaped semicolon, both arrows and further addresses, and skips settings."""
    lines = "[general]\nformat = wav\n[default](!)\n;1 => 1,X,x@b.example\n1=1,A\\;B,a@b.example|c@d.example ; note\n"
    (tmp_path / "voicemail.conf").write_text(lines)
    people = read_directory(tmp_path)[0].people
    assert people == {("default", "1"): Person("A;B", "a@b.example")}


def test_extension_with_another_mailbox(tmp_path: Path) -> None:
    """An extension belongs to the holder of the mailbox its endpoint names."""
    (tmp_path / "voicemail.conf").write_text("[acme]\n7 => 1,A,a@acme.example\n")
    (tmp_path / "pjsip.conf").write_text("[1001]\ntype=endpoint\nmailboxes=7@acme,8@acme\n")
    assert read_directory(tmp_path)[0].owner_of_extension("1001") == "a@acme.example"


def test_pins_are_not_kept(tmp_path: Path) -> None:
    """The directory holds no pin of a mailbox."""
    (tmp_path / "voicemail.conf").write_text("[default]\n1 => 987654,A,a@acme.example,,x=1 ; note\n")
    assert "987654" not in repr(read_directory(tmp_path))


def test_configuration_takes_linear_time(tmp_path: Path) -> None:
    """The reader needs linear time for lines that are made to cause backtracking."""
    (tmp_path / "extensions.conf").write_text("a" + " " * 1_000_000 + "b\nexten => 1," + " " * 1_000_000 + "x\n")
    with bounded_work():
        read_directory(tmp_path)


@pytest.mark.parametrize(
    ("channel", "endpoint"),
    [
        ("PJSIP/1001-0000002a", "1001"), ("Local/1001@from-queue-0000002a;1", "1001"), ("SIP/test-02897fd8", "test"),
        ("PJSIP/my-trunk-0000001f", "my-trunk"), ("Local/1001@ctx/n", "1001"), ("Console/dsp", "dsp"), ("", ""),
    ],
)  # fmt: skip
def test_endpoint(channel: str, endpoint: str) -> None:
    """A channel's name gives the endpoint it belongs to."""
    assert endpoint_of(channel) == endpoint


def test_stable_ids_differ() -> None:
    """Different input gives different ids, also if it is escaped or shortened."""
    raw = ["a%41", "aA", "a\x01", "a%01", "é", "\udce9", "x" * 600, "x" * 601, "é" * 300, stable_id("x" * 600)]
    ids = {stable_id(one) for one in raw}
    assert len(ids) == len(raw)
    assert all(len(one.encode()) <= ID_BYTES and one.isprintable() for one in ids)


def test_unique_ids_cannot_be_forged() -> None:
    """An id that looks like the second of another name does not collide with it."""
    unique = UniqueIds()
    assert len({unique.take(stable_id(name))[0] for name in ("a", "a", "a%#2", "a")}) == 4


def test_plain_cuts_between_characters() -> None:
    """A text is cut to bytes without half a character."""
    assert plain(" ab\x00é", 3) == "ab"
