"""Selected calls of a capture: by extension or Call-ID, with their media.

The ports of an ended call are forgotten, because another call that is not selected may get them.
"""

import re
from collections import OrderedDict
from typing import TypeVar

from linewarden.diagnostics.packets.model import Selector
from linewarden.diagnostics.packets.sip import Message, call_id, parties, session

_Key = TypeVar("_Key", str, bytes)
_Value = TypeVar("_Value", str, None)

_BYE = re.compile(rb"\d+\s+BYE")
_MAX_CALLS = 4_096
_MAX_ENDPOINTS = 8_192


class Dialogs:
    """The selected calls so far. The number is bounded; the least recently seen calls are forgotten and not stored."""

    def __init__(self, selector: Selector) -> None:
        self._extensions = frozenset(selector.extensions)
        self._call_ids = frozenset(selector.call_ids)
        self._all = not selector.by_dialog
        self._calls: OrderedDict[str, None] = OrderedDict()
        self._media: OrderedDict[bytes, str] = OrderedDict()

    def takes(self, message: Message, *, finished: bool) -> bool:
        """Return whether the message belongs to a selected call. Remember the call and its media addresses.

        `finished` is true if the message is complete.
        """
        if self._all:
            return True
        call = call_id(message)
        if not call or not (call in self._call_ids or call in self._calls or self._extensions & parties(message)):
            return False
        _touch(self._calls, call, None, _MAX_CALLS)
        for endpoint, _ in session(message, finished=finished):
            _touch(self._media, endpoint, call, _MAX_ENDPOINTS)
        if _ends_call(message):
            for endpoint in [endpoint for endpoint, owner in self._media.items() if owner == call]:
                del self._media[endpoint]
        return True

    def takes_media(self, source: bytes, destination: bytes) -> bool:
        """Return whether a datagram between the endpoints belongs to a selected call."""
        return self._all or source in self._media or destination in self._media

    @property
    def takes_all(self) -> bool:
        """Return whether every packet is selected."""
        return self._all


def _ends_call(message: Message) -> bool:
    """Return whether the message confirms the end of its call."""
    return message.raw.startswith(b"SIP/2.0 2") and any(map(_BYE.fullmatch, message.values(b"cseq")))


def _touch(table: OrderedDict[_Key, _Value], key: _Key, value: _Value, bound: int) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > bound:
        table.popitem(last=False)
