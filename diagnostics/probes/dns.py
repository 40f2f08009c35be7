"""DNS probe: the NAPTR and SRV records of a domain, as a SIP client looks them up (RFC 3263).

A small resolver asks the system's name server: one question and one answer over UDP, or over TCP if the answer was cut
(RFC 1035). Names in answers are followed a bounded number of times, because a compressed name can point at itself.
"""

import os
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from linewarden.diagnostics.probes.model import ProbeOrder, ProbeResult, clean

_HEAD = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")
_SRV, _NAPTR, _IN = 33, 35, 1
_SERVICES = ("_sip._udp", "_sip._tcp", "_sips._tcp")
_CUT = 0x0200
_MOST = 16
_RESOLV = Path("/etc/resolv.conf")


class _Malformed(ValueError):
    """The answer is not one of RFC 1035."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """The response code, and the texts of the requested records."""

    code: int
    records: tuple[str, ...]


def probe_dns(order: ProbeOrder, servers: Sequence[tuple[str, int]] | None = None) -> ProbeResult:
    """Report NAPTR of the domain and SRV of its SIP services; `servers` are name servers other than the system's."""
    questions = [(order.target, _NAPTR), *((f"{service}.{order.target}", _SRV) for service in _SERVICES)]
    values: dict[str, str] = {}
    found = False
    for name, kind in questions:
        label = "naptr" if kind == _NAPTR else name.removesuffix(f".{order.target}")
        try:
            answer = _ask(name, kind, servers or _system_servers(), order.timeout_s / len(questions))
        except (OSError, _Malformed) as error:
            values[label] = type(error).__name__.lstrip("_")
            continue
        found |= bool(answer.records)
        values[label] = clean("; ".join(answer.records)) or f"none, code {answer.code}"
    return ProbeResult(succeeded=found, values=values)


def _ask(name: str, kind: int, servers: Sequence[tuple[str, int]], timeout_s: float) -> _Answer:
    id = int.from_bytes(os.urandom(2))
    question = _HEAD.pack(id, 0x0100, 1, 0, 0, 0) + _encoded(name) + struct.pack("!HH", kind, _IN)
    server = servers[0]
    family = socket.AF_INET6 if ":" in server[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as connection:
        connection.settimeout(timeout_s)
        connection.connect(server)
        connection.send(question)
        answer = connection.recv(4_096)
    if len(answer) >= _HEAD.size and _HEAD.unpack_from(answer)[1] & _CUT:
        answer = _ask_over_tcp(question, server, timeout_s)
    return _read(answer, question, kind)


def _ask_over_tcp(question: bytes, server: tuple[str, int], timeout_s: float) -> bytes:
    with socket.create_connection(server, timeout_s) as connection:
        connection.settimeout(timeout_s)
        connection.sendall(struct.pack("!H", len(question)) + question)
        with connection.makefile("rb") as stream:
            (length,) = struct.unpack("!H", stream.read(2).rjust(2, b"\0"))
            return stream.read(length)


def _read(answer: bytes, question: bytes, kind: int) -> _Answer:
    body = question[_HEAD.size :]
    try:
        id, flags, questions, records, _authorities, _additional = _HEAD.unpack_from(answer)
        if id != _HEAD.unpack_from(question)[0] or not flags & 0x8000 or questions != 1:
            raise _Malformed
        if answer[_HEAD.size : _HEAD.size + len(body)].lower() != body.lower():
            raise _Malformed
        start = _HEAD.size + len(body)
        return _Answer(flags & 15, tuple(sorted(_records(answer, start, min(records, _MOST), kind))))
    except (struct.error, IndexError):
        raise _Malformed from None


def _records(answer: bytes, start: int, count: int, kind: int) -> Iterator[str]:
    for _ in range(count):
        _owner, start = _name(answer, start)
        found, kind_class, _ttl, length = _RECORD.unpack_from(answer, start)
        start += _RECORD.size
        if (found, kind_class) == (kind, _IN):
            yield _srv(answer, start) if kind == _SRV else _naptr(answer, start)
        start += length


def _srv(answer: bytes, start: int) -> str:
    priority, weight, port = struct.unpack_from("!HHH", answer, start)
    target, _end = _name(answer, start + 6)
    return f"{priority} {weight} {port} {target}"


def _naptr(answer: bytes, start: int) -> str:
    order, preference = struct.unpack_from("!HH", answer, start)
    start += 4
    texts: list[str] = []
    for _ in range(3):
        length = answer[start]
        texts.append(answer[start + 1 : start + 1 + length].decode("ascii", "replace"))
        start += 1 + length
    target, _end = _name(answer, start)
    return f"{order} {preference} {texts[0]} {texts[1]} {texts[2]} {target}"


def _name(answer: bytes, start: int) -> tuple[str, int]:
    labels: list[str] = []
    end = 0
    for _ in range(128):
        length = answer[start]
        if length >= 0xC0:
            end = end or start + 2
            start = struct.unpack_from("!H", answer, start)[0] & 0x3FFF
        elif length:
            labels.append(answer[start + 1 : start + 1 + length].decode("ascii", "replace"))
            start += 1 + length
        else:
            return ".".join(labels) or ".", end or start + 1
    raise _Malformed


def _encoded(name: str) -> bytes:
    labels = [label.encode("ascii", "replace") for label in name.rstrip(".").split(".")]
    if not all(1 <= len(label) <= 63 for label in labels):
        raise _Malformed
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0"


def _system_servers() -> list[tuple[str, int]]:
    lines = [line.split() for line in _RESOLV.read_text(encoding="utf-8", errors="replace").splitlines()]
    found = [(words[1], 53) for words in lines if len(words) > 1 and words[0] == "nameserver"]
    if not found:
        raise OSError("there is no name server")
    return found
