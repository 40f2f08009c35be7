"""Which calls a capture is about, when it is about calls: by extension, by Call-ID, and their media.

When a call has ended its ports will be given to another, which nobody asked for: so they are forgotten with it.
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
    """The selected calls seen so far. Bounded; the ones unheard of for longest are forgotten, and then not stored."""

    def __init__(self, selector: Selector) -> None:
        self._extensions = frozenset(selector.extensions)
        self._wanted = frozenset(selector.call_ids)
        self._all = not selector.by_dialog
        self._calls: OrderedDict[str, None] = OrderedDict()
        self._media: OrderedDict[bytes, str] = OrderedDict()

    def takes(self, message: Message, *, finished: bool) -> bool:
        """Return whether the message belongs to a selected call. Remembers the call and its media addresses.

        `finished` says whether all of the message has come.
        """
        if self._all:
            return True
        call = call_id(message)
        if not call or not (call in self._wanted or call in self._calls or self._extensions & parties(message)):
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
        """Return whether every packet is meant."""
        return self._all


def _ends_call(message: Message) -> bool:
    """Return whether the message agrees to the end of its call."""
    return message.raw.startswith(b"SIP/2.0 2") and any(map(_BYE.fullmatch, message.values(b"cseq")))


def _touch(table: OrderedDict[_Key, _Value], key: _Key, value: _Value, bound: int) -> None:
    table[key] = value
    table.move_to_end(key)
    if len(table) > bound:
        table.popitem(last=False)
