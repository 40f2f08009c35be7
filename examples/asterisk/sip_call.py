"""A call between two phones on loopback, over UDP, with every kind of data that a capture must not keep."""

import hashlib
import os
import socket
import struct
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Self

HOST = "127.0.0.1"
CALL_ID = "7f3a-t4711@acme.example"
PACKETS = 40
FRAME_S = 0.02
DIGIT = 7

_REALM, _NONCE, _USER, _PASSWORD = "acme", "1c8b41f0a6d2", "1002", "a-demo-password"
_KEYS = ("c3BlYWtlci1vbmUta2V5LW9mLXRoaXJ0eS1ieXRlc3Mx", "c3BlYWtlci10d28ta2V5LW9mLXRoaXJ0eS1ieXRlc3My")
_TIMEOUT_S = 5.0
_NO_BODY = "Content-Length: 0\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Sent:
    """A datagram that was sent: the time in ns since 1970, the ports, and the payload."""

    time_ns: int
    source: int
    destination: int
    payload: bytes


class Phones:
    """Two phones with a port for SIP and one for media each. `sent` are their datagrams in the order of time."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self._open = ExitStack()
        self._caller, self._callee, self._caller_media, self._callee_media = (self._bind() for _ in range(4))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def ports(self) -> Sequence[int]:
        """The ports of the call."""
        sockets = (self._caller, self._callee, self._caller_media, self._callee_media)
        return sorted(map(_port, sockets))

    def call(self) -> None:
        """Make the call: challenge, answer, speech both ways, a digit pressed twice, hang-up by the caller."""
        self._say(self._request("INVITE", 1, self._offer(self._caller_media, _KEYS[0])))
        challenge = f'WWW-Authenticate: Digest realm="{_REALM}", nonce="{_NONCE}"\r\n'
        self._answer("401 Unauthorized", 1, "INVITE", fields=challenge)
        self._say(self._request("ACK", 1))
        self._say(self._request("INVITE", 2, self._offer(self._caller_media, _KEYS[0]), self._authorization()))
        self._answer("180 Ringing", 2, "INVITE")
        self._answer("200 OK", 2, "INVITE", self._offer(self._callee_media, _KEYS[1]))
        self._say(self._request("ACK", 2))
        self._speak()
        digit = f"Signal={DIGIT}\r\nDuration=160\r\n"
        self._say(self._request("INFO", 3, _typed("application/dtmf-relay", digit)))
        self._answer("200 OK", 3, "INFO")
        self._say(self._request("BYE", 4))
        self._answer("200 OK", 4, "BYE")

    def secrets(self) -> dict[str, list[bytes]]:
        """Return the parts of this call that must never be stored, by their kind."""
        rtp = [one.payload for one in self.sent if one.payload[:1] == b"\x80"]
        audio = [one[12:] for one in rtp if one[1] & 0x7F == 8]
        return {
            "audio": [speech[at : at + 8] for speech in audio for at in range(0, len(speech), 8)],
            "digits": [b"Signal=", *(one for one in rtp if one[1] & 0x7F == 101)],
            "digest response": [self._response().encode(), b'response="'],
            "a=crypto key": [b"a=crypto", *(key.encode() for key in _KEYS)],
        }

    def _bind(self) -> socket.socket:
        made = self._open.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        made.bind((HOST, 0))
        made.settimeout(_TIMEOUT_S)
        return made

    def _say(self, text: str) -> None:
        self._send(self._caller, self._callee, text.encode())

    def _answer(self, status: str, number: int, method: str, body: str = _NO_BODY, fields: str = "") -> None:
        text = f"SIP/2.0 {status}\r\n{self._head(number, method)}{fields}{body}"
        self._send(self._callee, self._caller, text.encode())

    def _send(self, source: socket.socket, destination: socket.socket, payload: bytes) -> None:
        self.sent.append(Sent(time.time_ns(), _port(source), _port(destination), payload))
        source.sendto(payload, (HOST, _port(destination)))
        if destination.recv(65_535) != payload:
            raise OSError("another process sends to this port; run the demonstration again")

    def _request(self, method: str, number: int, body: str = _NO_BODY, fields: str = "") -> str:
        start = f"{method} sip:1003@{HOST}:{_port(self._callee)} SIP/2.0\r\n"
        return f"{start}{self._head(number, method)}Max-Forwards: 70\r\n{fields}{body}"

    def _head(self, number: int, method: str) -> str:
        here = f"{HOST}:{_port(self._caller)}"
        tag = "" if number == 1 and method == "INVITE" else ";tag=callee"
        lines = (
            f"Via: SIP/2.0/UDP {here};branch=z9hG4bK{number}{'' if method != 'ACK' or number == 1 else 'ack'}",
            "From: <sip:1002@acme.example>;tag=caller",
            f"To: <sip:1003@acme.example>{tag}",
            f"Call-ID: {CALL_ID}",
            f"CSeq: {number} {method}",
            f"Contact: <sip:1002@{here}>",
        )
        return "".join(f"{line}\r\n" for line in lines)

    @staticmethod
    def _offer(media: socket.socket, key: str) -> str:
        lines = (
            *("v=0", f"o=- 1 1 IN IP4 {HOST}", "s=-", f"c=IN IP4 {HOST}", "t=0 0"),
            *(f"m=audio {_port(media)} RTP/AVP 8 101", "a=rtpmap:8 PCMA/8000", "a=rtpmap:101 telephone-event/8000"),
            f"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:{key}",
        )
        return _typed("application/sdp", "".join(f"{line}\r\n" for line in lines))

    def _authorization(self) -> str:
        known = f'username="{_USER}", realm="{_REALM}", nonce="{_NONCE}", uri="sip:acme.example"'
        return f'Authorization: Digest {known}, response="{self._response()}"\r\n'

    @staticmethod
    def _response() -> str:
        """Return the answer to the challenge (RFC 2617), from which a weak password can be guessed."""
        who, what = _md5(f"{_USER}:{_REALM}:{_PASSWORD}"), _md5("INVITE:sip:acme.example")
        return _md5(f"{who}:{_NONCE}:{what}")

    def _speak(self) -> None:
        """Send speech both ways, and at its end the digit of RFC 4733."""
        for number in range(PACKETS):
            for ssrc, source, destination in self._directions():
                self._send(source, destination, _rtp(8, number, ssrc, os.urandom(160)))
            time.sleep(FRAME_S)
        ssrc, source, destination = self._directions()[0]
        for at in range(3):
            event = struct.pack("!BBH", DIGIT, 0x8A, 160 * (at + 1))
            self._send(source, destination, _rtp(101, PACKETS + at, ssrc, event))

    def _directions(self) -> tuple[tuple[int, socket.socket, socket.socket], ...]:
        return (11, self._caller_media, self._callee_media), (22, self._callee_media, self._caller_media)


def capture_file(sent: Sequence[Sent]) -> bytes:
    """Return the datagrams as another tool would record them: pcap with raw IP packets."""
    head = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, 101)
    return head + b"".join(map(_record, sent))


def _record(one: Sent) -> bytes:
    udp = struct.pack("!HHHH", one.source, one.destination, 8 + len(one.payload), 0) + one.payload
    address = socket.inet_aton(HOST)
    packet = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, address, address) + udp
    seconds, rest = divmod(one.time_ns, 1_000_000_000)
    return struct.pack("<4I", seconds, rest // 1_000, len(packet), len(packet)) + packet


def _rtp(kind: int, number: int, ssrc: int, payload: bytes) -> bytes:
    return struct.pack("!BBHII", 0x80, kind, number, 160 * min(number, PACKETS), ssrc) + payload


def _typed(kind: str, body: str) -> str:
    return f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n{body}"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _port(of: socket.socket) -> int:
    port: int = of.getsockname()[1]
    return port
