"""Filters: from selector to text, from text to program, and the machine that runs it on files."""

import ctypes
import ctypes.util
from ipaddress import ip_network
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewarden.diagnostics.packets.bpf import BpfProgram
from linewarden.diagnostics.packets.errors import FilterRefused
from linewarden.diagnostics.packets.filters import filter_text, with_vlan
from linewarden.diagnostics.packets.libpcap import compile_filter
from linewarden.diagnostics.packets.model import Selector, Transport

pytest.importorskip("scapy", reason="install linewarden[capture]")
if ctypes.util.find_library("pcap") is None:
    pytest.skip("install libpcap0.8", allow_module_level=True)

SELECTOR = Selector(
    hosts=(ip_network("192.0.2.1"), ip_network("2001:db8::/32")),
    ports=((5060, 5061), (10_000, 20_000)),
    transport=Transport.UDP,
)
ETHERNET_UDP = bytes(12) + bytes.fromhex(
    "08004500001c000100004011 0000c0000201c0000202 13c413c400080000".replace(" ", "")
)


def test_text():
    """Hosts, ports and transport become one expression; nothing becomes none."""
    assert filter_text(Selector()) == ""
    assert filter_text(Selector(extensions=("1",))) == ""
    assert filter_text(Selector(transport=Transport.TCP)) == "(tcp)"
    assert filter_text(SELECTOR) == (
        "(ip host 192.0.2.1 or ip6 net 2001:db8::/32) and (udp portrange 5060-5061 or udp portrange 10000-20000"
        " or ip[6:2] & 0x1fff != 0 or ip6[6] = 44)"
    )
    assert with_vlan("") == ""


@pytest.mark.parametrize("link_type", [0, 1, 101, 108, 113, 276])
@pytest.mark.parametrize("selector", [SELECTOR, Selector(transport=Transport.UDP), Selector(ports=((1, 2),))])
def test_every_selector_compiles(link_type: int, selector: Selector):
    """Every selector compiles for every link type that can be read."""
    assert compile_filter(filter_text(selector), link_type)


@pytest.mark.parametrize("expression", ["no such thing", "-z x", "port", "((", "port 99999"])
def test_wrong_expression(expression: str):
    """An expression that does not compile is refused."""
    with pytest.raises(FilterRefused):
        compile_filter(expression, 1)


def test_tags_in_front():
    """A filter for Ethernet finds its packets behind a VLAN tag too."""
    program = BpfProgram(compile_filter(with_vlan("udp port 5060"), 1))
    assert program.takes(ETHERNET_UDP, len(ETHERNET_UDP))
    tagged = ETHERNET_UDP[:12] + b"\x81\x00\x00\x05" + ETHERNET_UDP[12:]
    assert program.takes(tagged, len(tagged))
    other = ETHERNET_UDP.replace(b"\x13\xc4", b"\x13\xff")
    assert not program.takes(other, len(other))


def test_later_fragments_pass():
    """A filter on ports lets later fragments through, which have none."""
    program = BpfProgram(compile_filter(filter_text(Selector(ports=((9, 9),))), 1))
    later = ETHERNET_UDP[:20] + b"\x00\x10" + ETHERNET_UDP[22:]
    assert program.takes(later, len(later))
    assert not program.takes(ETHERNET_UDP, len(ETHERNET_UDP))


def test_empty_program_takes_everything():
    """No filter means every packet, without libpcap."""
    assert BpfProgram(b"").takes(b"", 0)


class _Header(ctypes.Structure):
    """The packet header of libpcap."""

    _fields_ = (
        ("seconds", ctypes.c_long),
        ("fraction", ctypes.c_long),
        ("caplen", ctypes.c_uint),
        ("len", ctypes.c_uint),
    )


class _Program(ctypes.Structure):
    """A program as libpcap holds it."""

    _fields_ = (("length", ctypes.c_uint), ("code", ctypes.c_void_p))


def _libpcap_takes(instructions: bytes, data: bytes, length: int) -> bool:
    libpcap: Any = ctypes.CDLL(ctypes.util.find_library("pcap"))
    code = ctypes.create_string_buffer(instructions, len(instructions))
    program = _Program(len(instructions) // 8, ctypes.addressof(code))
    header = _Header(0, 0, len(data), length)
    return bool(libpcap.pcap_offline_filter(ctypes.byref(program), ctypes.byref(header), data))


EXPRESSIONS = [
    with_vlan(filter_text(SELECTOR)),
    "len > 60 and ether[0] & 1 = 0",
    "tcp[tcpflags] & tcp-syn != 0 or udp[4:2] * 2 >= 20 + ip[0]",
    "ip[2:2] - ((ip[0] & 15) << 2) / 3 > 7 or ip6[40] | 3 = 255",
    "not ip and (arp or vlan 5 or greater 100)",
    "icmp or -ip[1] & 0xff = 1 or ip[8] % 3 = 1 or ip[9] ^ 17 = 0 or ip[5] >> 2 = 1",
]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(EXPRESSIONS), st.binary(max_size=80), st.booleans(), st.integers(0, 100))
def test_machine_agrees_with_libpcap(expression: str, noise: bytes, real: bool, more: int):
    """The machine decides as libpcap does, on real headers and on noise."""
    data = (ETHERNET_UDP + noise) if real else noise
    instructions = compile_filter(expression, 1)
    assert BpfProgram(instructions).takes(data, len(data) + more) == _libpcap_takes(
        instructions, data, len(data) + more
    )


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=80).map(lambda raw: raw[: len(raw) // 8 * 8]), st.binary(max_size=40))
def test_machine_survives_noise(instructions: bytes, data: bytes):
    """An invalid program ends with a refusal or an answer."""
    try:
        BpfProgram(instructions).takes(data, len(data))
    except FilterRefused:
        return
