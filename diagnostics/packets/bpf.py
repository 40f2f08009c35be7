"""The classic BPF machine, for the packets of a capture file. The kernel runs the same programs on an interface.

After McCanne and Jacobson, The BSD Packet Filter (1993). A load beyond the packet ends the program with "no".
"""

import struct
from collections.abc import Callable

from linewarden.diagnostics.packets.errors import FilterRefused

_WORD = 0xFFFFFFFF
_INSTRUCTION = struct.Struct("=HBBI")
_SIZES = {0x00: 4, 0x08: 2, 0x10: 1}
_SCRATCH_WORDS = 16
_LD, _LDX, _ST, _STX, _ALU, _JMP, _RET, _MISC = range(8)

_ALU_OPERATIONS: dict[int, Callable[[int, int], int]] = {
    0x00: lambda a, b: a + b,
    0x10: lambda a, b: a - b,
    0x20: lambda a, b: a * b,
    0x30: lambda a, b: a // b,
    0x40: lambda a, b: a | b,
    0x50: lambda a, b: a & b,
    0x60: lambda a, b: a << b if b < 32 else 0,
    0x70: lambda a, b: a >> b if b < 32 else 0,
    0x80: lambda a, _: -a,
    0x90: lambda a, b: a % b,
    0xA0: lambda a, b: a ^ b,
}
_JUMPS: dict[int, Callable[[int, int], bool]] = {
    0x10: lambda a, b: a == b,
    0x20: lambda a, b: a > b,
    0x30: lambda a, b: a >= b,
    0x40: lambda a, b: a & b != 0,
}


class BpfProgram:
    """A filter program for packets."""

    def __init__(self, instructions: bytes) -> None:
        """Take 8 bytes per instruction, in host order. Without instructions every packet passes."""
        self._code = list(_INSTRUCTION.iter_unpack(instructions))

    def takes(self, data: bytes, original_length: int) -> bool:
        """Return whether the packet passes. Raise FilterRefused for an invalid program."""
        try:
            return not self._code or _Machine(data, original_length).run(self._code) != 0
        except (_BeyondPacket, ZeroDivisionError):
            return False
        except (IndexError, KeyError):
            raise FilterRefused("not a filter program") from None


class _BeyondPacket(Exception):
    """A load passed the end of the packet."""


class _Machine:
    """Accumulator, index register, scratch memory."""

    def __init__(self, data: bytes, original_length: int) -> None:
        self._data = data
        self._length = original_length
        self._a = 0
        self._x = 0
        self._memory = [0] * _SCRATCH_WORDS

    def run(self, code: list[tuple[int, int, int, int]]) -> int:
        at = 0
        while True:
            op, if_true, if_false, k = code[at]
            at += 1
            kind = op & 0x07
            if kind == _RET:
                return self._a if op & 0x18 == 0x10 else k
            if kind == _JMP:
                at += self._jump(op, if_true, if_false, k)
            else:
                self._step(kind, op, k)

    def _jump(self, op: int, if_true: int, if_false: int, k: int) -> int:
        if op & 0xF0 == 0:
            return k
        operand = self._x if op & 0x08 else k
        return if_true if _JUMPS[op & 0xF0](self._a, operand) else if_false

    def _step(self, kind: int, op: int, k: int) -> None:
        if kind == _LD:
            self._a = self._load(op, k)
        elif kind == _LDX:
            self._x = self._header_length(k) if op & 0xE0 == 0xA0 else self._load(op, k)
        elif kind == _ST:
            self._memory[k] = self._a
        elif kind == _STX:
            self._memory[k] = self._x
        elif kind == _ALU:
            self._a = _ALU_OPERATIONS[op & 0xF0](self._a, self._x if op & 0x08 else k) & _WORD
        elif op & 0x80:
            self._a = self._x
        else:
            self._x = self._a

    def _load(self, op: int, k: int) -> int:
        mode = op & 0xE0
        if mode in {0x20, 0x40}:
            return self._at(k + (self._x if mode == 0x40 else 0), _SIZES[op & 0x18])
        return {0x00: k, 0x60: self._memory[k % _SCRATCH_WORDS], 0x80: self._length}[mode]

    def _at(self, offset: int, size: int) -> int:
        if offset + size > len(self._data):
            raise _BeyondPacket
        return int.from_bytes(self._data[offset : offset + size], "big")

    def _header_length(self, k: int) -> int:
        return 4 * (self._at(k, 1) & 0x0F)
