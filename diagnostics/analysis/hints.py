"""Hints: the first places to look for a fault, in one sentence each.

A hint states what the capture shows, and not why. Media in one direction only may come from the network, or from a
capture at a place where the other direction does not pass.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType

from linewarden.diagnostics.analysis.arrows import Ladder
from linewarden.diagnostics.analysis.attempts import Authentication, AuthOutcome
from linewarden.diagnostics.analysis.calls import Call, CallState, Side
from linewarden.diagnostics.analysis.media import FaxPhase
from linewarden.diagnostics.analysis.media_hints import find_echoes, find_fax, find_quality, find_reported
from linewarden.diagnostics.analysis.model import Endpoint
from linewarden.diagnostics.analysis.payload_types import NOT_SPEECH
from linewarden.diagnostics.analysis.registrations import Registration, RegistrationState
from linewarden.diagnostics.analysis.sdp import MORE, MediaSummary
from linewarden.diagnostics.analysis.stream_report import StreamReport
from linewarden.diagnostics.analysis.trouble import Hint, Trouble
from linewarden.diagnostics.analysis.voice_reports import VoiceReport

#: So many packets show that media flowed, and not only that a port was tried.
_MIN_PACKETS = 10

#: Sent again so often, a message was without answer for more than a second (RFC 3261 timers A, E and G).
_MANY_AGAIN = 3

#: A conversation does not end so soon after the answer, a call whose media fail does.
_SHORT_MS = 3_000.0

#: Unsupported Media Type, Not Acceptable Here, Not Acceptable: the description is what was refused.
_REFUSES_MEDIA = frozenset({415, 488, 606})


#: Most hints of one kind in one call; a malicious capture has thousands of streams in one.
_MOST = 10

#: Most hints of one kind about streams that belong to no call.
_MOST_LONE = 100


def find_hints(
    calls: Iterable[Call],
    registrations: Iterable[Registration],
    streams: Sequence[StreamReport],
    ladders: Iterable[Ladder],
    fax: Mapping[str, Sequence[FaxPhase]] = MappingProxyType({}),
    reported: Iterable[VoiceReport] = (),
    *,
    has_holes: bool = False,
) -> tuple[Hint, ...]:
    """All hints, registrations first, then call by call, then those of streams and reports that belong to no call.

    `fax` has the phases of T.38 by call. `has_holes` tells that the capture itself lost packets or was paused.
    """
    shown = {ladder.call_id: ladder for ladder in ladders}
    media: dict[str, list[StreamReport]] = {}
    for stream in streams:
        media.setdefault(stream.call_id, []).append(stream)
    found: list[Hint] = []
    for registration in registrations:
        found += _of_registration(registration)
    for call in calls:
        ladder, own = shown[call.call_id], media.get(call.call_id, [])
        found += _of_signalling(call, ladder)
        found += islice(_of_codecs(call, ladder, own), _MOST)
        if call.answer_ns is not None:
            found += islice(_of_media(call, ladder, own, any_media=bool(streams)), _MOST)
        found += islice(find_quality(own, has_holes=has_holes), _MOST)
        found += islice(find_echoes(own), _MOST)
        found += islice(find_fax(call.call_id, call.setup_ns, fax.get(call.call_id, ())), _MOST)
        media.pop(call.call_id, None)
    lone = [stream for own in media.values() for stream in own]
    found += islice(find_quality(lone, has_holes=has_holes), _MOST_LONE)
    found += islice(find_echoes(lone), _MOST_LONE)
    found += islice(find_reported(reported), _MOST_LONE)
    return tuple(found)


def _of_registration(registration: Registration) -> Iterator[Hint]:
    state, authentication = registration.state, registration.authentication
    if authentication.failed:
        yield Hint(Trouble.AUTHENTICATION, registration.call_id, f"{registration.account}: {_refusals(authentication)}")
    elif state not in {RegistrationState.REGISTERED, RegistrationState.REMOVED}:
        status = f" ({registration.final_status})" if registration.final_status else ""
        word = state.replace("_", " ")
        text = f"{registration.account}: {word}{status}, {registration.requests} requests"
        yield Hint(Trouble.REGISTRATION, registration.call_id, text)


def _of_signalling(call: Call, ladder: Ladder) -> Iterator[Hint]:
    if call.authentication.failed:
        text = f"{call.caller}: {_refusals(call.authentication)}, {call.final_status} {call.final_reason}"
        yield Hint(Trouble.AUTHENTICATION, call.call_id, text.rstrip())
    if call.state is CallState.ATTEMPTED:
        yield Hint(Trouble.NO_RESPONSE, call.call_id, f"{call.callee}: nothing came back")
    if call.retransmissions >= _MANY_AGAIN:
        again = Counter(arrow.label for arrow in ladder.arrows if arrow.resent)
        text = ", ".join(f"{label} {count} times" for label, count in again.most_common(3)) or "the later messages"
        yield Hint(Trouble.REPEATED, call.call_id, f"sent again: {text}")
    if call.unacknowledged:
        yield Hint(Trouble.UNACKNOWLEDGED, call.call_id, "the answer was not acknowledged")
    if call.state is CallState.COMPLETED and call.talk_ms is not None and call.talk_ms < _SHORT_MS:
        side = "" if call.ended_by in {None, Side.UNKNOWN} else f" by the {call.ended_by}"
        yield Hint(Trouble.SHORT, call.call_id, f"ended{side} {call.talk_ms / 1000:.1f} s after the answer")


def _refusals(authentication: Authentication) -> str:
    if authentication.outcome is AuthOutcome.FORBIDDEN:
        return "forbidden"
    return f"credentials refused {authentication.refused} times"


def _of_codecs(call: Call, ladder: Ladder, streams: Iterable[StreamReport]) -> Iterator[Hint]:
    offer, answer = _speech(ladder, request=True), _speech(ladder, request=False)
    if call.final_status in _REFUSES_MEDIA:
        offered = f"offered {offer}: " if offer else ""
        yield Hint(Trouble.REFUSED_MEDIA, call.call_id, f"{offered}{call.final_status} {call.final_reason}".rstrip())
    for where, label in _without_format(ladder).items():
        yield Hint(Trouble.NO_FORMAT, call.call_id, f"{label}: the m= line of audio at {where} lists no format")
    if offer and answer and offer.port and answer.port and _disjoint(offer, answer):
        text = f"offered {' '.join(offer.codecs)}, answered {' '.join(answer.codecs)}"
        yield Hint(Trouble.CODEC, call.call_id, text)
    for stream in streams:
        unasked = [kind for kind in stream.unasked_types if kind not in stream.unnamed_types]
        if stream.unnamed_types:
            kinds = " ".join(str(kind) for kind in stream.unnamed_types)
            text = f"{stream.destination} is sent payload type {kinds}, which neither side named"
            yield Hint(Trouble.UNNAMED_CODEC, call.call_id, text)
        if unasked:
            kinds = " ".join(str(kind) for kind in unasked)
            text = f"{stream.destination} is sent payload type {kinds}, for which it did not ask"
            yield Hint(Trouble.CODEC, call.call_id, text)


def _speech(ladder: Ladder, *, request: bool) -> MediaSummary | None:
    """The first audio session that a request, or an answer, of the call describes."""
    for arrow in ladder.arrows:
        if arrow.is_request is request:
            for session in arrow.sessions:
                if session.kind == "audio":
                    return session
    return None


def _without_format(ladder: Ladder) -> dict[Endpoint, str]:
    """Return the addresses of audio whose description names no codec, with the first message that says so."""
    found: dict[Endpoint, str] = {}
    for arrow in ladder.arrows:
        for session in arrow.sessions:
            if session.kind == "audio" and session.port and not session.codecs:
                found.setdefault(Endpoint(session.address, session.port), arrow.label)
    return found


def _disjoint(offer: MediaSummary, answer: MediaSummary) -> bool:
    """Tell whether both name codecs, and none for speech is in both or may be among those that were left out."""
    if not offer.codecs or not answer.codecs or MORE in {*offer.codecs, *answer.codecs}:
        return False
    return not ({*offer.codecs} & {*answer.codecs}) - NOT_SPEECH


def _of_media(call: Call, ladder: Ladder, streams: Sequence[StreamReport], *, any_media: bool) -> Iterator[Hint]:
    sessions = [session for arrow in ladder.arrows for session in arrow.sessions]
    if any_media and not streams and any(session.port for session in sessions):
        yield Hint(Trouble.NO_MEDIA, call.call_id, "answered, and no media are in the capture")
    flowing = [stream for stream in streams if stream.packets >= _MIN_PACKETS]
    wanted: dict[tuple[str, int], str] = {}
    for session in sessions:
        # What was wanted at first counts: a call may be put on hold because nothing is heard.
        wanted.setdefault((session.address, session.port), session.direction)
    for stream in _one_way(flowing):
        if wanted.get(stream.source) != "sendonly" and wanted.get(stream.destination) != "recvonly":
            text = f"only from {stream.source} to {stream.destination}, {stream.packets} packets"
            yield Hint(Trouble.ONE_WAY, call.call_id, text)


def _one_way(streams: Sequence[StreamReport]) -> Iterator[StreamReport]:
    """Streams of which one end only sends or the other only receives.

    A gateway may send from one address and receive on another. Then there is one end of either kind, and only a stream
    between the two is one-way.
    """
    sending = {_place(stream, stream.source) for stream in streams}
    receiving = {_place(stream, stream.destination) for stream in streams}
    deaf, mute = sending - receiving, receiving - sending
    for stream in streams:
        from_deaf, to_mute = _place(stream, stream.source) in deaf, _place(stream, stream.destination) in mute
        if (from_deaf and (to_mute or not mute)) or (to_mute and not deaf):
            yield stream


def _place(stream: StreamReport, end: Endpoint) -> str:
    """Ports may differ by direction, so a host counts; where both ends are on one, only ports tell them apart."""
    return str(end) if stream.source.address == stream.destination.address else end.address
