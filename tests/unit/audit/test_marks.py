"""High-water marks: in memory and in their file."""

from dataclasses import replace
from pathlib import Path

import pytest

from linewarden.audit.errors import LogUnavailable, RolledBack
from linewarden.audit.model import Head, id_text, index_in, index_of
from linewarden.audit.store.marks import SLOT, Mark, Marks

HEAD = Head(3, "acme", "a" * 32, 5, 2, bytes(64), 1_000)
GROWN = replace(HEAD, size=6, frontier=b"\1" * 64)


def test_marks_outlive_their_process(tmp_path: Path) -> None:
    """A process reads from the file the marks of another one."""
    marks = Marks(tmp_path / "anchors/marks")
    marks.note(HEAD, new=True)
    marks.close()
    again = Marks(tmp_path / "anchors/marks")
    assert again.seen(3) is None
    assert again.stored(3) == Mark.of(HEAD)
    assert again.stored(2) is None
    assert again.stored(4) is None
    assert again.highest() == 3
    again.close()


@pytest.mark.parametrize("byte", [0, 40, 100, 111])
def test_a_torn_slot_counts_as_empty(tmp_path: Path, byte: int) -> None:
    """A partially written slot counts as empty."""
    marks = Marks(tmp_path / "marks")
    marks.note(HEAD)
    marks.close()
    data = bytearray((tmp_path / "marks").read_bytes())
    data[3 * SLOT + byte] ^= 1
    (tmp_path / "marks").write_bytes(data)
    again = Marks(tmp_path / "marks")
    assert again.stored(3) is None
    again.close()


@pytest.mark.parametrize(
    "older",
    [
        HEAD,
        replace(GROWN, frontier=b"\2" * 64),
        replace(GROWN, revision=1),
        replace(GROWN, revision=3),
        replace(GROWN, origin_id="b" * 32),
        replace(GROWN, size=9, revision=1),
        replace(GROWN, size=9, origin_id="b" * 32),
    ],
    ids=str,
)
def test_a_head_that_is_not_a_later_one_is_refused(older: Head) -> None:
    """Marks refuse a head with fewer entries, another root, an earlier revision or another origin."""
    marks = Marks()
    marks.note(GROWN)
    with pytest.raises(RolledBack):
        marks.check(older, marks.seen(3))


def test_a_log_that_was_recovered_is_dropped_from_memory_before_it_is_believed() -> None:
    """Marks accept a later generation once the process has dropped the log from memory, and never an earlier one."""
    heard: list[int] = []
    marks = Marks(on_recovered=heard.append)
    marks.note(GROWN)
    marks.check(replace(HEAD, generation=1, origin_id="c" * 32), marks.seen(3))
    assert heard == [3]
    with pytest.raises(RolledBack):
        marks.check(GROWN, marks.seen(3))


def test_a_mark_does_not_fall_behind_what_another_thread_saw() -> None:
    """A head that was read earlier and noted later does not replace a newer one."""
    marks = Marks()
    marks.note(GROWN)
    marks.note(HEAD)
    assert marks.seen(3) == GROWN


def test_ids_of_generations_are_apart() -> None:
    """An id is its index until the log is recovered, and never repeats afterwards."""
    assert id_text(17) == "17"
    assert id_text(2 << 40 | 17) == "2-17"
    assert index_in("2-17") == index_of(2 << 40 | 17) == index_in("17") == 17


def test_a_disk_of_the_anchors_that_is_full_stops_no_later_mark(tmp_path: Path) -> None:
    """The first mark of a log must be written; a later one that fails stays in memory, and the fault is reported."""
    marks = Marks(tmp_path / "marks")
    marks.note(HEAD, new=True)
    marks.close()
    (tmp_path / "marks").unlink()
    (tmp_path / "marks").mkdir()
    marks.note(GROWN)
    assert marks.seen(3) == GROWN
    assert marks.fault is not None
    with pytest.raises(LogUnavailable):
        marks.note(replace(HEAD, log=4), new=True)
