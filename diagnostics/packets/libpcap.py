"""Filters compiled by libpcap, in this process. The only file that imports scapy, and only its bindings.

`scapy.libs.winpcapy` finds and loads libpcap on every system. It does not load scapy's configuration or plugins, which
a privileged process does not need.
"""

import ctypes
from typing import Any

from linewarden.diagnostics.packets.dissect import LINKTYPE_ETHERNET
from linewarden.diagnostics.packets.errors import FailureCode, FilterRefused
from linewarden.diagnostics.packets.filters import with_vlan

_SNAPLEN = 262_144
#: The longest program that the kernel accepts (BPF_MAXINSNS).
_MOST_INSTRUCTIONS = 4_096
_NO_NETMASK = -1
_INSTRUCTION_BYTES = 8
#: In files raw IP is 101 on every system. Inside libpcap the number differs; on Linux it is 12.
_LINKTYPE_RAW, _DLT_RAW = 101, 12


def load() -> Any:
    """Return the bindings to libpcap. Load them the first time. Raise FilterRefused if scapy or libpcap is missing."""
    try:
        from scapy.libs import winpcapy  # noqa: PLC0415 - a capture file without a filter needs no libpcap
    except (ImportError, OSError):
        text = "filters need scapy and libpcap: install linewarden[capture] and libpcap0.8"
        raise FilterRefused(text, FailureCode.LIBPCAP) from None
    return winpcapy


def compile_filter(expression: str, link_type: int) -> bytes:
    """Return the program for `expression`, in the form of the kernel: 8 bytes per instruction.

    Raise FilterRefused if the expression does not compile for this link type, if the program is too long, or if
    scapy or libpcap is missing.
    """
    pcap = load()
    program = pcap.bpf_program()
    text = ctypes.create_string_buffer(expression.encode())
    handle = pcap.pcap_open_dead(_DLT_RAW if link_type == _LINKTYPE_RAW else link_type, _SNAPLEN)
    try:
        if pcap.pcap_compile(handle, ctypes.byref(program), text, 1, _NO_NETMASK):
            raise FilterRefused("the filter does not compile")
    finally:
        pcap.pcap_close(handle)
    address = ctypes.cast(program.bf_insns, ctypes.c_void_p).value or 0
    instructions = ctypes.string_at(address, program.bf_len * _INSTRUCTION_BYTES)
    pcap.pcap_freecode(ctypes.byref(program))
    if len(instructions) > _MOST_INSTRUCTIONS * _INSTRUCTION_BYTES:
        raise FilterRefused("the filter is too long")
    return instructions


def compile_on_ethernet(expression: str) -> bytes:
    """Compile an expression for Ethernet frames with and without a VLAN tag; see `compile_filter`.

    The expression must also compile alone, or its parentheses could close those that are put around it.
    """
    compile_filter(expression, LINKTYPE_ETHERNET)
    return compile_filter(with_vlan(expression), LINKTYPE_ETHERNET)
