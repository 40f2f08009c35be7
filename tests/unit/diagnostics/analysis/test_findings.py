"""Findings: each fault that a capture shows is named, and a healthy call gives none."""

import struct
from collections.abc import Sequence

import pytest

from linewarden.diagnostics.analysis.engine import Analyser
from linewarden.diagnostics.analysis.ladder import render_ladder
from linewarden.diagnostics.analysis.model import Frame, InterfaceCount, Limits
from linewarden.diagnostics.analysis.picture import draw_ladder
from linewarden.diagnostics.analysis.report import Report
from linewarden.diagnostics.analysis.tables import render_report
from linewarden.diagnostics.analysis.trouble import Trouble

A, B, RELAY, OTHER = 1, 2, 3, 4
PORTS = {A: 4_000, B: 6_000, RELAY: 8_000, OTHER: 9_000}
CHALLENGE = 'WWW-Authenticate: Digest realm="r", nonce="n{}"\r\n'
CREDENTIALS = 'Authorization: Digest username="a", nonce="n{}"\r\n'


def _frame(at_ms: int, source: int, destination: int, ports: tuple[int, int], data: bytes) -> Frame:
    udp = struct.pack("!4H", *ports, 8 + len(data), 0) + data
    ends = bytes([10, 0, 0, source, 10, 0, 0, destination])
    whole = struct.pack("!2B3H2BH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + ends + udp
    return Frame(at_ms * 1_000_000, 101, whole, len(whole))


def _sdp(host: int, formats: str, more: str = "", port: int | None = None) -> str:
    place = PORTS[host] if port is None else port
    return f"v=0\r\nc=IN IP4 10.0.0.{host}\r\nm=audio {place} RTP/AVP {formats}\r\n{more}"


def _sip(
    at_ms: int, way: str, start: str, cseq: str, *, body: str = "", extra: str = "", call: str = "c"
) -> Sequence[Frame]:
    """`way` is ">" from caller to callee or "<"."""
    first = f"SIP/2.0 {start}" if start[0].isdigit() else f"{start} sip:b@h SIP/2.0"
    tag = "" if start in {"INVITE", "REGISTER", "CANCEL"} else ";tag=b"
    kind = "Content-Type: application/sdp\r\n" if body else ""
    text = (
        f"{first}\r\nVia: SIP/2.0/UDP h;branch=z{cseq.replace(' ', '')}\r\nFrom: <sip:a@h>;tag=a\r\n"
        f"To: <sip:b@h>{tag}\r\nCall-ID: {call}\r\nCSeq: {cseq}\r\n{extra}{kind}"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    ends = (A, B) if way == ">" else (B, A)
    return [_frame(at_ms, *ends, (5_060, 5_060), text.encode())]


def _rtp(source: int, destination: int, *, kind: int = 0, count: int = 20, to: int | None = None) -> Sequence[Frame]:
    ports = (PORTS[source], PORTS[destination] if to is None else to)
    packets = (struct.pack("!2BHII", 0x80, kind, at, 160 * at, source * 16 + kind) + bytes(160) for at in range(count))
    return [_frame(1_000 + 20 * at, source, destination, ports, packet) for at, packet in enumerate(packets)]


def _report(*parts: Sequence[Frame]) -> Report:
    analyser = Analyser(Limits())
    for frame in sorted((frame for part in parts for frame in part), key=lambda frame: frame.time_ns):
        analyser.add(frame)
    return analyser.finish([InterfaceCount("eth0", dropped=0)])


def _call(offer: str, answer: str, *, end_ms: int = 9_000) -> Sequence[Frame]:
    return [
        *_sip(0, ">", "INVITE", "1 INVITE", body=offer),
        *_sip(500, "<", "200 OK", "1 INVITE", body=answer),
        *_sip(510, ">", "ACK", "1 ACK"),
        *_sip(end_ms, ">", "BYE", "2 BYE"),
    ]


def _troubles(report: Report) -> list[tuple[Trouble, str]]:
    return [(finding.trouble, finding.text) for finding in report.findings]


GOOD = _call(_sdp(A, "0 8"), _sdp(B, "0"))


def test_a_healthy_call_has_no_findings():
    """Media both ways, an answer acknowledged, a codec agreed: nothing to look at."""
    report = _report(GOOD, _rtp(A, B), _rtp(B, A))
    assert report.findings == ()
    assert "Findings" not in render_report(report)


def test_media_in_one_direction_are_found():
    """Where only one end is heard, the finding names the direction that is there."""
    report = _report(GOOD, _rtp(A, B))
    assert _troubles(report) == [(Trouble.ONE_WAY, "only from 10.0.0.1:4000 to 10.0.0.2:6000, 20 packets")]


def test_media_in_one_direction_are_found_behind_a_relay():
    """Where a relay hears both ends and speaks to one, the end that hears nothing is found."""
    through = _call(_sdp(A, "0"), _sdp(RELAY, "0"))
    more = _sip(0, ">", "UPDATE", "5 UPDATE", body=_sdp(B, "0"))
    report = _report(through, more, _rtp(A, RELAY), _rtp(RELAY, B), _rtp(B, RELAY))
    assert [trouble for trouble, _ in _troubles(report)] == [Trouble.ONE_WAY]
    assert "only from 10.0.0.1:4000" in report.findings[0].text


def test_a_gateway_with_two_addresses_is_no_fault():
    """Media that go to one address and come from another of the same gateway are both ways."""
    assert _report(GOOD, _rtp(A, B), _rtp(OTHER, A)).findings == ()


def test_ends_on_one_host_are_told_apart_by_port():
    """Where both ends are on one host, media in one direction are still found."""
    there, back = _sdp(A, "0"), _sdp(A, "0", port=4_100)
    assert [trouble for trouble, _ in _troubles(_report(_call(there, back), _rtp(A, A, to=4_100)))] == [Trouble.ONE_WAY]


@pytest.mark.parametrize(
    ("offer", "answer"),
    [(_sdp(A, "0", "a=recvonly\r\n"), _sdp(B, "0")), (_sdp(A, "0"), _sdp(B, "0", "a=sendonly\r\n"))],
    ids=["recvonly", "sendonly"],
)
def test_media_that_were_wanted_one_way_are_no_fault(offer: str, answer: str):
    """A recorder that only listens, and an announcement that only speaks, are as described."""
    assert _report(_call(offer, answer), _rtp(B, A)).findings == ()


def test_a_call_without_media_is_found_where_the_capture_has_media():
    """Silence is a finding beside another call's media, and none in a capture that holds signalling only."""
    assert _report(GOOD).findings == ()
    other = _sip(0, ">", "INVITE", "1 INVITE", body=_sdp(OTHER, "0"), call="other")
    found = _troubles(_report(GOOD, other, _rtp(RELAY, OTHER)))
    assert (Trouble.NO_MEDIA, "answered, and no media are in the capture") in found


def test_an_answer_without_a_common_codec_is_found():
    """Offer and answer that share no codec for speech are named with what they hold; a shared digit does not help."""
    digit = "a=rtpmap:101 telephone-event/8000\r\n"
    report = _report(_call(_sdp(A, "0 101", digit), _sdp(B, "8 101", digit)))
    assert _troubles(report) == [(Trouble.CODEC, "offered PCMU TELEPHONE-EVENT, answered PCMA TELEPHONE-EVENT")]


def test_codecs_beyond_what_is_kept_are_not_judged():
    """An offer longer than what is kept of it may hold the answer's codec, so nothing is said."""
    offer = _sdp(A, "0 8 3 4 9 15 18 5 12 97", "a=rtpmap:97 iLBC/8000\r\n")
    assert _report(_call(offer, _sdp(B, "97", "a=rtpmap:97 iLBC/8000\r\n"))).findings == ()


def test_a_payload_type_nobody_asked_for_is_found():
    """A sender that uses what the receiver did not announce is found; comfort noise is let pass."""
    media = [_rtp(A, B), _rtp(B, A), _rtp(A, B, kind=8), _rtp(A, B, kind=13)]
    assert _troubles(_report(GOOD, *media)) == [
        (Trouble.CODEC, "10.0.0.2:6000 is sent payload type 8, for which it did not ask")
    ]


def test_a_codec_that_neither_side_named_is_found():
    """A payload type that stands in neither description is told apart from one that the sender alone announced."""
    assert _troubles(_report(GOOD, _rtp(A, B), _rtp(B, A), _rtp(A, B, kind=9))) == [
        (Trouble.UNNAMED_CODEC, "10.0.0.2:6000 is sent payload type 9, which neither side named")
    ]


@pytest.mark.parametrize(
    ("offer", "answer", "said"),
    [
        ("0", "", "200 OK: the m= line of audio at 10.0.0.2:6000 lists no format"),
        ("", "0", "INVITE: the m= line of audio at 10.0.0.1:4000 lists no format"),
    ],
    ids=["answer", "offer"],
)
def test_a_description_without_a_format_is_found(offer: str, answer: str, said: str):
    """An m= line that lists no format is named as the fault, and is no codec mismatch."""
    report = _report(_call(_sdp(A, offer), _sdp(B, answer)), _rtp(A, B), _rtp(B, A))
    assert _troubles(report) == [(Trouble.NO_FORMAT, said)]


def test_an_address_used_again_by_another_call_is_no_fault():
    """What a later call wants on the same address is not held against the media of an earlier one."""
    later = _sip(20_000, ">", "INVITE", "1 INVITE", body=_sdp(B, "8"), call="later")
    assert not [found for found in _report(GOOD, _rtp(A, B), _rtp(B, A), later).findings if found.call_id == "c"]


def test_refused_media_are_found_with_the_offer():
    """A call refused for its description says what it described."""
    offer = _sip(0, ">", "INVITE", "1 INVITE", body=_sdp(A, "9", port=0))
    report = _report(offer, _sip(9, "<", "488 Not Acceptable Here", "1 INVITE"))
    assert _troubles(report) == [(Trouble.REFUSED_MEDIA, "offered audio G722, port 0: 488 Not Acceptable Here")]


def test_repetitions_without_answer_are_found():
    """An INVITE sent into the void is found as such, and so are its repetitions."""
    tries = [_sip(at, ">", "INVITE", "1 INVITE") for at in (0, 500, 1_500, 3_500)]
    assert _troubles(_report(*tries)) == [
        (Trouble.NO_RESPONSE, "sip:b@h: nothing came back"),
        (Trouble.REPEATED, "sent again: INVITE 3 times"),
    ]
    assert [trouble for trouble, _ in _troubles(_report(*tries[:2]))] == [Trouble.NO_RESPONSE]


def test_a_missing_ack_and_a_short_call_are_found():
    """An answer without ACK, and an end at once after the answer, are found with who ended it."""
    report = _report(GOOD[:2], _sip(1_700, "<", "BYE", "1 BYE"))
    assert [trouble for trouble, _ in _troubles(report)] == [Trouble.UNACKNOWLEDGED, Trouble.SHORT]
    assert _troubles(_report(_call("", "", end_ms=1_700))) == [
        (Trouble.SHORT, "ended by the caller 1.2 s after the answer")
    ]


def test_failed_authentication_is_found_in_calls_and_registrations():
    """Refused credentials and a ban are named with the account; a good password is no finding."""
    rounds = [
        *(_sip(at, ">", "REGISTER", f"{at} REGISTER", extra=CREDENTIALS.format(at)) for at in (1, 2)),
        *(_sip(at, "<", "401 No", f"{at} REGISTER", extra=CHALLENGE.format(at + 1)) for at in (1, 2)),
    ]
    assert _troubles(_report(*rounds)) == [(Trouble.AUTHENTICATION, "sip:b@h: credentials refused 2 times")]
    banned = [
        _sip(1, ">", "INVITE", "1 INVITE"),
        _sip(2, "<", "401 Who", "1 INVITE", extra=CHALLENGE.format(1)),
        _sip(3, ">", "INVITE", "2 INVITE", extra=CREDENTIALS.format(1)),
        _sip(4, "<", "403 Go away", "2 INVITE"),
    ]
    assert _troubles(_report(*banned)) == [(Trouble.AUTHENTICATION, "sip:a@h: forbidden, 403 Go away")]
    good = [
        *rounds[:1],
        _sip(9, "<", "200 OK", "1 REGISTER"),
    ]
    assert _report(*good).findings == ()


@pytest.mark.parametrize(("answer", "said"), [("", "no answer"), ("503 Later", "failed (503)")])
def test_a_registration_that_came_to_nothing_is_found(answer: str, said: str):
    """A registrar that is silent or out of order is found with how often it was asked."""
    frames = [_sip(0, ">", "REGISTER", "1 REGISTER")]
    frames += [_sip(1, "<", answer, "1 REGISTER")] if answer else []
    assert _troubles(_report(*frames)) == [(Trouble.REGISTRATION, f"sip:b@h: {said}, 1 requests")]


def test_findings_stand_in_every_form():
    """What was found stands in the report before the calls, and above the ladder and the picture of its call."""
    report = _report(GOOD, _rtp(A, B))
    sentence = "only from 10.0.0.1:4000 to 10.0.0.2:6000, 20 packets"
    text = render_report(report)
    assert text.index(sentence) < text.index("\nCalls")
    (ladder,), found = report.ladders, report.hints_of("c")
    assert f"* one-way media: {sentence}" in render_ladder(ladder, report.streams_of("c"), 120, found)
    assert f"one-way media: {sentence}" in draw_ladder(ladder, report.streams_of("c"), found)
    assert report.hints_of("other") == ()


def test_a_call_of_a_thousand_streams_has_few_findings():
    """A capture made to hurt cannot bury the other findings under those of one call."""
    streams = [
        _frame(1_000, A, B, (4_000, 6_000), struct.pack("!2BHII", 0x80, 9, at % 20, 0, at // 20) + bytes(9))
        for at in range(20_000)
    ]
    assert len(_report(GOOD, streams).findings) == 20
