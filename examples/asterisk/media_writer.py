"""Small files of the kinds a telephone system keeps: speech as RIFF PCM, a fax page as TIFF class F."""

import io
import math
import struct
import wave

_RATE = 8000
_WIDTH = 1728
_ROWS = 64
# ITU-T T.4: end of line; then one white run of 1728 pixels, which is the make-up code of 1728 and a terminating 0.
_EOL, _WHITE_ROW = "000000000001", "01001101100110101"


def speech(pitch: int, milliseconds: int) -> bytes:
    """Return a tone of `pitch` hertz as a WAV file: one channel, 8 kHz, 16 bit."""
    samples = (int(6000 * math.sin(2 * math.pi * pitch * i / _RATE)) for i in range(_RATE * milliseconds // 1000))
    data = b"".join(struct.pack("<h", sample) for sample in samples)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(_RATE)
        file.writeframes(data)
    return buffer.getvalue()


def fax_page(rows: int = _ROWS) -> bytes:
    """Return a blank page as TIFF-F (RFC 2306): little-endian, one strip, T.4 one-dimensional."""
    strip = _packed((_EOL + _WHITE_ROW) * rows)
    count = 16
    resolution = 8 + 2 + 12 * count + 4
    tags = (
        (254, 4, 2), (256, 4, _WIDTH), (257, 4, rows), (258, 3, 1), (259, 3, 3), (262, 3, 0), (266, 3, 2),
        (273, 4, resolution + 16), (277, 3, 1), (278, 4, rows), (279, 4, len(strip)), (282, 5, resolution),
        (283, 5, resolution + 8), (292, 4, 0), (296, 3, 2), (297, 3, 0x10000),
    )  # fmt: skip
    directory = b"".join(struct.pack("<HHII", tag, kind, 2 if tag == 297 else 1, value) for tag, kind, value in tags)
    header = b"II*\0" + struct.pack("<IH", 8, count)
    return header + directory + struct.pack("<IIIII", 0, 204, 1, 196, 1) + strip


def _packed(bits: str) -> bytes:
    """Return bits filled from the least significant one, as FillOrder 2 requires."""
    padded = bits + "0" * (-len(bits) % 8)
    return bytes(int(padded[i : i + 8][::-1], 2) for i in range(0, len(padded), 8))
