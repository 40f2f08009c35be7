"""The oracle for SIP: messages in every spelling, with tokens where nothing may survive, in datagrams and streams."""

import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.diagnostics.packets.test_fuzz import LINKS, TCP, UDP, Tokens, ipv4, ipv6, masked, tcp, udp

#: Headers with the place of a token. The first list may be folded anywhere, the second behind the colon only.
SECRET_HEADERS = [
    'Authorization: Digest username="bob", realm="a", response="{}"',
    "Authorization: Digest cnonce={}",
    "Authorization: Bearer {}",
    "Proxy-Authorization: Basic {}",
    "Authorization: {}",
    'WWW-Authenticate: Digest realm="a", nonce="{}"',
    'Proxy-Authenticate: Digest opaque="{}", qop="auth"',
    'Authentication-Info: nextnonce="{}"',
    "Identity: {};info=<https://h/c>;alg=ES256",
    "y: {}",
    "Geolocation: <cid:{}@h>;inserted-by=h",
    "Subject: {}",
    "s: {}",
    "Organization: {}",
    "Call-Info: <http://h/{}>;purpose=icon",
    "User-to-User: {};encoding=hex",
    "X-Secret: {}",
    "{}: 1",
    "{}",
    "From: <sip:a:{}@h>;tag=1",
    'To: "B" <sips:b:{}@h:5061>',
    "Contact: <sip:a@h?Authorization={}>",
    "Refer-To: <sip:c@h?Replaces=1@h;to-tag={}>",
    "Contact: <sip:a@h;token={}>",
    "Contact: <sip:a;password={}@h>",
    "Route: <sip:h;lr;cookie={}>",
    "Alert-Info: <https://u:{}@h/ring>",
    "Alert-Info: <https://h/ring?{}>",
    "Alert-Info: <data:text/plain,{}>",
    "Refer-To: <mailto:a@h?body={}>",
]
PLAIN_HEADERS = [
    "From: sip:a:{}@h",
    "Contact: sip:a@h?x={}@y",
    'Contact: sip:a:p"{}@h',
    "To: <sip:a:p>{}@h>",
    "Via: SIP/2.0/UDP h;branch=z9hG4bK1;key={}",
    'Security-Verify: digest;d-ver="{}"',
    "P-Access-Network-Info: 3GPP-E-UTRAN-FDD;utran-cell-id-3gpp={}",
    'Content-Disposition: attachment;filename="{}"',
    'Warning: 399 h "sip:a:{}@h"',
    "Reason: SIP;cause=200;token={}",
    "Alert-Info: http://h/{}",
]
OPEN_HEADERS = ["Via: SIP/2.0/UDP h;branch=z9hG4bK1", "Call-ID: 1@h", "CSeq: 1 INVITE", 'From: "A" <sip:a@h>;tag=1']
STARTS = [
    "INVITE sip:b@h SIP/2.0",
    "SIP/2.0 200 OK",
    "INVITE sip:b:{}@h SIP/2.0",
    "MESSAGE sip:b@h;token={} SIP/2.0",
    "REFER sip:b@h?x={}@y SIP/2.0",
    "OPTIONS https://h/{} SIP/2.0",
    "SIP/2.0 302 sip:b:{}@h",
]
COMPACT = {"From": "f", "To": "t", "Contact": "m", "Via": "v", "Refer-To": "r", "Call-ID": "i"}
DESCRIPTION = [
    "v=0",
    "o=a 1 1 IN IP4 192.0.2.1",
    "c=IN IP4 192.0.2.1",
    "m=audio 40000 RTP/SAVP 0",
    "a=rtpmap:0 PCMU/8000",
]
SECRET_LINES = [
    "k=clear:{}",
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{}",
    "A=crypto:1 {}",
    " a=crypto:{}",
    "a=acap:1 crypto:1 {}",
    "a=key-mgmt:mikey {}",
    "a=ice-pwd:{}",
    "i={}",
    "u=http://h/{}",
    "e={}@h",
    "p={}",
    "a={}",
    "{}",
]
BODIES = {
    "text/plain": "hello {}",
    "application/dtmf-relay": "Signal={}",
    "application/isup": "\1\0{}",
    "application/pidf+xml": "<gml:pos>{}</gml:pos>",
    "message/cpim": "From: <im:{}>",
    "message/sipfrag;version=2.0": "SIP/2.0 200{}",
    "application/sdp, text/plain": "s={}",
    "": "s={}",
    "multipart/mixed;boundary=b": (
        "--b\r\nContent-Type: text/plain\r\n\r\n{}\r\n--b\r\nX: 1\r\n Content-ID: {}\r\n\r\n--b--\r\n"
    ),
    "multipart/mixed; boundary=c": (
        "{}\r\n--c\r\nContent-Type: application/sdp\r\n\r\nv=0\r\na=crypto:{}\r\n--c--\r\n{}"
    ),
}


@st.composite
def spelled(draw: st.DrawFn, template: str, end: str) -> str:
    """A header in one of the spellings that a reader may accept."""
    name, colon, value = template.partition(":")
    if not colon or "{" in name:
        return template
    name = draw(st.sampled_from([name, name.upper(), name.swapcase(), COMPACT.get(name, name)]))
    at = draw(st.integers(0, len(value) if template in SECRET_HEADERS else 0))
    if draw(st.booleans()) and value[at - 1 : at + 1] != "{}":
        value = value[:at] + end + draw(st.sampled_from([" ", "\t", " \t "])) + value[at:]
    return name + draw(st.sampled_from(["", "", " ", "\t"])) + ":" + value


@st.composite
def message(draw: st.DrawFn, tokens: Tokens) -> bytes:
    """A message full of secrets, with a length that may be wrong."""
    end = draw(st.sampled_from(["\r\n", "\r\n", "\n", "\r"]))
    chosen = draw(st.lists(st.sampled_from(SECRET_HEADERS + PLAIN_HEADERS + OPEN_HEADERS), max_size=5))
    lines = [draw(st.sampled_from(STARTS)), *(draw(spelled(template, end)) for template in chosen)]
    if draw(st.booleans()):
        kind = "application/sdp"
        secrets = draw(st.lists(st.sampled_from(SECRET_LINES), min_size=1, max_size=4))
        body = end.join([*DESCRIPTION[: draw(st.integers(0, 5))], *secrets, DESCRIPTION[-1], ""])
    else:
        kind, body = draw(st.sampled_from(list(BODIES.items())))
    content = tokens.fill(body)
    length = draw(st.sampled_from([None, len(content), len(content), 0, 3, -1, 9_999, 99_999_999_999]))
    lines += [f"Content-Type: {kind}"] * bool(kind)
    lines += [] if length is None else draw(st.sampled_from([[f"l: {length}"], [f"Content-Length: {length}", "l : 4"]]))
    head = tokens.fill(end.join([lines[0], *draw(st.permutations(lines[1:]))]))
    return head + 2 * end.encode() + content


@pytest.mark.slow
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_messages_in_datagrams(data: st.DataObject):
    """No spelling of a message shows a secret, whole or in fragments that overlap and come in any order."""
    tokens, packets = Tokens(), []
    for identity in range(data.draw(st.integers(1, 2))):
        datagram = udp(data.draw(message(tokens)) + data.draw(st.sampled_from([b"", b"\0", b"\r\n\r\n"])))
        size = 8 * data.draw(st.integers(2, 60))
        pieces = [
            (at, datagram[at : at + size + 8 * data.draw(st.integers(0, 2))]) for at in range(0, len(datagram), size)
        ]
        if data.draw(st.booleans()):
            packets += [_fragment4(at, piece, len(datagram), identity) for at, piece in pieces]
        else:
            packets += [_fragment6(at, piece, len(datagram), identity) for at, piece in pieces]
        packets.append(ipv4(UDP, datagram) if data.draw(st.booleans()) else ipv6(UDP, datagram))
    packets = data.draw(st.permutations(packets)) if data.draw(st.booleans()) else packets
    stored = masked(data.draw(st.sampled_from(list(LINKS))), packets)
    assert not tokens.shown(stored), stored


def _fragment4(at: int, piece: bytes, whole: int, identity: int) -> bytes:
    return ipv4(UDP, piece, fragment=at // 8 | (0x2000 if at + len(piece) < whole else 0), identity=identity)


def _fragment6(at: int, piece: bytes, whole: int, identity: int) -> bytes:
    return ipv6(44, piece, extensions=struct.pack("!BBHI", UDP, 0, at | (at + len(piece) < whole), identity))


@pytest.mark.slow
@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_messages_in_streams(data: st.DataObject):
    """However TCP cuts messages, loses, repeats or replaces segments, none shows a secret."""
    tokens = Tokens()
    stream = b"".join(data.draw(message(tokens)) for _ in range(data.draw(st.integers(1, 3))))
    cuts = sorted(data.draw(st.lists(st.integers(1, len(stream)), max_size=12)))
    pieces = [(a, stream[a:b]) for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True) if a < b]
    if data.draw(st.booleans()):
        pieces = data.draw(st.permutations(pieces + pieces[:2]))
    else:
        at, piece = data.draw(st.sampled_from(pieces))
        pieces.append((at, (tokens.next() * len(piece))[: len(piece)]))
    first = data.draw(st.sampled_from([0, 1_000, 2**32 - 50]))
    network = ipv4 if data.draw(st.booleans()) else ipv6
    packets = [network(TCP, tcp(first + at, piece)) for at, piece in pieces]
    stored = masked(data.draw(st.sampled_from(list(LINKS))), packets)
    assert not tokens.shown(stored), stored
