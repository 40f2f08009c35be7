"""Filter expressions of libpcap, made from a selector.

Only parsed numbers and addresses reach the text, so that no quoting is needed. A filter cannot select dialogs;
`dialogs` does that.
"""

from ipaddress import IPv4Network, IPv6Network

from linewarden.diagnostics.packets.model import Selector, Transport

#: The argument that starts the check of an expression, and the exit statuses of the check.
CHECK_FILTER = "--check-filter"
COMPILES = 0
REFUSED = 3
NOT_CHECKED = 4

#: Later fragments carry no ports. A filter on ports must pass them, or large SIP messages lose their end.
_LATER_FRAGMENT = "ip[6:2] & 0x1fff != 0 or ip6[6] = 44"


def filter_text(selector: Selector) -> str:
    """Return the expression for hosts, ports and transport; empty if it selects everything."""
    parts = [
        _any_of([_host(host) for host in selector.hosts]),
        _ports(selector),
    ]
    return " and ".join(f"({part})" for part in parts if part)


def with_vlan(expression: str) -> str:
    """Return the same expression extended to frames with a VLAN tag. Only Ethernet has VLAN tags.

    `vlan` shifts all offsets that follow it, so the untagged case comes first.
    """
    return f"({expression}) or (vlan and ({expression}))" if expression else ""


def _host(network: IPv4Network | IPv6Network) -> str:
    family = "ip" if network.version == 4 else "ip6"
    if network.prefixlen == network.max_prefixlen:
        return f"{family} host {network.network_address}"
    return f"{family} net {network}"


def _ports(selector: Selector) -> str:
    protocol = "" if selector.transport is Transport.ANY else f"{selector.transport} "
    ranges = [f"{protocol}portrange {low}-{high}" for low, high in selector.ports]
    if ranges:
        return _any_of([*ranges, _LATER_FRAGMENT])
    return protocol.strip()


def _any_of(alternatives: list[str]) -> str:
    return " or ".join(alternatives)
