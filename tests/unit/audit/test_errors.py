"""Texts of errors of the log."""

import pytest

from linewarden.audit.errors import LogDamaged


@pytest.mark.parametrize(
    ("indexes", "text"),
    [
        ((), ""),
        ((0,), "0"),
        (range(256), "0-255"),
        ((3, 9, 10, 11, 14), "3,9-11,14"),
        (range(0, 40, 2), "0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30,32,34,36,38"),
        (range(10**12, 10**12 + 20, 2), ",".join(str(10**12 + n) for n in (0, 2, 4, 6))),
    ],
)
def test_damaged_entries_are_told_as_ranges(indexes: tuple[int, ...], text: str) -> None:
    """The text has all ranges of indexes, or the first ones that fit into 64 characters."""
    assert LogDamaged("", indexes).entries() == text
    assert len(text) <= 64
