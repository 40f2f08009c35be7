"""The visible part of each line of a session description (RFC 8866, 9, and the RFCs of its attributes).

A pattern derives the longest prefix of a line that is visible. Left out on purpose: keys (k=, crypto, key-mgmt, acap,
ice-pwd), names and free text (s=, i=, u=, e=, p=, the user in o=, cname, msid), and each attribute that is not listed.
"""

import re

_WORD = rb"[A-Za-z0-9._+-]++"
_HOST = rb"[0-9A-Za-z.:_-]++"
_ADDRESS = rb"IN IP[46] " + _HOST


def _words(text: str) -> bytes:
    """Return the pattern for one of the words, with a delimiter behind it."""
    listed = sorted(text.split(), key=len, reverse=True)
    return rb"(?i:" + "|".join(map(re.escape, listed)).encode() + rb")(?=[ /:;,=\"\n])"


def _sequence(first: bytes, *others: bytes) -> bytes:
    """Return a pattern for as many of the parts, from the first on, as follow each other."""
    return first + (rb"(?:" + _sequence(*others) + rb")?" if others else b"")


def _spaced(*parts: bytes) -> re.Pattern[bytes]:
    """Return a pattern for parts with a blank between them."""
    return re.compile(_sequence(parts[0], *(rb" " + part for part in parts[1:])) + rb" *+")


_FORMAT = rb"(?:\d{1,5}|" + _words("* t38 webrtc-datachannel wb fax") + rb")(?=[ \n])"
_PROTOCOL = _words(
    "RTP/AVP RTP/SAVP RTP/AVPF RTP/SAVPF UDP/TLS/RTP/SAVP UDP/TLS/RTP/SAVPF TCP/RTP/AVP TCP/RTP/SAVP TCP/TLS/RTP/SAVP"
    " TCP/TLS/RTP/SAVPF TCP/DTLS/RTP/SAVPF UDP/DTLS/SCTP TCP/DTLS/SCTP DTLS/SCTP UDPTL"
    " UDP/UDPTL TCP UDP TCP/T38 TCP/MSRP TCP/TLS/MSRP"
    " TCP/BFCP TCP/TLS/BFCP UDP/BFCP UDP/TLS/BFCP UDP/TLS/UDPTL TCP/WSS/MSRP TCP/WSS/BFCP"
)
#: The lines other than attributes. A blank session name, or the sign for none, stays.
LINES = {
    ord("v"): re.compile(rb"\d++"),
    ord("s"): re.compile(rb"(?:-(?=[ \n]))? *+(?=\n)"),
    ord("c"): re.compile(_ADDRESS + rb"(?:/\d++)* *+"),
    ord("b"): re.compile(_words("CT AS TIAS RS RR X-YZ") + rb"(?::\d++)? *+"),
    ord("t"): _spaced(rb"\d++", rb"\d++"),
    ord("r"): re.compile(rb"(?:\d++[dhms]?(?=[ \n]) *+)+"),
    ord("z"): re.compile(rb"(?:-?\d++[dhms]?(?=[ \n]) *+)+"),
    ord("m"): _spaced(
        _words("audio video image application message text"),
        rb"\d{1,5}(?:/\d++)?",
        _PROTOCOL,
        _FORMAT + rb"(?: ++" + _FORMAT + rb")*",
    ),
}
#: The user of an o= line, and what may be shown behind it.
ORIGIN = re.compile(
    rb"([^ \n]++) " + _sequence(rb"\d++", rb" \d++", rb" IN IP[46]", rb" \[?" + _HOST + rb"\]?") + rb" *+"
)

_FLAGS = (
    "end-of-candidates ice-lite sendrecv sendonly recvonly inactive rtcp-mux rtcp-rsize extmap-allow-mixed bundle-only"
    " t38faxfillbitremoval t38faxtranscodingmmr t38faxtranscodingjbig"
)
_NUMBERS = (
    "ptime maxptime framerate quality x-nat t38faxversion t38maxbitrate t38faxmaxbuffer t38faxmaxdatagram t38faxmaxifp"
    " t38faxudpecdepth t38faxudpfecmaxspan t38faxfillbitremoval t38faxtranscodingmmr t38faxtranscodingjbig label"
)
_PRECONDITION = _words("qos sec conn"), _words("mandatory optional none failure unknown local remote e2e")
_DIRECTIONS = _words("local remote e2e none send recv sendrecv")
_FEEDBACK = _words("nack pli sli rpsi app fir tmmbr tstr vbcm rai ccm ack goog-remb transport-cc trr-int")
_EXTENSION = (
    rb"(?:urn:ietf:params:rtp-hdrext:[a-z0-9:-]++|urn:3gpp:[a-z0-9:-]++"
    rb"|http://www\.webrtc\.org/experiments/rtp-hdrext/[a-z0-9-]++"
    rb"|http://www\.ietf\.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01)"
)
_CANDIDATE = (
    rb"[A-Za-z0-9+/]{1,32}",
    rb"\d++",
    _words("udp tcp tcp-act tcp-pass ssltcp tls"),
    rb"\d++",
    _HOST,
    rb"\d++",
    rb"typ",
    _words("host srflx prflx relay"),
    rb"(?:(?:raddr " + _HOST + rb"|rport \d++|tcptype [a-z]++|generation \d++|network-id \d++|network-cost \d++) *+)*",
)
#: The attributes with a visible name, and the visible part of their values.
ATTRIBUTES = {
    **dict.fromkeys(map(str.encode, _FLAGS.split()), re.compile(rb"(?!)")),
    **dict.fromkeys(map(str.encode, _NUMBERS.split()), re.compile(rb" *+\d++(?:\.\d++)? *+")),
    b"candidate": _spaced(*_CANDIDATE),
    b"remote-candidates": re.compile(rb"(?:\d++ " + _HOST + rb" \d++ *+)+"),
    b"ice-options": re.compile(rb"(?:" + _words("trickle ice2 renomination rtp+ecn google-ice") + rb" *+)+"),
    b"ice-ufrag": re.compile(rb"[A-Za-z0-9+/]++ *+"),
    b"setup": re.compile(_words("active passive actpass holdconn")),
    b"connection": re.compile(_words("new existing")),
    b"fingerprint": _spaced(
        _words("md5 sha-1 sha-224 sha-256 sha-384 sha-512"), rb"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*"
    ),
    b"group": re.compile(_words("BUNDLE LS FID SRF ANAT FEC FEC-FR DUP CS") + rb"(?: " + _WORD + rb")* *+"),
    b"mid": re.compile(_WORD + rb" *+"),
    b"rtpmap": re.compile(_sequence(rb" *+\d++", rb" ++" + _WORD, rb"/\d++", rb"/\d++") + rb" *+"),
    b"rtcp": _spaced(rb"\d++", _ADDRESS),
    b"rtcp-fb": re.compile(rb"(?:\*|\d++)(?: (?:" + _FEEDBACK + rb"|\d++))* *+"),
    b"rtcp-xr": re.compile(
        rb"(?:(?:"
        + _words("pkt-loss-rle pkt-dup-rle pkt-rcpt-times rcvr-rtt stat-summary voip-metrics")
        + rb"|[=, ](?:\d++|"
        + _words("all sender loss dup jitt TTL HL")
        + rb")?|:\d++) *+)+"
    ),
    b"ssrc": re.compile(rb"\d++(?: " + _words("cname msid mslabel label previous-ssrc fmtp") + rb":?)?"),
    b"ssrc-group": re.compile(_words("FID FEC FEC-FR SIM DUP") + rb"(?: \d++)* *+"),
    b"msid-semantic": re.compile(rb" *+" + _words("WMS") + rb"(?: \*)?"),
    b"extmap": _spaced(rb"\d++(?:/(?:sendrecv|sendonly|recvonly|inactive))?", _EXTENSION),
    b"content": re.compile(rb"(?:" + _words("slides speaker sl main alt") + rb",?)+"),
    b"silencesupp": _spaced(_words("on off"), *(rb"(?:-(?=[ \n])|\d++)",) * 4),
    b"direction": re.compile(_words("active passive both")),
    b"framesize": _spaced(rb"\d++", rb"\d++-\d++"),
    b"imageattr": re.compile(rb"(?:[0-9\[\]=,:.* /-]|" + _words("send recv x y sar par q") + rb")+"),
    b"curr": _spaced(_PRECONDITION[0], _DIRECTIONS, _DIRECTIONS),
    b"des": _spaced(*_PRECONDITION, _DIRECTIONS, _DIRECTIONS),
    b"conf": _spaced(_PRECONDITION[0], _DIRECTIONS, _DIRECTIONS),
    b"nortpproxy": re.compile(_words("yes no")),
    b"t38faxratemanagement": re.compile(_words("transferredTCF localTCF")),
    b"t38faxudpec": re.compile(_words("t38UDPRedundancy t38UDPFEC t38UDPNoEC")),
    b"t38modemtype": re.compile(_words("t38G3FaxOnly t38FaxOnly")),
    b"t38vendorinfo": _spaced(rb"\d++", rb"\d++", rb"\d++"),
    b"zrtp-hash": _spaced(rb"\d\.\d\d", rb"[0-9A-Fa-f]++"),
    b"tcap": re.compile(rb"\d++(?: " + _PROTOCOL + rb")* *+"),
    b"pcfg": re.compile(rb"\d++ *+(?:[atdm](?==)|[-=0-9|,\[\]+ ])*"),
}

FORMAT_NUMBER = re.compile(rb" *+\d++ *+")
_FORMAT_NAMES = _words(
    "annexb apt bitrate br bw cbr ch-aw-recv channels cif cmr crc dtx dtx-recv emphasis hf-only interleaving"
    " level-asymmetry-allowed level-id max-br max-cpb max-dpb max-fps max-fr max-fs max-mbps max-red max-smbps maxptime"
    " maxaveragebitrate maxplaybackrate minptime mode mode-change-capability mode-change-neighbor mode-change-period"
    " mode-set mode-switch octet-align packetization-mode profile profile-id profile-level-id ptime qcif"
    " robust-sorting rtx-time sprop-maxcapturerate sprop-stereo stereo tier-flag usedtx useinbandfec vad"
)
_FORMAT_VALUES = _words("yes no on off true false nb wb swb fb nb-wb nb-swb nb-fb wb-swb wb-fb swb-fb")
#: A parameter of a format: events as numbers, or a known name with a number, a list of numbers, or a known word.
FORMAT_PARAMETER = re.compile(
    rb" *+(?:[0-9,/-]++(?= *[;\n])|"
    + _FORMAT_NAMES
    + rb" *+(?:=(?: *+\"?(?:"
    + _FORMAT_VALUES
    + rb"|[0-9A-Fa-f.,/-]++)\"?+)?)?) *+"
)
