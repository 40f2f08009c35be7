"""Parts of a capture that this package does not read, counted by type, so that no call is missing without a word."""

from collections import Counter

#: Types of the names that follow; a malicious capture has thousands.
_MAX_TYPES = 64
_REST = "other types"

#: Name of what stands in more tunnels than are read.
TOO_DEEP = "tunnels in tunnels"

_ETHERTYPES = {
    0x0806: "ARP", 0x8035: "RARP", 0x88CC: "LLDP", 0x888E: "EAPOL", 0x8809: "slow protocols", 0x8864: "PPPoE",
    0x8863: "PPPoE discovery", 0x8847: "MPLS", 0x8848: "MPLS", 0x88E5: "MACsec", 0x88F7: "PTP", 0x8902: "CFM",
    0x9000: "loopback",
    0x8892: "PROFINET", 0x893A: "IEEE 1905", 0x8899: "Realtek", 0x894F: "NSH", 0x88E7: "PBB", 0x22F3: "TRILL",
    0x8100: "VLAN", 0x88A8: "VLAN", 0x9100: "VLAN", 0x0800: "IPv4", 0x86DD: "IPv6",
}  # fmt: skip
_PPP = {0xC021: "LCP", 0x8021: "IPCP", 0x8057: "IPV6CP", 0xC023: "PAP", 0xC223: "CHAP", 0x80FD: "CCP", 0xC025: "LQR"}
_IP = {
    1: "ICMP", 2: "IGMP", 4: "IPv4 in IP", 6: "TCP", 17: "UDP", 41: "IPv6 in IP", 47: "GRE", 50: "ESP", 51: "AH",
    58: "ICMPv6", 59: "no next header", 88: "EIGRP", 89: "OSPF", 103: "PIM", 112: "VRRP", 115: "L2TP", 132: "SCTP",
    33: "DCCP", 108: "IPComp", 137: "MPLS in IP",
}  # fmt: skip
_UDP = {
    53: "DNS", 67: "DHCP", 68: "DHCP", 123: "NTP", 137: "NetBIOS", 138: "NetBIOS", 161: "SNMP", 162: "SNMP",
    514: "syslog", 546: "DHCPv6", 547: "DHCPv6", 1900: "SSDP", 5353: "mDNS", 5355: "LLMNR", 69: "TFTP", 3702: "WSD",
    443: "QUIC", 500: "IKE", 1194: "OpenVPN", 1701: "L2TP", 2123: "GTP", 2152: "GTP-U", 3478: "STUN", 4341: "LISP",
    4500: "IPsec", 4569: "IAX2", 4789: "VXLAN", 6081: "Geneve", 6343: "sFlow", 2055: "NetFlow", 37008: "TZSP",
    51820: "WireGuard", 2427: "MGCP", 2727: "MGCP", 1719: "H.225 RAS", 8472: "VXLAN",
}  # fmt: skip
_TCP = {
    22: "SSH", 53: "DNS", 80: "HTTP", 443: "HTTPS", 389: "LDAP", 636: "LDAPS", 25: "SMTP", 445: "SMB", 5038: "AMI",
    1720: "H.225", 2000: "SCCP", 5061: "SIP over TLS", 8088: "WebSocket", 8089: "WebSocket",
}  # fmt: skip
_KEEPALIVE = "keepalive"
_STUN_COOKIE = b"\x21\x12\xa4\x42"
_OTHER_UDP = "UDP of another kind"
_OTHER_TCP = "TCP of another kind"

#: Types in every healthy network that carry no calls. All others are named in a warning.
_ORDINARY = frozenset(
    {
        *("ARP", "RARP", "LLDP", "EAPOL", "slow protocols", "PPPoE discovery", "PTP", "CFM", "loopback", "IEEE 1905"),
        *("Realtek", "LLC", *_PPP.values(), "ICMP", "IGMP", "no next header", "EIGRP", "OSPF", "PIM", "VRRP", "ICMPv6"),
        *("DNS", "DHCP", "NTP", "NetBIOS", "SNMP", "syslog", "DHCPv6", "SSDP", "mDNS", "LLMNR", "TFTP", "WSD", "IKE"),
        *("STUN", "DTLS", "sFlow", "NetFlow", "SSH", "HTTP", "HTTPS", "LDAP", "LDAPS", "SMTP", "SMB", "AMI"),
        *("T.38", _KEEPALIVE),
    }
)


class Unread:
    """The count of each type that was not read."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def count(self, kind: str) -> None:
        """Count one frame, packet or datagram."""
        if kind not in self._counts and len(self._counts) >= _MAX_TYPES:
            kind = _REST
        self._counts[kind] += 1

    def counts(self) -> tuple[tuple[str, int], ...]:
        """Return all types, the most frequent first."""
        return tuple(sorted(self._counts.items(), key=lambda each: (-each[1], each[0])))

    def may_carry_calls(self) -> tuple[tuple[str, int], ...]:
        """Return the types that may carry calls."""
        return tuple(each for each in self.counts() if each[0] not in _ORDINARY)


def link_type(number: int) -> str:
    """Name a LINKTYPE that is not read."""
    return f"link type {number}"


def ethertype(number: int) -> str:
    """Name the content of a frame by its EtherType; below 1536 the field is a length (IEEE 802.3)."""
    return "LLC" if number < 0x600 else _ETHERTYPES.get(number, f"EtherType 0x{number:04x}")


def ppp(number: int) -> str:
    """Name the content of a PPP frame by its protocol field."""
    return _PPP.get(number, f"PPP protocol 0x{number:04x}")


def ip_protocol(number: int) -> str:
    """Name the content of an IP packet by its protocol."""
    return _IP.get(number, f"IP protocol {number}")


def udp(source_port: int, destination_port: int, data: bytes) -> str:
    """Name the content of a datagram by its first bytes, else by its ports."""
    if not data.strip(b"\r\n\0"):
        return _KEEPALIVE
    if data[4:8] == _STUN_COOKIE:
        return "STUN"
    if 20 <= data[0] <= 25 and data[1:2] == b"\xfe":
        return "DTLS"
    return _UDP.get(destination_port) or _UDP.get(source_port) or _OTHER_UDP


def tcp(source_port: int, destination_port: int, data: bytes) -> str:
    """Name the content of a segment by its ports, else by its first bytes."""
    if not data.strip(b"\r\n\0"):
        return _KEEPALIVE
    known = _TCP.get(destination_port) or _TCP.get(source_port)
    return known or ("TLS" if data[:2] == b"\x16\x03" else _OTHER_TCP)
