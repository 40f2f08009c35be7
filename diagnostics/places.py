"""Where a tenant may capture, as the operator states it: one interface may carry the traffic of several tenants.

A selector can therefore only narrow what is the tenant's. Nothing stated for a tenant means that it captures nowhere.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network

from linewarden.diagnostics.capture_model import PacketSelector
from linewarden.diagnostics.errors import FilterInvalid, SelectorNotPermitted
from linewarden.diagnostics.packets.model import Selector

Network = IPv4Network | IPv6Network

_LONGEST_FILTER = 1024


@dataclass(frozen=True, slots=True)
class Place:
    """What belongs to a tenant: interfaces, networks, named trunks, and hosts or domains that probes may ask.

    No networks at all means that everything on the interfaces is the tenant's. `files` is whether the tenant may bring
    capture files, of which nobody can know where they were made. `workers` are the interfaces at other hosts, by the
    name of the capture worker there.
    """

    interfaces: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    trunks: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)
    hosts: frozenset[str] = frozenset()
    files: bool = False
    workers: Mapping[str, frozenset[str]] = field(default_factory=dict)


def selector_of(place: Place, interface: str, wanted: PacketSelector, worker: str = "") -> Selector:
    """The selector that takes what is wanted, within what is the tenant's. No interface means a capture file.

    The interface is at the host of `worker`; the empty name is this host.

    Raises:
        SelectorNotPermitted: something wanted is not the tenant's. `detail` is the field.
        FilterInvalid: the filter expression cannot be one, or stands beside what it replaces.
    """
    if not interface and (not place.files or worker):
        raise SelectorNotPermitted("file")
    check_worker(place, worker)
    if interface and interface not in (place.workers[worker] if worker else place.interfaces):
        raise SelectorNotPermitted("interface")
    if wanted.raw_filter:
        _check_filter(place, wanted)
    networks = [_own(place, host) for host in wanted.hosts]
    for trunk in wanted.trunks:
        if trunk not in place.trunks:
            raise SelectorNotPermitted("trunks")
        networks += place.trunks[trunk]
    if any(low > high for low, high in wanted.ports):
        raise SelectorNotPermitted("ports")
    hosts = tuple(networks) or place.networks
    return Selector(wanted.extensions, wanted.call_ids, hosts, wanted.ports, wanted.transport)


def check_worker(place: Place, worker: str) -> None:
    """Make sure that a capture worker is one of the tenant's; this host is everybody's.

    Raises:
        SelectorNotPermitted: it is not.
    """
    if worker and worker not in place.workers:
        raise SelectorNotPermitted("worker")


def may_probe(place: Place, target: str) -> bool:
    """Whether a host, domain or address is the tenant's to ask."""
    if target in place.hosts:
        return True
    try:
        asked = ip_network(target)
    except ValueError:
        return False
    return asked.prefixlen == asked.max_prefixlen and _within(asked, place.networks)


def _check_filter(place: Place, wanted: PacketSelector) -> None:
    expression = wanted.raw_filter
    beside = wanted.hosts or wanted.trunks or wanted.ports or wanted.transport != "any"
    printable = expression.isascii() and expression.isprintable() and bool(expression.strip())
    if beside or not printable or expression.lstrip().startswith("-") or len(expression) > _LONGEST_FILTER:
        raise FilterInvalid
    if place.networks:
        # An expression cannot be held within networks: whatever is put around it, its parentheses may close.
        raise SelectorNotPermitted("raw_filter")


def _own(place: Place, host: str) -> Network:
    try:
        network = ip_network(host, strict=False)
    except ValueError:
        raise SelectorNotPermitted("hosts") from None
    if place.networks and not _within(network, place.networks):
        raise SelectorNotPermitted("hosts")
    return network


def _within(network: Network, networks: Iterable[Network]) -> bool:
    return any(network.version == one.version and network.subnet_of(one) for one in networks)  # type: ignore[arg-type]
