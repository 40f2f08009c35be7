"""Announcements of media: transport address -> call and codecs, from session descriptions as they pass."""

from collections import Counter, OrderedDict
from dataclasses import dataclass, replace

from linewarden.diagnostics.analysis.model import Endpoint, Omission
from linewarden.diagnostics.analysis.payload_types import Codec
from linewarden.diagnostics.analysis.sdp import Media
from linewarden.diagnostics.analysis.sip import SipMessage


@dataclass(frozen=True, slots=True)
class Announcement:
    """The media that the owner of an address announced to receive there. `formats`: all payload types it asked for."""

    at: tuple[str, int]
    call_id: str
    kind: str
    encrypted: bool
    codecs: dict[int, Codec]
    formats: frozenset[int] = frozenset()


class Announcements:
    """The latest announcement for each address, at most `limit`."""

    def __init__(self, limit: int, omitted: Counter[Omission]) -> None:
        self._limit = limit
        self._omitted = omitted
        self._by_address: OrderedDict[tuple[str, int], Announcement] = OrderedDict()

    def learn(self, message: SipMessage) -> None:
        """Take the media sections of a message."""
        for media in message.media:
            if media.port and media.address:
                self._put(media, message.call_id)

    def find(self, source: Endpoint, destination: Endpoint) -> Announcement | None:
        """The announcement for a packet: the receiver's, whose numbering counts (RFC 3264 section 5.1).

        The sender's stands in where the receiver is behind address translation, or its message was not captured.
        """
        return self._by_address.get(destination) or self._by_address.get(source)

    def _put(self, media: Media, call_id: str) -> None:
        key = (media.address, media.port)
        before = self._by_address.pop(key, None)
        if before is None and len(self._by_address) >= self._limit:
            self._by_address.popitem(last=False)
            self._omitted[Omission.ANNOUNCEMENT_OVER_LIMIT] += 1
        formats = frozenset(media.formats)
        known = Announcement(key, call_id, media.kind, media.encrypted, dict(media.codecs), formats)
        if before is not None and before.call_id == call_id:
            # A new offer may leave out numbers that packets under way still use.
            known = replace(known, codecs={**before.codecs, **known.codecs}, formats=before.formats | formats)
        self._by_address[key] = known
