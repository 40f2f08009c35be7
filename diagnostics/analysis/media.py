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


@dataclass(slots=True)
class FaxPhase:
    """The time of a call in which its media is T.38 (ITU-T T.38 annex D); `end_ns` is None without an end."""

    begin_ns: int
    end_ns: int | None = None
    packets: int = 0


class Announcements:
    """The latest announcement for each address, and the phases of fax, at most `limit` of each."""

    def __init__(self, limit: int, omitted: Counter[Omission]) -> None:
        self._limit = limit
        self._omitted = omitted
        self._by_address: OrderedDict[tuple[str, int], Announcement] = OrderedDict()
        self._fax: dict[str, list[FaxPhase]] = {}
        self._phases = 0

    def learn(self, message: SipMessage) -> None:
        """Take the media sections of a message."""
        for media in message.media:
            if media.port and media.address:
                self._put(media, message.call_id)
        if 200 <= message.status < 300:
            self._answered({media.kind for media in message.media if media.port}, message)

    def find(self, source: Endpoint, destination: Endpoint) -> Announcement | None:
        """The announcement for a packet: the receiver's, whose numbering counts (RFC 3264 section 5.1).

        The sender's stands in where the receiver is behind address translation, or its message was not captured.
        """
        return self._by_address.get(destination) or self._by_address.get(source)

    def formats(self, at: Endpoint) -> frozenset[int] | None:
        """Return the payload types that the owner of an address asked for; None if it announced nothing."""
        known = self._by_address.get(at)
        return known.formats if known else None

    def fax_phases(self, call_id: str) -> tuple[FaxPhase, ...]:
        """Return the phases of a call, in the order of time."""
        return tuple(self._fax.get(call_id, ()))

    def fax_between(self, call_id: str, begin_ns: int, end_ns: int) -> FaxPhase | None:
        """Return the phase of a call that overlaps a time."""
        for phase in self._fax.get(call_id, ()):
            if phase.begin_ns <= end_ns and (phase.end_ns is None or begin_ns <= phase.end_ns):
                return phase
        return None

    def _answered(self, kinds: set[str], message: SipMessage) -> None:
        """Take what was agreed: an image begins a phase, audio without one ends it."""
        phases = self._fax.get(message.call_id, [])
        is_open = bool(phases) and phases[-1].end_ns is None
        if "image" in kinds and not is_open and self._phases < self._limit:
            self._phases += 1
            self._fax.setdefault(message.call_id, []).append(FaxPhase(message.time_ns))
        elif kinds == {"audio"} and is_open:
            phases[-1].end_ns = message.time_ns

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
