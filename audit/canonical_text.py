"""Texts with one spelling only: strict base64, decimals and lines, as the C2SP formats have them.

Two texts that mean the same would let somebody vary what was signed or compare unequal what is equal, so of all
spellings one is accepted.
"""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

from linewarden.audit.errors import VerificationFailed
from linewarden.audit.merkle import HASH_BYTES

#: Control characters other than the newline, and what no UTF-8 can hold.
_FORBIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


def is_clean(text: str) -> bool:
    """Return whether the text can be encoded and has no control characters other than newlines."""
    return _FORBIDDEN.search(text) is None


def check_text(text: str, limit: int, what: str) -> None:
    """Check that a text has at most `limit` characters and `is_clean`.

    Raises:
        VerificationFailed: it is not so; the message calls the text `what`, as in all functions here.
    """
    if len(text) > limit:
        raise VerificationFailed(f"{what} has more than {limit} characters")
    if not is_clean(text):
        raise VerificationFailed(f"{what} has a control character or is not UTF-8")


def to_base64(data: bytes) -> str:
    """Return the standard base64 of RFC 4648, section 4."""
    return b2a_base64(data, newline=False).decode()


def from_base64(text: str, what: str) -> bytes:
    """Return the bytes of a base64 text.

    Raises:
        VerificationFailed: it is not base64, or not the base64 that `to_base64` makes.
    """
    try:
        data = a2b_base64(text, strict_mode=True)
    except (Base64Error, ValueError):
        raise VerificationFailed(f"{what} is not base64") from None
    if to_base64(data) != text:  # bits may be left over in the last character
        raise VerificationFailed(f"{what} is not base64 in its only form")
    return data


def from_base64_hash(text: str, what: str) -> bytes:
    """Return the hash of a base64 text.

    Raises:
        VerificationFailed: it is not base64 of 32 bytes.
    """
    data = from_base64(text, what)
    if len(data) != HASH_BYTES:
        raise VerificationFailed(f"{what} is not 32 bytes long")
    return data


def from_decimal(text: str, what: str) -> int:
    """Return the number of a decimal text.

    Raises:
        VerificationFailed: it is not one without sign and leading zeros, below 2**63.
    """
    if not _DECIMAL.fullmatch(text) or int(text) >= 1 << 63:
        raise VerificationFailed(f"{what} is not a decimal number below 2**63")
    return int(text)
