"""The mask against the grammar: messages with a marker wherever a value may stand that no rule lets pass."""

import os
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewarden.diagnostics import packets
from linewarden.diagnostics.packets.mask import Masker
from linewarden.diagnostics.packets.model import Profile, Selector
from linewarden.diagnostics.packets.sip import mask_message, parse_message
from linewarden.diagnostics.packets.source_file import open_capture
from linewarden.diagnostics.packets.streams import SipStreams
from tests.unit.diagnostics.packets.sip_grammar import message, shown
from tests.unit.diagnostics.packets.test_sip import shows_more

LEAKS = sorted((Path(__file__).parents[5] / "shared" / "data" / "captures").glob("[A-Z][0-9].pcap"))
#: The number of messages of the long run: 1,000,000 were masked once when the rules were written.
MANY = int(os.environ.get("LINEWARDEN_MASKED_MESSAGES", "5000"))


def _whole(raw: bytes) -> bytes:
    parsed = parse_message(raw)
    return b"" if parsed is None else mask_message(parsed, finished=True).data


def _part(raw: bytes, end: int) -> bytes:
    parsed = parse_message(raw[:end])
    return b"" if parsed is None else mask_message(parsed, finished=False).data


def _in_pieces(raw: bytes, choice: random.Random) -> bytes:
    """Return the stored bytes of a stream that was cut at random."""
    streams, stored, at = SipStreams(lambda _message, _finished: True), b"", 0
    for end in [*sorted(choice.randrange(1, len(raw)) for _ in range(choice.randrange(5))), len(raw)]:
        segment = streams.mask(b"path", at, raw[at:end])
        stored += b"x" * (end - at) if segment is None else segment.data
        at = end
    return stored


@settings(max_examples=400, deadline=None)
@given(st.randoms(use_true_random=False))
def test_message_in_a_datagram(choice: random.Random):
    """A message that is made from the grammar shows no value that no rule lets pass."""
    raw = message(choice)
    assert not shown(_whole(raw)), raw


@settings(max_examples=400, deadline=None)
@given(st.randoms(use_true_random=False))
def test_message_in_pieces(choice: random.Random):
    """Neither the pieces of a stream nor the first fragment of a datagram show more than the whole message."""
    raw = message(choice)
    whole, pieces, end = _whole(raw) or b"x" * len(raw), _in_pieces(raw, choice), choice.randrange(1, len(raw))
    part = _part(raw, end) or b"x" * end
    assert not shown(pieces), raw
    assert not shows_more(pieces, whole, raw), raw
    assert not shows_more(part, whole[:end], raw[:end]), raw


def test_no_pattern_has_a_possessive_group():
    """No pattern of the mask has a possessive group, which Python before 3.11.5 matches too far (gh-106052)."""
    folder = Path(packets.__file__).parent
    assert [
        path.name for path in folder.glob("*.py") if re.search(r"\)[*+?]\+", path.read_text(encoding="utf-8"))
    ] == []


@pytest.mark.skipif(not LEAKS, reason="lay the constructed leaks in ../shared/data/captures")
@pytest.mark.parametrize("path", LEAKS, ids=lambda path: path.stem)
def test_constructed_leaks(path: Path):
    """A file that once showed its marker shows nothing of it."""
    mask = Masker(Profile.SIGNALLING, Selector(), 262_144)
    with path.open("rb") as file:
        reader = open_capture(file)
        stored = [mask.mask(reader.interfaces[frame.interface].link_type, frame.data) for frame in reader]
    assert stored
    assert not shown(b"|".join(filter(None, stored)))


@pytest.mark.slow
def test_many_messages():
    """Thousands of messages, whole and in pieces, show no value that no rule lets pass."""
    for seed in range(MANY):
        choice = random.Random(seed)
        raw = message(choice)
        stored = _in_pieces(raw, choice) if seed % 2 else _whole(raw)
        assert not shown(stored), (seed, raw)
