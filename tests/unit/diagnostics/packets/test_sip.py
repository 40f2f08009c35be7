"""SIP messages under the mask, whole, in pieces, and over TCP."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewarden.diagnostics.packets.model import Rule
from linewarden.diagnostics.packets.sip import call_id, mask_message, parse_message, parties, session
from linewarden.diagnostics.packets.streams import MAX_MESSAGE, MAX_READ, SipStreams
from tests.deadlines import DATAGRAM_WORK_S, WORK_S, bounded_work

CASES = sorted((Path(__file__).parents[3] / "testdata" / "capture").glob("*.sip"))
KEEPALIVE = b"\r\n\r\n"


def _case(path: Path) -> tuple[bytes, bytes]:
    """The message, and what has to be left of it."""
    text = path.read_bytes().replace(b"\n", b"\r\n")
    if text.endswith("»\r\n".encode()):
        text = text[:-2]
    body = text.split(b"\r\n\r\n", 1)[1]
    text = text.replace(b"LENGTH", b"%d" % len(body.replace("«".encode(), b"").replace("»".encode(), b"")))
    raw, expected = b"", b""
    for number, part in enumerate(text.replace("»".encode(), "«".encode()).split("«".encode())):
        raw += part
        expected += b"x" * len(part) if number % 2 else part
    return raw, expected


WHOLE = {path.stem: _case(path) for path in CASES}


def _mask(raw: bytes, *, finished: bool = True) -> bytes:
    message = parse_message(raw)
    assert message is not None
    return mask_message(message, finished=finished).data


def _rules(raw: bytes) -> set[Rule]:
    message = parse_message(raw)
    assert message is not None
    return set(mask_message(message, finished=True).rules)


def _request(*headers: str, body: str = "") -> bytes:
    return "\r\n".join(["INVITE sip:b@h SIP/2.0", *headers, "", body]).encode()


def shows_more(masked: bytes, reference: bytes, raw: bytes) -> bool:
    """Return whether a byte is visible that the reference covers."""
    return any(m == r and m != ord("x") and c == ord("x") for m, c, r in zip(masked, reference, raw, strict=True))


@pytest.mark.parametrize("name", WHOLE)
def test_case(name: str):
    """Exactly the marked parts of a message are overwritten."""
    raw, expected = WHOLE[name]
    assert _mask(raw).decode() == expected.decode()


def test_rules_say_what_was_touched():
    """A message tells which rules touched it, and an innocent one tells none."""
    assert _rules(WHOLE["invite-srtp"][0]) == {Rule.SIP_HEADER, Rule.SDP_SECRET}
    assert _rules(WHOLE["info-dtmf"][0]) == {Rule.SIP_BODY}
    assert _rules(_request("From: <sip:a@h>", "Content-Length: 0")) == set()


@pytest.mark.parametrize(
    "text",
    [
        "k=secret",
        "a=crypto:1 AES inline:secret",
        "a=ice-pwd:secret",
        "a= crypto:1 secret",
        "A=crypto:secret",
        " a=crypto:secret",
        "a=secret",
        "=secret",
        "secret",
        "a=sendrecv\ra=crypto:secret",
        "e=secret@h",
        "a=acap:1 crypto:secret",
        "a=ssrc:1 cname:secret@laptop",
        "a=msid:secret secret",
        "s=secret",
        "o=secret 1 1 IN IP4 192.0.2.1",
        "i=secret",
        "u=http://h/secret",
        "p=secret",
        "a=ptime:20\vsecret",
        "c=IN IP4 192.0.2.1\vsecret",
        "a=fmtp:96 mode=20;x=secret",
        "a=sendrecv secret",
        "a=candidate:1 1 UDP 1 192.0.2.1 9 typ host secret 1",
    ],
)
@pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
def test_sdp_secret(text: str, end: str):
    """No spelling of a line of SDP that can hold a secret shows it, however lines end."""
    body = end.join(["v=0", text, "s=-", ""])
    assert b"secret" not in _mask(_request("Content-Type: application/sdp", body=body))


@pytest.mark.parametrize(
    "header",
    [
        "Authorization: Digest response=secret",
        "authorization\t:\tDIGEST response=secret",
        "Proxy-Authorization:Basic secret",
        'Authorization: Digest realm="a\\"b", response="secret"',
        'WWW-Authenticate: Digest nonce="realm=\\"x\\", secret"',
        'WWW-Authenticate: Digest realm="a" nonce garbage secret, algorithm=MD5',
        'Proxy-Authenticate: Digest\r\n nonce=\r\n "secret"',
        "Contact: <sip:a:secret@h>",
        "From: <SIPS:a:secret@h>;tag=1",
        "To: sip:a@h?body=secret",
        "Unheard-Of: secret",
        "X: 1\rAuthorization: Digest response=secret",
        "Via: SIP/2.0/UDP h\nAuthorization: Digest response=secret",
        "Date\r\n secret",
        "secret",
        ": secret",
        "Refer-To: <sip:c@h;method=INVITE?Authorization=secret>",
        "Refer-To: <sip:c@h?Replaces=secret@h;to-tag=1>",
        "Contact: <sip:a:\r\n secret@h>",
        "Contact: <sip:a\r\n :secret@h>",
        'From: sip:a:p"secret@h',
        "From: <sip:a:p>secret@h>",
        "To: <mailto:a@h?body=secret>",
        "Alert-Info: <http://user:secret@h/ring>",
        "Alert-Info: <https://h/secret>",
        "Alert-Info: <data:audio/basic;base64,secret>",
        "Contact: <secure:secret>",
        'Security-Verify: digest;d-qop=auth;d-ver="secret"',
        "P-Access-Network-Info: 3GPP-E-UTRAN-FDD; utran-cell-id-3gpp=secret",
        "Contact: <sip:a@h;access_token=secret>",
        "Contact: <sip:a@h>;token = secret",
        "Route: <sip:h;lr;cookie=\r\n secret>",
        "Contact: <tel:1;postd=secret>",
        "Content-Disposition: attachment; filename=secret",
        'Contact: <sip:a@h>;x-token="a\\"secret"',
        'Via: SIP/2.0/UDP h;x-token="a\\\\\\"secret";branch=z9hG4bK1',
        "Contact: <sip:a@h>;x-token=a\r\n secret;expires=60",
        "Contact: <sip:a@h>;x-token=a\\ secret",
        "Contact: <sip:a@h>;x-token=a>secret",
        "Contact: <sip:a@h>;x-token='a secret'",
        "Contact: <sip:a@h>;secret",
        "Contact: <sip:a@h;secret>",
        "To: <sip:bob;secret@h>",
        "To: <sip:bob%3Asecret@h>",
        "To: <sip:18005551234,,99secret#@h>",
        "To: <sip:18005551234pp9secret@h>",
        "To: tel:18005551234,,9secret",
        "WWW-Authenticate: Digest realm=x;nonce=secret",
        "Proxy-Authenticate: Digest algorithm=MD5;opaque=secret",
        'Server: x\r\n Authorization: Digest response="secret"',
        "To: <sip:a@h>\r\n\tProxy-Authorization: Basic secret",
        "Supported: path\r\n X-Key: secret",
        "User-Agent: Phone/1 (secret's phone) SDK/2",
        "Server: x\vsecret",
    ],
)
def test_header_secret(header: str):
    """No spelling of a header that can hold a secret shows it."""
    assert b"secret" not in _mask(_request("Via: SIP/2.0/UDP h", header, "Call-ID: 1@h"))


@pytest.mark.parametrize(
    "start",
    [
        "OPTIONS sip:a:secret@h SIP/2.0",
        "OPTIONS sip:a@h;token=secret SIP/2.0",
        "OPTIONS https://h/secret SIP/2.0",
        "SIP/2.0 302 Moved to sip:a:secret@h",
        'OPTIONS sip:a@h;x="a\\"secret" SIP/2.0',
        "OPTIONS sip:a@h;secret SIP/2.0",
        "OPTIONS sip:a%3asecret@h SIP/2.0",
        "OPTIONS sip:18005551234,,9secret#@h SIP/2.0",
    ],
)
@pytest.mark.parametrize("rest", ["\r\n", "To: <sip:a@h>\r\n\r\n"])
def test_start_line_secret(start: str, rest: str):
    """A start line shows no secret, neither alone nor with headers behind it."""
    assert b"secret" not in _mask(f"{start}\r\n{rest}".encode())


def test_indent_that_continues_nothing():
    """An indented line without a header before it is covered, because it belongs to no known header."""
    assert b"secret" not in _mask(b"OPTIONS sip:b@h SIP/2.0\r\n From: secret\r\nTo: sip:a@h\r\n\r\n")


def test_parameters_that_are_known_stay():
    """Of what fault finding needs nothing is covered: tags, branches, hosts, ports, transports, feature tags."""
    raw = _request(
        "Via: SIP/2.0/TLS [2001:db8::1]:5061;branch=z9hG4bK1;rport=5060;received=192.0.2.1",
        "From: sip:h:5060;tag=1",
        'Contact: "A" <sip:a@h:5060;transport=tcp;ob>;+sip.instance="<urn:uuid:1-2>";expires=3600;q=0.7',
        'Path: <sip:h:5060;lr;received="sip:192.0.2.1:5060">',
        'Reason: Q.850 ;cause=16;text="Terminated"',
        "Refer-To: <sip:[2001:db8::1]:5060>",
        "Alert-Info: <urn:alert:service:normal>",
        'From: "O\'Brien, \\"Bob\\"" <sip:*21*+4930-123%23@h;user=phone>;tag=a.b-1',
        "P-Asserted-Identity: <tel:+4930123;phone-context=+49>, Bob Smith <sip:bob%40corp.example@h>",
        "Via: SIP/2.0/WSS abc.invalid;received=2001:db8::1;rport , SIP/2.0/UDP h;branch=z9hG4bK2",
        "Diversion: <sip:1@h>;reason=unconditional;counter=1;privacy=off;screen=no",
        "Call-ID: {a-b}(c)@[2001:db8::1]",
        "Session-Expires: 1800;refresher=uac",
        "Subscription-State: terminated;reason=noresource;retry-after=5",
        "User-Agent: Phone SIP-T46S/66.84 (5.6.3 (x86_64/linux))",
        'Warning: 304 h:5060 "Media type not available: 488 failed"',
        "Date: Sat, 13 Nov 2010 23:29:00 GMT",
        "Supported: ",
        "Content-Length: 0",
    )
    assert _mask(raw) == raw


def test_descriptions_that_are_known_stay():
    """Of a description nothing that fault finding needs is covered: addresses, codecs, directions, preconditions."""
    lines = [
        "v=0",
        "o=- 1 2 IN IP4 192.0.2.1",
        "s=-",
        "c=IN IP6 2001:db8::1 ",
        "b=AS:64",
        "t=0 0",
        "m=audio 30000 RTP/AVP 0 8 101 ",
        "a=rtpmap:101 telephone-event/8000",
        "a=fmtp:101 0-16,66",
        "a=fmtp:18 annexb=no",
        'a=fmtp:97 mode-set="0,1,2"; octet-align=1',
        "a=rtcp:30001 IN IP4 192.0.2.1",
        "a=silenceSupp:off - - - -",
        "a=candidate:1 1 UDP 2130706431 192.0.2.1 9 typ srflx raddr 10.0.0.1 rport 9 generation 0",
        "a=extmap:1/sendonly http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time",
        "a=group:BUNDLE 0 1",
        "a=des:qos mandatory local sendrecv",
        "a=rtcp-xr:rcvr-rtt=all:10000 stat-summary=loss,dup,jitt,TTL voip-metrics",
        "a=rtcp-fb:* nack pli",
        "m=image 4000 udptl t38",
        "a=T38FaxRateManagement:transferredTCF",
        "m=video 9 UDP/TLS/RTP/SAVPF 96",
        "a=fmtp:96 profile-level-id=42e01f;packetization-mode=1",
        "a=imageattr:96 send [x=320,y=240] recv *",
        "a=sendrecv",
    ]
    raw = _request("Content-Type: application/sdp", body="\r\n".join(lines))
    assert _mask(raw).decode() == raw.decode()


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Type: text/plain"],
        ["Content-Type: application/sdp", "Content-Type: application/sdp"],
        ["Content-Type: application/sdp", "Content-Encoding: gzip"],
        ["Content-Type: application/sdp", "Content-Length: 4"],
        ["Content-Type: application/sdp", "Content-Length: 4", "Content-Length: 40"],
        ["Content-Type: application/sdp", "Content-Length: -4"],
        ["Content-Type: application/sdp", "Content-Length: 0"],
        ["Content-Type: multipart/mixed"],
        ["Content-Type: multipart/mixed;boundary=other"],
        [],
    ],
)
def test_body_that_cannot_be_trusted(headers: list[str]):
    """A body without one clear type and length loses what follows, though it may look like SDP."""
    masked = _mask(_request(*headers, body="v=0\r\ns=secret\r\n"))
    assert b"secret" not in masked


def test_lengths_stay():
    """Masking never changes the length of a message."""
    for raw, _ in WHOLE.values():
        for end in range(40, len(raw), 7):
            assert len(_mask(raw[:end], finished=False)) == end


@pytest.mark.parametrize("name", WHOLE)
def test_part_shows_no_more_than_the_whole(name: str):
    """A message that was cut anywhere shows nothing that the whole message hides."""
    raw, whole = WHOLE[name]
    for end in range(raw.index(b"\n") + 1, len(raw)):
        masked = _mask(raw[:end], finished=False)
        assert not shows_more(masked, whole[:end], raw[:end]), raw[:end][-40:]


def test_what_a_message_says():
    """Call-ID, parties and media addresses are read from a message."""
    message = parse_message(WHOLE["invite-srtp"][0])
    assert message is not None
    assert call_id(message) == "a84b4c76e66710@192.0.2.1"
    assert parties(message) == {"bob", "alice"}
    assert [(a.endpoint.hex(), a.is_rtp) for a in session(message)] == [("c0000201c014", True)]


def test_not_sip():
    """Bytes that do not begin with a start line of SIP are no message."""
    for raw in (b"", b"GET / HTTP/1.1\r\n", b"SIP/2.0 200 OK", b"INVITE sip:b@h SIP/3.0\r\n", b"\x80\x00" * 20):
        assert parse_message(raw) is None


def test_part_of_a_message_names_no_party():
    """Of a message that was cut, neither the last header nor the last line is believed: the name may go on."""
    raw = _request("Content-Type: application/sdp", body="m=audio 40000 RTP/AVP 0\r\nc=IN IP4 192.0.2.2")
    part = parse_message(_request("Call-ID: 1", "From: <sip:10")[:-4])
    described = parse_message(raw)
    assert part is not None
    assert described is not None
    assert parties(part) == {"b"}
    assert session(described, finished=False) == []
    assert len(session(described)) == 1


class _Wire:
    """Two ends of a TCP connection, with one direction watched."""

    def __init__(self) -> None:
        self.streams = SipStreams(lambda _message, _finished: True)

    def send(self, number: int, data: bytes) -> bytes:
        segment = self.streams.mask(b"path", number % 2**32, data)
        if segment is None:
            return b""
        assert len(segment.data) == len(data)
        return segment.data


CONVERSATION = b"".join(raw for raw, _ in WHOLE.values()) + KEEPALIVE + WHOLE["message"][0]
CONVERSATION_MASKED = b"".join(masked for _, masked in WHOLE.values()) + KEEPALIVE + WHOLE["message"][1]


def test_many_messages_in_one_segment():
    """Messages that come in one segment are masked each for itself."""
    assert _Wire().send(2**32 - 100, CONVERSATION).decode() == CONVERSATION_MASKED.decode()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, len(CONVERSATION)), max_size=30), st.integers(0, 2**32 - 1))
def test_segments_show_no_more_than_the_stream(cuts: list[int], first: int):
    """However a stream is cut, no segment shows a byte that the whole stream hides."""
    wire, at = _Wire(), 0
    for end in [*sorted(cuts), len(CONVERSATION)]:
        piece = CONVERSATION[at:end]
        assert not shows_more(wire.send(first + at, piece) or b"x" * len(piece), CONVERSATION_MASKED[at:end], piece)
        at = end


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_disorder_shows_nothing(data: st.DataObject):
    """Lost, repeated, overlapping and reordered segments show no byte that the stream in order hides."""
    size = data.draw(st.integers(20, 400))
    pieces = [
        (at, CONVERSATION[at : at + size + data.draw(st.integers(0, 50))]) for at in range(0, len(CONVERSATION), size)
    ]
    order = data.draw(st.permutations(pieces + pieces[:4]))
    wire = _Wire()
    for at, piece in order[: data.draw(st.integers(1, len(order)))]:
        shown = wire.send(at, piece)
        assert not shows_more(shown or b"x" * len(piece), CONVERSATION_MASKED[at : at + len(piece)], piece)


def test_repetition_is_stored_as_it_was():
    """A segment that comes again is stored as before, even when its bytes have changed."""
    raw, masked = WHOLE["register-digest"]
    wire = _Wire()
    first = wire.send(1000, raw)
    assert first == masked
    assert wire.send(1000, raw) == first
    assert wire.send(1000, b"A" * len(raw)) == first
    assert wire.send(990, b"A" * 20)[:10] == b"x" * 10


def test_stream_is_read_again_after_a_loss():
    """After a gap everything is covered until a segment begins with a message."""
    raw, masked = WHOLE["register-digest"]
    wire = _Wire()
    wire.send(0, raw)
    assert wire.send(len(raw) + 500, raw[30:]) == b"x" * (len(raw) - 30)
    assert wire.send(2 * len(raw) + 470, raw) == masked


def test_length_that_lies_covers_what_follows():
    """A message whose length is wrong covers what cannot be placed, and the stream recovers at a message."""
    raw = _request("Content-Type: application/sdp", "Content-Length: 5", body="v=0\r\ns=secret\r\n")
    wire = _Wire()
    assert b"secret" not in wire.send(0, raw)
    assert b"secret" not in wire.send(len(raw), b"s=secret\r\n")
    good, masked = WHOLE["unauthorized"]
    assert wire.send(len(raw) + 10, good) == masked


def test_length_that_lies_does_not_open_the_next_message():
    """A description that claims the next message as its own ends where that begins."""
    described = _request("Content-Type: application/sdp", "Content-Length: 9999", body="v=0\r\ns=-\r\n")
    text = _request("Content-Type: text/plain", body="s=secret\r\n").replace(b"INVITE", b"MESSAGE")
    assert b"secret" not in _Wire().send(0, described + text)


def test_end_of_a_body_is_no_method():
    """Where the end of a body was left over, by a length or a loss, it is not shown as part of a start line."""
    for lengths in (["Content-Length: 3"], ["Content-Length: 6", "l: 4"]):
        text, wire = _request("Content-Type: text/plain", *lengths, body="hi SECRET"), _Wire()
        wire.send(0, text[:-6])
        assert b"SECRET" not in wire.send(len(text) - 6, text[-6:] + _request("Call-ID: 1"))


def test_endless_message_is_given_up():
    """A message in too many pieces is covered: neither memory nor time are spent on it without bound."""
    start = _request("Content-Type: application/sdp", f"Content-Length: {MAX_MESSAGE * 2}", body="v=0\r\n")
    wire = _Wire()
    at = len(start)
    wire.send(0, start)
    assert wire.send(at, b"t=0 12\r\n") == b"t=0 12\r\n"
    for _ in range(MAX_READ // len(start)):
        at += 8
        shown = wire.send(at, b"t=0 12\r\n")
    assert shown == b"x" * 8


def test_other_streams_are_not_sip():
    """A stream that does not begin with a message, such as TLS, is left to the caller to drop."""
    assert SipStreams(lambda _m, _f: True).mask(b"path", 1, b"\x16\x03\x01\x02\x00") is None


def _repeated(head: str, unit: str, size: int = 64_000) -> bytes:
    return (head + unit * (size // len(unit))).encode()


HOSTILE = {
    "many messages": _repeated("", "BYE a:b SIP/2.0\n\n", 4_096_000),
    "many folds": _repeated("INVITE sip:b@h SIP/2.0\r\nTo: a", "\r\n "),
    "many brackets": _repeated("INVITE sip:b@h SIP/2.0\r\nTo: ", "<a"),
    "many schemes": _repeated("INVITE sip:b@h SIP/2.0\r\nTo: ", "sip:a "),
    "many parameters": _repeated("INVITE sip:b@h SIP/2.0\r\nTo: ", ";="),
    "many quotes": _repeated("INVITE sip:b@h SIP/2.0\r\nTo: ", ';tag="'),
    "many lines": _repeated("INVITE sip:b@h SIP/2.0\r\nc: application/sdp\r\n\r\n", "\n"),
    "many parts": _repeated("INVITE sip:b@h SIP/2.0\r\nc: multipart/mixed;boundary=b\r\n\r\n", "--b\n"),
    "many addresses": _repeated("INVITE sip:b@h SIP/2.0\r\nContact: ", "sip:a,"),
    "many brackets that do not close": _repeated("INVITE sip:b@h SIP/2.0\r\nContact: ", "<sip:a,"),
    "many names": _repeated("INVITE sip:b@h SIP/2.0\r\nFrom: ", "a "),
    "many escapes": _repeated('INVITE sip:b@h SIP/2.0\r\nFrom: <sip:a@h>;x="', "\\a"),
    "many values": _repeated("INVITE sip:b@h SIP/2.0\r\nContact: <sip:a@h>", ';x="a"b'),
    "many comments": _repeated("INVITE sip:b@h SIP/2.0\r\nServer: ", "(a)"),
    "many brackets in comments": _repeated("INVITE sip:b@h SIP/2.0\r\nServer: ", "("),
    "many parameters of a user": _repeated("INVITE sip:b@h SIP/2.0\r\nTo: <sip:b", ";lr", 60_000) + b"@h>\r\n",
    "many items": _repeated("INVITE sip:b@h SIP/2.0\r\nSupported: ", "a,"),
    "many credentials": _repeated("INVITE sip:b@h SIP/2.0\r\nAuthorization: Digest ", "nonce=a,"),
    "many formats": _repeated("INVITE sip:b@h SIP/2.0\r\nc: application/sdp\r\n\r\na=fmtp:1 ", "a;"),
    "many reports": _repeated("INVITE sip:b@h SIP/2.0\r\nc: application/sdp\r\n\r\na=rtcp-xr:", "rcvr-rtt=,"),
    "many candidates": _repeated(
        "INVITE sip:b@h SIP/2.0\r\nc: application/sdp\r\n\r\na=candidate:1 1 UDP 1 h 9 typ host ", "generation 0 "
    ),
    "many blanks": _repeated("INVITE sip:b@h SIP/2.0\r\nc: multipart/mixed;boundary", " "),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_messages_cost_bounded_work(name: str):
    """Input that is made to be slow is read with work that grows with its length only."""
    raw = HOSTILE[name]
    with bounded_work(DATAGRAM_WORK_S if len(raw) < 65_536 else WORK_S):
        _Wire().send(0, raw)
        message = parse_message(raw)
        assert message is None or mask_message(message, finished=True) is not None
