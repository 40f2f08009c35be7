"""Pages of lists in the order newest first. A token is the time and id of the last record of a page."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

import orjson

from linewarden.audit.errors import PageTokenInvalid
from linewarden.diagnostics.store.records import StoredRecord

#: The default number of records on a page.
DEFAULT_PAGE_SIZE = 20


def asked_page(request: Any) -> tuple[tuple[int, str] | None, int]:
    """Return the position after which the page of a request begins, None for the first page, and its size.

    Raises:
        PageTokenInvalid: the token does not parse.
    """
    return read_token(request.page_token), request.page_size or DEFAULT_PAGE_SIZE


def next_token(shown: Sequence[tuple[StoredRecord, Any]], *, more: bool) -> str:
    """Return the token for the page after the shown one, empty if there are no more records."""
    return write_token(shown[-1][0]) if more else ""


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
