"""Overwriting of text: every byte that is not explicitly shown is replaced, so that lengths stay the same."""

_MASK = ord("x")


class Veil:
    """A copy of `raw` that starts fully covered. `show` uncovers bytes."""

    __slots__ = ("_raw", "_shown")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._shown = bytearray([_MASK]) * len(raw)

    def show(self, begin: int, end: int) -> None:
        """Uncover the bytes."""
        self._shown[begin:end] = self._raw[begin:end]

    def hidden(self, begin: int, end: int) -> bool:
        """Return whether a byte in the range differs from the raw text."""
        return self._shown[begin:end] != self._raw[begin:end]

    def bytes(self) -> bytes:
        """Return the text that may be stored, with the length of the raw text."""
        return bytes(self._shown)


def covered(length: int) -> bytes:
    """Return `length` covered bytes."""
    return bytes([_MASK]) * length
