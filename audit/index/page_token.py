"""Page tokens: the query and the place at which its next page begins."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error

import orjson

from linewarden.audit.errors import PageTokenInvalid

_TOKEN_VERSION = 2


def write_token(digest: str, size: int, after: int) -> str:
    """Return the token of the page that begins after an ordinal, of the query with a digest over `size` entries."""
    return urlsafe_b64encode(orjson.dumps([_TOKEN_VERSION, digest, size, after])).decode()


def read_token(token: str, expected: str) -> tuple[int, int]:
    """Return the size and the ordinal of a token.

    Raises:
        PageTokenInvalid: it is not a token of the query whose digest is `expected`.
    """
    try:
        version, digest, size, after = orjson.loads(urlsafe_b64decode(token))
        fits = version == _TOKEN_VERSION and digest == expected
        if fits and type(size) is type(after) is int and 0 < size < 1 << 40 and 0 <= after < 1 << 38:
            return size, after
    except (Base64Error, ValueError, TypeError):
        pass
    raise PageTokenInvalid("the page token does not belong to this query: use the token of its previous page")
