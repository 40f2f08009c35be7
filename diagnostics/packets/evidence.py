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
        """Write the last statistics and closes the chain."""
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
