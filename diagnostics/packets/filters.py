"""From a selector to the text of a filter, in the language of libpcap.

Only numbers and addresses that were parsed reach the text, so there is nothing to quote. Dialogs cannot be told apart
by a filter; `dialogs` does that.
"""

from ipaddress import IPv4Network, IPv6Network

from linewarden.diagnostics.packets.model import Selector, Transport

#: What the process is started with, alone, to check an expression, and its exit statuses.
CHECK_FILTER = "--check-filter"
COMPILES = 0
REFUSED = 3
NOT_CHECKED = 4

#: Later fragments carry no ports: a filter on ports has to let them through, or large SIP messages lose their end.
_LATER_FRAGMENT = "ip[6:2] & 0x1fff != 0 or ip6[6] = 44"


def filter_text(selector: Selector) -> str:
    """Return the expression for hosts, ports and transport; empty when everything is meant."""
    parts = [
        _any_of([_host(host) for host in selector.hosts]),
        _ports(selector),
    ]
    return " and ".join(f"({part})" for part in parts if part)


def with_vlan(expression: str) -> str:
    """Return the same expression, also for frames with a tag in front. Only Ethernet has them.

    `vlan` shifts the offsets of all that follows it, so the untagged case comes first.
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
