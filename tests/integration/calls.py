"""A call that SIPp makes, with all data that a capture of signalling must not keep."""

import asyncio
import hashlib
import io
import re
import shutil
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from linewarden.diagnostics.packets.source_file import open_capture
from tests.deadlines import HANG_S

SCENARIOS = Path(__file__).parents[1] / "testdata" / "capture"
SIPP_MEDIA = Path("/usr/share/sip-tester")
DIGIT = SIPP_MEDIA / "dtmf_2833_7.pcap"

needs_sipp = pytest.mark.skipif(
    shutil.which("sipp") is None or not DIGIT.exists(), reason="install sip-tester, for calls of SIPp"
)

#: Length of Ethernet, IPv4, UDP and RTP without options: the kept part of a media packet.
HEADERS = 54

_PACKETS, _SAMPLES = 50, 160
_WINDOW = 6
_FILE_HEAD = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 1)


@dataclass(frozen=True)
class Ports:
    """The signalling and media ports of both sides."""

    callee: int
    caller: int
    callee_media: int
    caller_media: int

    @property
    def all(self) -> tuple[int, ...]:
        """The four ports."""
        return (self.callee, self.caller, self.callee_media, self.caller_media)


@dataclass(frozen=True)
class Call:
    """The content of a call, as the calling side knows it."""

    messages: str
    speech: tuple[bytes, ...]
    digits: tuple[bytes, ...]

    @property
    def credentials(self) -> tuple[bytes, ...]:
        """Return nonces, responses and keys of SRTP."""
        found = re.findall(r'\b(?:nonce|response)="([^"]+)"|inline:(\S+)', self.messages)
        return tuple((one or other).encode() for one, other in found)


async def make_call(folder: Path, ports: Ports, prefix: Sequence[str] = ()) -> Call:
    """Make a call on loopback: challenged, G.711, a digit as RFC 4733 and one as INFO, keys of SRTP, hung up.

    `prefix` are words before each command, for another network namespace.
    """
    speech = tuple(_noise(number) for number in range(_PACKETS))
    (folder / "speech.pcap").write_bytes(_FILE_HEAD + b"".join(map(_recorded, range(_PACKETS), speech)))
    log = folder / "messages.log"
    callee = await _sipp(folder, "callee", ports.callee, ports.callee_media, prefix)
    traced = ("-trace_msg", "-message_file", str(log))
    target = f"127.0.0.1:{ports.callee}"
    caller = await _sipp(folder, "caller", ports.caller, ports.caller_media, prefix, *traced, target)
    try:
        async with asyncio.timeout(HANG_S):
            assert (await caller.wait(), await callee.wait()) == (0, 0)
    finally:
        for one in (caller, callee):
            if one.returncode is None:
                one.kill()
                await one.wait()
    text = await asyncio.to_thread(log.read_text, encoding="latin-1")
    return Call(text, speech, _digits(await asyncio.to_thread(DIGIT.read_bytes)))


def windows(data: bytes) -> set[bytes]:
    """Return all windows of six bytes."""
    return {data[at : at + _WINDOW] for at in range(len(data) - _WINDOW + 1)}


async def _sipp(
    folder: Path, side: str, port: int, media: int, prefix: Sequence[str], *more: str
) -> asyncio.subprocess.Process:
    scenario = folder / f"{side}.xml"
    scenario.write_text(_in_mu_law((SCENARIOS / f"sipp-{side}.xml").read_text(encoding="latin-1"), folder))
    usual = ["-m", "1", "-i", "127.0.0.1", "-nostdin", "-timeout", f"{HANG_S:.0f}s", "-timeout_error"]
    command = [*prefix, "sipp", "-sf", str(scenario), "-p", str(port), "-mp", str(media), *usual, *more]
    quiet = asyncio.subprocess.DEVNULL
    return await asyncio.create_subprocess_exec(*command, cwd=folder, stdin=quiet, stdout=quiet, stderr=quiet)


def _in_mu_law(scenario: str, folder: Path) -> str:
    """Write the scenario with generated speech, of which every byte is known."""
    changes = {
        "RTP/AVP 8 101": "RTP/AVP 0 101",
        "a=rtpmap:8 PCMA/8000": "a=rtpmap:0 PCMU/8000",
        str(SIPP_MEDIA / "g711a.pcap"): str(folder / "speech.pcap"),
    }
    for old, new in changes.items():
        scenario = scenario.replace(old, new)
    return scenario


def _noise(number: int) -> bytes:
    """Return the speech of one packet, which occurs nowhere else."""
    blocks = [hashlib.sha256(f"speech {number} {part}".encode()).digest() for part in range(_SAMPLES // 32)]
    return b"".join(blocks)


def _recorded(number: int, speech: bytes) -> bytes:
    """Return a pcap record of an RTP packet that carries G.711 mu-law."""
    rtp = struct.pack("!BBHII", 0x80, 0, number, _SAMPLES * number, 0x4711) + speech
    udp = struct.pack("!HHHH", 6_000, 6_000, 8 + len(rtp), 0) + rtp
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), number, 0, 64, 17, 0, bytes(4), bytes(4)) + udp
    frame = bytes(12) + b"\x08\x00" + ip
    return struct.pack("<IIII", 1, 20_000 * number, len(frame), len(frame)) + frame


def _digits(file: bytes) -> tuple[bytes, ...]:
    """Return the RFC 4733 events of a capture file, each with the end of the RTP header before it: six bytes."""
    return tuple(frame.data[52:] for frame in open_capture(io.BytesIO(file)))
