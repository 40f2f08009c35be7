"""Compile the filter. On a cooked socket it sees the packet from its network header on."""
        if not filter_text:
            return b""
        if self._cooked:
            return compile_filter(filter_text, LINKTYPE_RAW)
        return compile_on_ethernet(filter_text)

    def _cook(self, packet: RingPacket) -> Frame | None:
        address = self._ring.address(packet)
        if address.direction == PACKET_OUTGOING and address.interface == self._loopback:
            self._skipped += 1
            return None
        header = struct.pack(
            "!2sHiHBB8s",
            address.protocol,
            0,
            address.interface,
            address.hardware,
            address.direction,
            len(address.address),
            address.address,
        )
        return Frame(packet.time_ns, header + packet.data, len(header) + packet.original_length)


def _frame(packet: RingPacket) -> Frame:
    if packet.vlan:
        data = packet.data[:12] + packet.vlan + packet.data[12:]
        return Frame(packet.time_ns, data, packet.original_length + 4)
    return Frame(packet.time_ns, packet.data, packet.original_length)


def _packet_socket(kind: int = socket.SOCK_RAW) -> socket.socket:
    try:
        return socket.socket(socket.AF_PACKET, kind, 0)
    except PermissionError:
        raise SourceUnusable("a live capture needs root or CAP_NET_RAW", FailureCode.RIGHTS) from None


def _hardware(probe: socket.socket, name: str) -> int:
    """Return the hardware type of an interface; 0 for `any`. Raise OSError if the interface does not exist."""
    if name == _ANY:
        return 0
    # The address of a socket that is bound with protocol 0 has the type, and no packet is received.
    probe.bind((name, 0))
    kind: int = probe.getsockname()[3]
    return kind


def _bind(packet_socket: socket.socket, interface: int) -> None:
    """Bind to an interface by number, because Python's `bind` cannot name all interfaces, which is number 0."""
    address = struct.pack("=H2siHBB8s", socket.AF_PACKET, struct.pack("!H", _ETH_P_ALL), interface, 0, 0, 0, b"")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.bind(packet_socket.fileno(), address, len(address)):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _attach(packet_socket: socket.socket, instructions: bytes) -> None:
    """Set the filter of a socket. The kernel replaces it atomically."""
    program = ctypes.create_string_buffer(instructions, len(instructions))
    packet_socket.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(instructions) // 8, ctypes.addressof(program))
    )
