"""The places where a tenant may capture, as the operator configures them.

One interface may carry the traffic of several tenants. A selector can therefore only narrow the tenant's own traffic. A
tenant without a configured place captures nowhere.
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
    """The property of a tenant: interfaces, networks, named trunks, and hosts or domains that probes may ask.

    Without networks, all traffic on the interfaces belongs to the tenant. `files` permits the import of capture files,
    whose origin is not known. `workers` are the interfaces of other hosts, by the name of the capture worker there.
    """

    interfaces: frozenset[str] = frozenset()
    networks: tuple[Network, ...] = ()
    trunks: Mapping[str, tuple[Network, ...]] = field(default_factory=dict)
    hosts: frozenset[str] = frozenset()
    files: bool = False
    workers: Mapping[str, frozenset[str]] = field(default_factory=dict)


def selector_of(place: Place, interface: str, packets: PacketSelector, worker: str = "") -> Selector:
    """Return the selector for these packets, within the tenant's place. No interface means a capture file.

    The interface is an interface of the host of `worker`; the empty name is this host.

    Raises:
        SelectorNotPermitted: a selected item is not the tenant's. `detail` is the field.
        FilterInvalid: the filter expression is invalid, or it is combined with fields that it replaces.
    """
    if not interface and (not place.files or worker):
        raise SelectorNotPermitted("file")
    check_worker(place, worker)
    if interface and interface not in (place.workers[worker] if worker else place.interfaces):
        raise SelectorNotPermitted("interface")
    if packets.raw_filter:
        _check_filter(place, packets)
    networks = [_own(place, host) for host in packets.hosts]
    for trunk in packets.trunks:
        if trunk not in place.trunks:
            raise SelectorNotPermitted("trunks")
        networks += place.trunks[trunk]
    if any(low > high for low, high in packets.ports):
        raise SelectorNotPermitted("ports")
    hosts = tuple(networks) or place.networks
    return Selector(packets.extensions, packets.call_ids, hosts, packets.ports, packets.transport)


def check_worker(place: Place, worker: str) -> None:
    """Make sure that a tenant may use a capture worker. Every tenant may use this host.

    Raises:
        SelectorNotPermitted: the tenant may not use it.
    """
    if worker and worker not in place.workers:
        raise SelectorNotPermitted("worker")


def may_probe(place: Place, target: str) -> bool:
    """Return whether the tenant may probe a host, domain or address."""
    if target in place.hosts:
        return True
    try:
        address = ip_network(target)
    except ValueError:
        return False
    return address.prefixlen == address.max_prefixlen and _within(address, place.networks)


def _check_filter(place: Place, packets: PacketSelector) -> None:
    expression = packets.raw_filter
    combined = packets.hosts or packets.trunks or packets.ports or packets.transport != "any"
    printable = expression.isascii() and expression.isprintable() and bool(expression.strip())
    if combined or not printable or expression.lstrip().startswith("-") or len(expression) > _LONGEST_FILTER:
        raise FilterInvalid
    if place.networks:
        # An expression cannot be restricted to networks, because it may close any parentheses around it.
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
