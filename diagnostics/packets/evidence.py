"""Evidence: pcapng bytes that are written into a pipe, and the hash chain over them.

    h(0) = SHA-256(domain, digest of the start ticket)        h(n) = SHA-256(h(n-1), chunk n)

Chunks are CHUNK bytes, the last may be shorter. With the manifest a verifier finds where a copy was changed or cut, and
that it was made under this ticket. No file is written here.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from linewarden.diagnostics.packets import pcapng
from linewarden.diagnostics.packets.model import Interface, SourceCounters
from linewarden.diagnostics.packets.ticket import StartTicket, digest

#: The size of a link in the chain, in bytes. Constant, so that any verifier cuts at the same places.
CHUNK = 65_536

_DOMAIN = b"linewarden evidence chain v1\0"


class Sink(Protocol):
    """A destination of the evidence."""

    def write(self, data: bytes) -> None:
        """Write all of `data`. Raise EvidenceLost if that fails."""
        ...


@dataclass(frozen=True, slots=True)
class Manifest:
    """The sizes and hashes of the evidence. Hashes are in hex; `chain` is the last link."""

    chunk_bytes: int
    chunks: int
    bytes: int
    sha256: str
    chain: str


class Chain:
    """The hashes over a stream that arrives in pieces of any size."""

    def __init__(self, ticket_digest: bytes) -> None:
        """`ticket_digest` is the result of `ticket.digest`."""
        self._link = hashlib.sha256(_DOMAIN + ticket_digest).digest()
        self._whole = hashlib.sha256()
        self._rest = bytearray()
        self._chunks = 0
        self._bytes = 0

    def add(self, data: bytes) -> None:
        """Add the next piece."""
        self._whole.update(data)
        self._bytes += len(data)
        self._rest += data
        while len(self._rest) >= CHUNK:
            self._forge(bytes(self._rest[:CHUNK]))
            del self._rest[:CHUNK]

    def manifest(self) -> Manifest:
        """Return the manifest of all added pieces. No piece may be added afterwards."""
        if self._rest:
            self._forge(bytes(self._rest))
            self._rest.clear()
        return Manifest(CHUNK, self._chunks, self._bytes, self._whole.hexdigest(), self._link.hex())

    def _forge(self, chunk: bytes) -> None:
        self._link = hashlib.sha256(self._link + chunk).digest()
        self._chunks += 1


class EvidenceWriter:
    """Writes one pcapng section: who and why, interfaces, packets, statistics."""

    def __init__(self, ticket: StartTicket, filter_text: str, sink: Sink, started_ns: int) -> None:
        """Buffer the section header. No byte is written before the first `flush`."""
        self._sink = sink
        self._chain = Chain(digest(ticket))
        self._ticket = ticket
        self._filter = filter_text
        self._started_ns = started_ns
        self._buffer = bytearray(pcapng.section("Linewarden", _comments(ticket, filter_text)))
        self._interfaces: list[Interface] = []
        self._written: list[int] = []
        self._flushed = 0

    @property
    def size(self) -> int:
        """Return the size of the evidence so far, in bytes."""
        return self._flushed + len(self._buffer)

    def add_interface(self, described: Interface) -> None:
        """Add the next interface."""
        self._interfaces.append(described)
        self._written.append(0)
        self._buffer += pcapng.interface(described, self._filter, self._ticket.limits.snaplen)

    def add_packet(self, number: int, time_ns: int, data: bytes, original_length: int) -> None:
        """Add a masked packet of interface `number`."""
        self._buffer += pcapng.packet(number, time_ns, data, original_length)
        self._written[number] += 1

    def full(self) -> bool:
        """Return whether the buffer holds enough bytes for a write."""
        return len(self._buffer) >= CHUNK

    def flush(self) -> None:
        """Write the buffered bytes."""
        data = bytes(self._buffer)
        self._buffer.clear()
        self._flushed += len(data)
        self._chain.add(data)
        self._sink.write(data)

    def add_statistics(self, counters: Sequence[SourceCounters], comment: str, now_ns: int) -> None:
        """Add the statistics of each interface so far, with a comment."""
        for number, source in enumerate(counters[: len(self._interfaces)]):
            counts = source.received, source.dropped, self._written[number]
            self._buffer += pcapng.statistics(number, now_ns, (self._started_ns, now_ns), counts, comment)

    def finish(self, counters: Sequence[SourceCounters], comment: str, now_ns: int) -> Manifest:
        """Write the last statistics and close the chain."""
        self.add_statistics(counters, comment, now_ns)
        self.flush()
        return self._chain.manifest()


def _comments(ticket: StartTicket, filter_text: str) -> list[str]:
    return [
        f"ticket: {ticket.id}",
        f"tenant: {ticket.tenant}",
        f"who: {ticket.who}",
        f"why: {ticket.why}",
        f"source: {ticket.interface or ticket.file}",
        f"worker: {ticket.worker or 'none: the host of the server'}",
        f"profile: {ticket.profile}",
        f"filter: {filter_text or 'none'}",
        f"extensions: {', '.join(ticket.selector.extensions) or 'any'}",
        f"call ids: {', '.join(ticket.selector.call_ids) or 'any'}",
    ]
