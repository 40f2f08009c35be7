"""Text under a mask: what is not explicitly shown is overwritten, byte for byte, so that lengths stay."""

_MASK = ord("x")


class Veil:
    """A copy of `raw` that starts fully covered. `show` uncovers; nothing covers again except `hide`."""

    __slots__ = ("_raw", "_shown")

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._shown = bytearray([_MASK]) * len(raw)

    def show(self, begin: int, end: int) -> None:
        """Let the bytes be seen."""
        self._shown[begin:end] = self._raw[begin:end]

    def hide(self, begin: int, end: int) -> None:
        """Cover the bytes again."""
        end = min(end, len(self._shown))
        self._shown[begin:end] = bytearray([_MASK]) * max(0, end - begin)

    def hidden(self, begin: int, end: int) -> bool:
        """Return whether something between the two is not as it was."""
        return self._shown[begin:end] != self._raw[begin:end]

    def bytes(self) -> bytes:
        """Return the text as it may be stored, as long as the raw text."""
        return bytes(self._shown)


def covered(length: int) -> bytes:
    """So many bytes of mask."""
    return bytes([_MASK]) * length
