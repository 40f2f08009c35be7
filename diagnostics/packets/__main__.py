"""Open everything that needs rights, then drop the rights."""
    sink = PipeSink(options.evidence_fd, ticket.limits.lease_seconds)
    expression = ticket.raw_filter or filter_text(ticket.selector)
    source = _source(ticket, expression, options.input_fd)
    confine()
    world = Surroundings(
        orders=orders,
        status=status,
        now_ns=time.time_ns,
        monotonic=time.monotonic,
        disk_free=lambda: _disk_free(options.disk_fd),
        ended=lambda: bool(ending),
    )
    return Worker(ticket, source, EvidenceWriter(ticket, expression, sink, time.time_ns()), world)


def _source(ticket: StartTicket, expression: str, input_fd: int | None) -> Source:
    if ticket.interface:
        return LiveSource(ticket.interface, expression)
    if input_fd is None:
        raise TicketRefused("the ticket is for a file, and --input-fd is missing")
    return FileSource(InputStream(input_fd, ticket.limits.lease_seconds, time.monotonic), expression)


def _key(fd: int) -> bytes:
    """Return the key. Read it to its end and close its descriptor."""
    with os.fdopen(fd, "rb") as pipe:
        return pipe.read(KEY_BYTES + 1)


def _disk_free(fd: int | None) -> int | None:
    if fd is None:
        return None
    with suppress(OSError):
        space = os.fstatvfs(fd)
        return space.f_bavail * space.f_frsize
    return 0


def _end_on_signals(ending: list[int]) -> None:
    def end(number: int, _frame: FrameType | None) -> None:
        ending.append(number)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)


if __name__ == "__main__":
    sys.exit(main())
