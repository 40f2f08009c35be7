"""SIP and SDP as they are written in the wild: compact, folded, masked, cut, and hostile."""

import pytest

from linewarden.diagnostics.analysis.model import Datagram, Endpoint, SipTransport
from linewarden.diagnostics.analysis.payload_types import Codec
from linewarden.diagnostics.analysis.sdp import find_sdp, read_sdp
from linewarden.diagnostics.analysis.sip import SipMessage, looks_like_sip, read_message
from tests.deadlines import DATAGRAM_WORK_S, bounded_work

A, B = Endpoint("10.0.0.1", 5060), Endpoint("10.0.0.2", 5060)

INVITE = """INVITE sip:bob@example.org SIP/2.0
Via: SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bKone, SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKtwo
From: "Alice <the caller>; tag=no" <sip:alice@example.org;user=phone>;tag=a1
To: <sip:bob@example.org>
Call-ID: c1@example.org
CSeq: 7 INVITE
Contact: <sip:alice@10.0.0.1>
Content-Type: application/sdp
Content-Length: {length}

{body}"""

SDP = """v=0
o=- 1 1 IN IP4 10.0.0.1
c=IN IP4 10.0.0.1
t=0 0
m=audio 4000 RTP/SAVP 8 101
a=rtpmap:101 telephone-event/8000
a=rtpmap:8 PCMA/8000/1
a=rtcp:4009 IN IP4 10.0.0.1
a=sendonly
m=video 0 RTP/AVP 34
m=audio 4010 RTP/AVP 96
c=IN IP6 2001:DB8:0:0::1
a=rtpmap:96 opus/48000/2
a=rtcp-mux
"""


def _wire(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def _parse(data: bytes, original: int | None = None) -> SipMessage | None:
    return read_message(Datagram(5, A, B, data, original or len(data)), SipTransport.UDP)


def _invite(body: str = SDP) -> bytes:
    return _wire(INVITE.format(length=len(_wire(body)), body=body))


def test_an_invite_tells_who_calls_whom():
    """Names, tags, numbers and the topmost branch are read through quotes, parameters and lists."""
    message = _parse(_invite())
    assert message is not None
    assert (message.method, message.status, message.uri) == ("INVITE", 0, "sip:bob@example.org")
    assert (message.from_uri, message.from_tag) == ("sip:alice@example.org;user=phone", "a1")
    assert (message.to_uri, message.to_tag) == ("sip:bob@example.org", "")
    assert (message.call_id, message.cseq, message.branch) == ("c1@example.org", 7, "z9hG4bKone")
    assert not message.cut


def test_compact_folded_and_odd_headers_are_the_same():
    """One-letter names, folded values, strange case and bare line feeds mean what their long forms mean (RFC 3261)."""
    message = _parse(
        b"\r\n\r\nSIP/2.0 180 \r\nv:SIP/2.0/TCP h\r\n ;branch=b2\r\nF: sip:a@h;tag=1\nT : <sip:b@h> ; TAG = 2\r\n"
        b"i:x\r\ncSEQ: 4294967295   INVITE\r\nnonsense\r\nl: 0\r\n\r\n"
    )
    assert message is not None
    assert (message.method, message.status, message.label) == ("INVITE", 180, "180")
    assert (message.branch, message.from_tag, message.to_tag) == ("b2", "1", "2")
    assert (message.call_id, message.cseq) == ("x", 4294967295)


def test_media_sections_say_where_and_how():
    """Addresses fall back to the session's, IPv6 takes its short form, refused media has port 0."""
    first, refused, third = read_sdp(_wire(SDP))
    assert (first.address, first.port, first.rtcp_port, first.direction) == ("10.0.0.1", 4000, 4009, "sendonly")
    assert first.encrypted
    assert dict(first.codecs) == {8: Codec("PCMA", 8000), 101: Codec("TELEPHONE-EVENT", 8000)}
    assert refused.port == 0
    assert (third.address, third.rtcp_port, third.encrypted) == ("2001:db8::1", 4010, False)
    assert dict(third.codecs) == {96: Codec("OPUS", 48000)}


def test_a_description_is_found_in_a_multipart_body():
    """SDP beside another part is read, and the other part is not."""
    body = _wire("--x\nContent-Type: text/plain\n\nhello\n--x\nContent-Type: application/sdp\n\n" + SDP + "--x--\n")
    found = find_sdp(body, "multipart/mixed; boundary=x")
    assert len(read_sdp(found)) == 3
    assert find_sdp(body, "text/plain") == b""


def test_a_masked_nonce_is_no_nonce():
    """A challenge or credentials whose value was overwritten count as present, and compare with nothing."""
    answer = "SIP/2.0 401 Unauthorized\nCall-ID: c\nCSeq: 1 REGISTER\nWWW-Authenticate: Digest {0}\n\n"
    masked = _parse(_wire(answer.format('realm="r", nonce="xxxxxxxx", stale=TRUE')))
    plain = _parse(_wire(answer.format('realm="r", nonce="a,b=c", stale=false')))
    wiped = _parse(_wire(answer.format("xxxxxxxxxxxxxxxxxxxxxxxxx")))
    assert masked is not None
    assert plain is not None
    assert wiped is not None
    assert masked.challenge is not None
    assert (masked.challenge.nonce, masked.challenge.stale) == (None, True)
    assert plain.challenge is not None
    assert (plain.challenge.nonce, plain.challenge.stale) == ("a,b=c", False)
    assert wiped.challenge is not None
    assert wiped.challenge.nonce is None


@pytest.mark.parametrize("kept", [200, 420, -1], ids=["in the headers", "in the body", "at the last byte"])
def test_a_cut_message_says_so(kept: int):
    """Whatever is missing, the message that remains is marked as cut."""
    data = _invite()
    message = _parse(data[:kept], len(data))
    assert message is None or message.cut
    assert (message is None) is (kept == 200)


@pytest.mark.parametrize("length", ["99999", "-5", "abc", "9" * 400, "²"])
def test_a_lying_content_length_does_no_harm(length: str):
    """A wrong length costs at most the mark of a cut message."""
    message = _parse(_wire(INVITE.format(length=length, body=SDP)))
    assert message is not None
    assert len(message.media) == 3
    assert message.cut is (length == "99999")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"INVITE sip:x SIP/2.0\r\n\r\n",
        b"SIP/2.0 abc\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n",
        b"SIP/2.0 200 OK\r\nCall-ID: x\r\nCSeq: one INVITE\r\n\r\n",
        b"SIP/2.0 200 OK\r\nCSeq: 1 INVITE\r\n\r\n",
    ],
)
def test_what_cannot_be_placed_is_no_message(data: bytes):
    """Without start line, Call-ID or CSeq number there is nothing to follow."""
    assert _parse(data) is None


def test_sip_is_known_by_its_start_line():
    """Any port may carry SIP; media and other text protocols are not taken for it."""
    assert looks_like_sip(b"SIP/2.0 100 Trying\r\n")
    assert looks_like_sip(b"NOTIFY sip:x SIP/2.0\r\n")
    assert not looks_like_sip(b"GET / HTTP/1.1\r\n")
    assert not looks_like_sip(bytes([0x80, 0, 0, 1]) + bytes(168))
    assert not looks_like_sip(b"")


HOSTILE = {
    "a giant header": b"X: " + b"a" * 65_000,
    "a giant name": b"a" * 65_000 + b": x",
    "deep folding": b"Subject: a" + b"\r\n b" * 16_000,
    "many headers": b"\r\n".join(b"X%d: y" % at for at in range(8_000)),
    "many parameters": b"To: <sip:x>" + b";a=b" * 16_000,
    "open quotes": b"From: " + b'a="' * 20_000,
    "word without end": b"Via: " + b"-" * 60_000,
    "many dashes in a challenge": b"WWW-Authenticate: " + b"a " * 30_000,
    "binary": bytes(range(256)) * 250,
}


@pytest.mark.parametrize("header", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_header_costs_little(header: bytes):
    """64 KiB of malice cost bounded work, and no value kept is long."""
    head = b"OPTIONS sip:x SIP/2.0\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\n"
    with bounded_work(DATAGRAM_WORK_S):
        message = _parse(head + header + b"\r\n\r\n")
    assert message is not None
    assert max(len(value) for value in (message.from_uri, message.to_tag, message.branch)) <= 128


def test_a_hostile_description_is_bounded():
    """Media sections, formats and mappings beyond any use are not kept."""
    many = read_sdp(b"v=0\r\n" + b"m=audio 1 RTP/AVP 0\r\n" * 3_000)
    assert len(many) == 16
    lines = b"".join(b"a=rtpmap:%d x/8000\r\n" % (at % 128) for at in range(900))
    (one,) = read_sdp(b"v=0\r\nm=audio 1 RTP/AVP" + b" 0" * 5_000 + b"\r\n" + lines)
    assert len(one.codecs) == 32
    (wrong,) = read_sdp(b"v=0\nc=IN IP4 host.example\nm=audio 99999 RTP/AVP x\na=rtpmap:300 y/8000\na=rtpmap:1 z/0\n")
    assert (wrong.address, wrong.port, wrong.codecs) == ("", 0, ())
