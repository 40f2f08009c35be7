"""Imported capture files, good and hostile; and the pcapng that is written."""

import io
import os
import shutil
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewarden.diagnostics.packets import pcapng
from linewarden.diagnostics.packets.errors import SourceUnusable
from linewarden.diagnostics.packets.input_stream import InputStream
from linewarden.diagnostics.packets.mask import Masker
from linewarden.diagnostics.packets.model import Frame, Interface, Profile, Selector, SourceCounters
from linewarden.diagnostics.packets.source_file import FileSource, open_capture
from tests.deadlines import HANG_S
from tests.rights import filters

TIME_NS = 1_700_000_000_123_456_789
REAL = sorted((Path(__file__).parents[5] / "shared" / "data" / "pcap").glob("*.pcap*"))
FRAMES = [Frame(TIME_NS, b"first", 500), Frame(TIME_NS + 1_000, b"", 0), Frame(TIME_NS + 2_000, b"third!", 6)]


def classic(order: str, unit_ns: int, frames: list[Frame], link_type: int = 1) -> bytes:
    """A file of the classic kind."""
    magic = 0xA1B2C3D4 if unit_ns == 1_000 else 0xA1B23C4D
    out = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65_535, link_type)
    for frame in frames:
        seconds, rest = divmod(frame.time_ns, 10**9)
        out += struct.pack(order + "4I", seconds, rest // unit_ns, len(frame.data), frame.original_length) + frame.data
    return out


def block(order: str, kind: int, body: bytes) -> bytes:
    """A block of the new kind."""
    body += bytes(-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def section(order: str) -> bytes:
    """The block that begins a section."""
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1))


def described(order: str, options: bytes = b"", link_type: int = 1, snaplen: int = 0) -> bytes:
    """The block of an interface."""
    return block(order, 1, struct.pack(order + "HHI", link_type, 0, snaplen) + options)


def option(order: str, code: int, value: bytes) -> bytes:
    """One option."""
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def enhanced(order: str, interface: int, ticks: int, data: bytes, original: int) -> bytes:
    """The block of a packet."""
    return block(
        order, 6, struct.pack(order + "5I", interface, ticks >> 32, ticks & 0xFFFFFFFF, len(data), original) + data
    )


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("unit_ns", [1, 1_000])
def test_classic(order: str, unit_ns: int):
    """Classic files are read in both byte orders and both resolutions."""
    reader = open_capture(io.BytesIO(classic(order, unit_ns, FRAMES, 113)))
    expected = [frame._replace(time_ns=frame.time_ns // unit_ns * unit_ns) for frame in FRAMES]
    assert list(reader) == expected
    assert [i.link_type for i in reader.interfaces] == [113]
    assert reader.counters() == [SourceCounters(3)]


@pytest.mark.parametrize("order", ["<", ">"])
def test_new_kind(order: str):
    """Sections, interfaces, resolutions, offsets, simple and old packets, drops: all are read."""
    raw = (
        section(order)
        + described(order, option(order, 2, b"eth0") + option(order, 9, b"\x09"))
        + described(order, option(order, 9, b"\x83") + option(order, 14, struct.pack(order + "q", 100)), 113)
        + enhanced(order, 0, TIME_NS, b"one", 30)
        + enhanced(order, 1, 17, b"two", 3)
        + block(order, 99, b"unknown!")
        + block(order, 10, b"secrets of TLS")
        + block(order, 5, struct.pack(order + "III", 0, 0, 0) + option(order, 5, struct.pack(order + "Q", 7)))
        + section("<")
        + described("<", snaplen=4)
        + block("<", 3, struct.pack("<I", 9) + b"four")
        + block("<", 2, struct.pack("<HH4I", 0, 0, 0, 5, 3, 3) + b"old")
    )
    reader = open_capture(io.BytesIO(raw))
    assert list(reader) == [
        Frame(TIME_NS, b"one", 30, 0),
        Frame(102_125_000_000, b"two", 3, 1),
        Frame(102_125_000_000, b"four", 9, 2),
        Frame(5_000, b"old", 3, 2),
    ]
    assert reader.interfaces == [Interface("eth0", 1), Interface("interface 1", 113), Interface("interface 2", 1)]
    assert reader.counters() == [SourceCounters(8, 7), SourceCounters(1), SourceCounters(2)]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"PK\x03\x04",
        classic("<", 1, FRAMES)[:20],
        classic("<", 1, FRAMES)[:-1],
        classic("<", 1, FRAMES)[:30],
        struct.pack("<IHHiIII", 0xA1B2C3D4, 9, 4, 0, 0, 0, 1),
        classic("<", 1, []) + struct.pack("<4I", 0, 0, 0xFFFFFFFF, 1),
        section("<")[:10],
        section("<").replace(b"\x4d\x3c\x2b\x1a", b"\0\0\0\0"),
        section("<") + enhanced("<", 0, 0, b"", 0),
        section("<") + described("<") + enhanced("<", 1, 0, b"", 0),
        section("<") + struct.pack("<II", 6, 13),
        section("<") + struct.pack("<II", 6, 0),
        section("<") + struct.pack("<II", 6, 0xFFFFFFF0),
        section("<") + described("<")[:-4] + b"\0\0\0\0",
        section("<") + described("<") + block("<", 6, struct.pack("<5I", 0, 0, 0, 99, 99) + b"short"),
        section("<") + described("<") + block("<", 3, struct.pack("<I", 99)),
        section("<") + described("<", option("<", 9, b"")),
        section("<") + described("<", struct.pack("<HH", 2, 500)),
        section("<") + described("<", option("<", 14, b"\1")),
        section("<") + described("<") * 300,
        section("<") + described("<", option("<", 1, b"") * 2_000),
        section("<") + block("<", 5, b""),
    ],
)
def test_hostile_files(raw: bytes):
    """A file that is cut, contradicts itself or asks for too much is refused with one kind of error."""
    with pytest.raises(SourceUnusable):
        list(open_capture(io.BytesIO(raw)))


def test_times_stay_within_bounds():
    """A time that cannot be is clamped, not stored as something else."""
    options = option("<", 9, b"\x00") + option("<", 14, struct.pack("<q", -5))
    raw = section("<") + described("<", options) + enhanced("<", 0, 2**64 - 1, b"", 0) + enhanced("<", 0, 1, b"", 0)
    assert [frame.time_ns for frame in open_capture(io.BytesIO(raw))] == [2**63 - 1, 0]


def _drain(source: FileSource) -> Iterator[Frame]:
    while (frames := source.read(0.1)) is not None:
        yield from frames


def _source(raw: bytes, filter_text: str = "", patience: float = 5.0) -> FileSource:
    reader, writer = os.pipe()
    os.write(writer, raw)
    os.close(writer)
    return FileSource(InputStream(reader, patience, time.monotonic), filter_text)


@pytest.mark.parametrize("order", ["<", ">"])
def test_texts_of_a_file_stay_behind(order: str):
    """Comments, resolved names, TLS secrets, custom blocks, odd names of interfaces: none reaches the evidence."""
    secret = b"secret of the file"
    options = b"".join(option(order, code, secret) for code in (1, 2, 3, 4, 11, 12, 15, 2988, 2989, 19372))
    raw = (
        block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + options)
        + described(order, options)
        + block(order, 4, struct.pack(order + "HH", 1, 4 + len(secret)) + b"\x7f\0\0\1" + secret)
        + block(order, 10, struct.pack(order + "II", 0x544C534B, len(secret)) + secret)
        + block(order, 0xBAD, struct.pack(order + "I", 32473) + secret)
        + block(order, 0x40000BAD, struct.pack(order + "I", 32473) + secret)
        + block(order, 9, secret)
        + enhanced(order, 0, TIME_NS, bytes(12) + b"\x88\xcc" + secret, 99)
        + block(order, 6, struct.pack(order + "5I", 0, 0, 0, 4, 4) + b"abcd" + options)
        + block(order, 5, struct.pack(order + "III", 0, 0, 0) + options[:24])
        + section(order)
        + described(order, option(order, 2, b"eth0.5"))
    )
    assert b"secret" not in masked_copy(raw)[0]
    reader = open_capture(io.BytesIO(raw))
    assert len(list(reader)) == 2
    assert [seen.name for seen in reader.interfaces] == ["interface 0", "eth0.5"]


@pytest.mark.parametrize("name", [b"lo", b"wlan0@if3", b"\\Device\\NPF_Loopback", b"\\Device\\NPF_{%b}" % (b"0" * 36)])
def test_names_of_interfaces(name: bytes):
    """An interface that is called as interfaces are keeps its name."""
    reader = open_capture(io.BytesIO(section("<") + described("<", option("<", 2, name))))
    assert not list(reader)
    assert reader.interfaces == [Interface(name.decode(), 1)]


def test_sender_of_nothing_but_comments():
    """A file that goes on for ever without a packet ends the capture after the lease as well."""
    reader, writer = os.pipe()
    sender = threading.Thread(target=_send_for_ever, args=(writer, section("<") + block("<", 99, bytes(1_000)) * 50))
    sender.start()
    source = FileSource(InputStream(reader, 0.2, time.monotonic), "")
    with pytest.raises(SourceUnusable, match="stopped"):
        list(_drain(source))
    os.close(reader)
    sender.join()


def _send_for_ever(fd: int, data: bytes) -> None:
    try:
        while True:
            os.write(fd, data)
    except BrokenPipeError:
        os.close(fd)


def test_packets_before_a_fault_are_kept():
    """All packets before the place where a file breaks come out; then the fault is told."""
    source = _source(classic("<", 1, FRAMES * 5)[:-3])
    found: list[Frame] = []
    with pytest.raises(SourceUnusable):
        found.extend(_drain(source))
    assert len(found) == 14


@filters
def test_file_through_a_filter():
    """Packets that a filter keeps out are not received; the counters know only what passed."""
    keep = bytes(12) + b"\x08\x06" + bytes(28)
    raw = classic("<", 1, [Frame(1, keep, 42), Frame(2, bytes(42), 42), Frame(3, keep, 42)])
    source = _source(raw, "arp")
    assert [frame.time_ns for frame in _drain(source)] == [1, 3]
    assert source.counters() == [SourceCounters(2)]


def test_sender_that_stalls():
    """A file that stops coming in ends the capture after the lease, though the pipe stays open."""
    reader, writer = os.pipe()
    os.write(writer, classic("<", 1, FRAMES))
    source = FileSource(InputStream(reader, 0.2, time.monotonic), "")
    with pytest.raises(SourceUnusable, match="stopped"):
        list(_drain(source))
    os.close(writer)
    os.close(reader)


def test_stopped_source_reads_no_further():
    """After stop a file gives no more packets."""
    source = _source(classic("<", 1, FRAMES))
    source.stop()
    assert source.read(0.1) is None
    source.close()


def _tshark(path: Path, *arguments: str) -> list[str]:
    command = ["tshark", "-n", "-r", str(path), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=HANG_S).stdout.splitlines()


def _written(frames: list[Frame]) -> bytes:
    out = pcapng.section("test", ["who: alice", "why: case 1 ü"])
    out += pcapng.interface(Interface("lo", 1), "udp port 5060", 65_535)
    out += b"".join(pcapng.packet(0, f.time_ns, f.data, f.original_length) for f in frames)
    return out + pcapng.statistics(0, TIME_NS, (1, TIME_NS), (10, 3, 7), "stop reason: time")


def test_what_is_written_can_be_read():
    """Evidence is read back as it was written, to the nanosecond, with its losses."""
    reader = open_capture(io.BytesIO(_written(FRAMES)))
    assert list(reader) == FRAMES
    assert reader.interfaces == [Interface("lo", 1)]
    assert [counted.dropped for counted in reader.counters()] == [3]


@pytest.mark.skipif(shutil.which("tshark") is None, reason="install tshark to compare with it")
def test_tshark_reads_what_is_written(tmp_path: Path):
    """Tshark opens the evidence and finds times, lengths, filter and comments."""
    path = tmp_path / "e.pcapng"
    path.write_bytes(_written(FRAMES))
    fields = ["-T", "fields", "-e", "frame.time_epoch", "-e", "frame.len", "-e", "frame.cap_len"]
    assert [line.split("\t") for line in _tshark(path, *fields)] == [
        ["1700000000.123456789", "500", "5"],
        ["1700000000.123457789", "0", "0"],
        ["1700000000.123458789", "6", "6"],
    ]
    raw = path.read_bytes()
    assert b"who: alice" in raw
    assert b"\0udp port 5060" in raw


def masked_copy(raw: bytes, profile: Profile = Profile.SIGNALLING) -> tuple[bytes, Masker]:
    """A file through reader, mask and writer."""
    source, masker = open_capture(io.BytesIO(raw)), Masker(profile, Selector(), 262_144)
    out = bytearray(pcapng.section("test", []))
    known = 0
    for frame in source:
        for seen in source.interfaces[known:]:
            out += pcapng.interface(seen, "", 262_144)
            known += 1
        masked = masker.mask(source.interfaces[frame.interface].link_type, frame.data)
        assert masked is not None
        out += pcapng.packet(frame.interface, frame.time_ns, masked, frame.original_length)
    return bytes(out), masker


@pytest.mark.skipif(not REAL, reason="lay the published captures in ../shared/data/pcap")
@pytest.mark.parametrize("path", REAL, ids=lambda path: path.name)
@pytest.mark.parametrize("profile", list(Profile))
def test_real_captures(path: Path, profile: Profile):
    """Real captures go through import and masking, keep number, times and lengths, and show no media and no digest."""
    raw = path.read_bytes()
    out, _ = masked_copy(raw, profile)
    before, after = list(open_capture(io.BytesIO(raw))), list(open_capture(io.BytesIO(out)))
    assert [(f.time_ns, f.original_length) for f in before] == [(f.time_ns, f.original_length) for f in after]
    if profile is Profile.MEDIA:
        assert [f.data for f in before] == [f.data for f in after]
    else:
        assert b'response="' not in out.lower()
        assert b'nonce="' not in out.lower()


@pytest.mark.slow
@pytest.mark.skipif(
    not REAL or shutil.which("tshark") is None,
    reason="install tshark and lay the published captures in ../shared/data/pcap",
)
def test_tshark_finds_the_same_calls(tmp_path: Path):
    """Of a masked capture tshark reads the same SIP messages, and the same RTP but for the first packet of a source."""
    original = next(path for path in REAL if path.name == "sip-rtp-g711.pcap")
    masked = tmp_path / "masked.pcapng"
    masked.write_bytes(masked_copy(original.read_bytes())[0])
    sip = ["-Y", "sip", "-Tfields", "-e", "sip.Method", "-e", "sip.Status-Code", "-e", "sip.Call-ID", "-e", "sdp.media"]
    assert _tshark(masked, *sip) == _tshark(original, *sip)
    rtp = ["-Y", "rtp", "-T", "fields", "-e", "rtp.ssrc", "-e", "rtp.seq", "-e", "rtp.timestamp"]
    before, after = _tshark(original, *rtp), _tshark(masked, *rtp)
    sources = {line.split("\t")[0] for line in before}
    assert set(after) <= set(before)
    assert len(before) - len(after) <= len(sources)


SEEDS = [
    classic("<", 1_000, FRAMES),
    classic(">", 1, FRAMES),
    _written(FRAMES),
    section(">") + described(">") + enhanced(">", 0, 5, b"abc", 3),
    *(path.read_bytes()[:3_000] for path in REAL[:4]),
]


@settings(max_examples=250, deadline=None)
@given(st.sampled_from(SEEDS), st.data())
def test_mutated_files_harm_nothing(seed: bytes, data: st.DataObject):
    """A file with changed, lost or added bytes is read or refused, and what is read is masked."""
    raw = bytearray(seed)
    for at in data.draw(st.lists(st.integers(0, len(raw) - 1), max_size=8)):
        raw[at] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(raw)))
    raw[cut:cut] = data.draw(st.binary(max_size=8))
    try:
        masked_copy(bytes(raw))
    except SourceUnusable:
        return
