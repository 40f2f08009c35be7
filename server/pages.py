"""Page tokens of lists in the order newest first: the time and id of the last record of a page."""

from base64 import urlsafe_b64decode, urlsafe_b64encode

import orjson

from linewarden.audit.errors import PageTokenInvalid
from linewarden.diagnostics.store.records import StoredRecord


def write_token(last: StoredRecord) -> str:
    """Return the token for the page after this record."""
    return urlsafe_b64encode(orjson.dumps([last.created_us, last.id])).decode()


def read_token(token: str) -> tuple[int, str] | None:
    """Return the position after which the page begins; None for the first page.

    Raises:
        PageTokenInvalid: the token does not parse.
    """
    if not token:
        return None
    try:
        at, id = orjson.loads(urlsafe_b64decode(token))
    except (ValueError, TypeError):
        raise PageTokenInvalid("not a token") from None
    if not isinstance(at, int) or not isinstance(id, str) or abs(at) >= 1 << 62:
        raise PageTokenInvalid("not a token")
    return at, id
