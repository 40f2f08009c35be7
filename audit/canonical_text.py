"""Canonical encodings of the C2SP formats: strict base64, decimals and lines.

Each value has exactly one accepted text. Two texts of one value would let an attacker vary a signed text, and would
make equal values compare as unequal.
"""

import re
from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64

from linewarden.audit.errors import VerificationFailed
from linewarden.audit.merkle import HASH_BYTES

#: Control characters other than the newline, and surrogates, which UTF-8 cannot encode.
_FORBIDDEN = re.compile(r"[\x00-\x09\x0b-\x1f\ud800-\udfff]")
_DECIMAL = re.compile(r"0|[1-9][0-9]{0,18}")


def is_clean(text: str) -> bool:
    """Return whether the text can be encoded and has no control character other than newlines."""
    return _FORBIDDEN.search(text) is None


def check_text(text: str, limit: int, what: str) -> None:
    """Check that a text has at most `limit` characters and `is_clean`.

    Raises:
        VerificationFailed: the text is too long or not clean. The message calls it `what`, as in all functions here.
    """
    if len(text) > limit:
        raise VerificationFailed(f"{what} has more than {limit} characters")
    if not is_clean(text):
        raise VerificationFailed(f"{what} has a control character or is not UTF-8")


def to_base64(data: bytes) -> str:
    """Encode bytes as the standard base64 of RFC 4648, section 4."""
    return b2a_base64(data, newline=False).decode()


def from_base64(text: str, what: str) -> bytes:
    """Decode a base64 text.

    Raises:
        VerificationFailed: the text is not base64, or not the base64 that `to_base64` returns.
    """
    try:
        data = a2b_base64(text, strict_mode=True)
    except (Base64Error, ValueError):
        raise VerificationFailed(f"{what} is not base64") from None
    if to_base64(data) != text:  # the last character may have unused bits
        raise VerificationFailed(f"{what} is not base64 in its only form")
    return data


def from_base64_hash(text: str, what: str) -> bytes:
    """Decode the base64 text of a hash.

    Raises:
        VerificationFailed: the text is not base64 of 32 bytes.
    """
    data = from_base64(text, what)
    if len(data) != HASH_BYTES:
        raise VerificationFailed(f"{what} is not 32 bytes long")
    return data


def from_decimal(text: str, what: str) -> int:
    """Decode a decimal text.

    Raises:
        VerificationFailed: the text is not a decimal number below 2**63 without sign and leading zeros.
    """
    if not _DECIMAL.fullmatch(text) or int(text) >= 1 << 63:
        raise VerificationFailed(f"{what} is not a decimal number below 2**63")
    return int(text)
