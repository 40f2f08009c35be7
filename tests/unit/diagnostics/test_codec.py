"""Records and places: written and read back without loss; selectors that only ever narrow."""

from ipaddress import ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewarden.diagnostics.capture_model import Capture, CaptureState, Evidence, PacketSelector, Private, Reader, Tally
from linewarden.diagnostics.captures.preconditions import check_limits
from linewarden.diagnostics.codec import canonical, read
from linewarden.diagnostics.consent_model import Secret
from linewarden.diagnostics.errors import FilterInvalid, LimitTooHigh, SelectorNotPermitted
from linewarden.diagnostics.packets.model import CaptureLimits, Profile, StopReason, Transport
from linewarden.diagnostics.places import Place, may_probe, selector_of

#: What str.isprintable() takes.
_PRINTABLE = st.characters(exclude_categories=("C", "Z"), include_characters=" ")
_TEXT = st.text(_PRINTABLE, max_size=20)
_NUMBER = st.integers(0, 2**53)
_WANTED = st.builds(
    PacketSelector,
    extensions=st.lists(_TEXT, max_size=3).map(tuple),
    ports=st.lists(st.tuples(st.integers(1, 65_535), st.integers(1, 65_535)), max_size=3).map(tuple),
    transport=st.sampled_from(list(Transport)),
)
_PRIVATE = st.builds(
    Private, case=_TEXT, wanted=_WANTED, readers=st.lists(st.builds(Reader, _TEXT, _TEXT), max_size=2).map(tuple)
)
_CAPTURE = st.builds(
    Capture,
    id=_TEXT,
    state=st.sampled_from(list(CaptureState)),
    requested_by=_TEXT,
    requested_us=_NUMBER,
    purpose=_TEXT,
    profile=st.sampled_from(list(Profile)),
    limits=st.builds(CaptureLimits, *[_NUMBER] * 7),
    interface=_TEXT,
    private=st.builds(Secret, _TEXT, _TEXT, _TEXT),
    started_us=st.none() | _NUMBER,
    stop_reason=st.none() | st.sampled_from(list(StopReason)),
    ticket=st.none() | st.builds(Secret, _TEXT, _TEXT, _TEXT),
    tally=st.builds(Tally, received=_NUMBER, rules=st.dictionaries(_TEXT, _NUMBER, max_size=3)),
    evidence=st.none() | st.builds(Evidence, _TEXT, _NUMBER, _TEXT, _TEXT, _NUMBER, _TEXT),
)


@given(_CAPTURE, _PRIVATE)
def test_what_is_written_is_what_is_read(capture: Capture, private: Private) -> None:
    """A record comes back equal, and its bytes are the same however often it is written."""
    assert read(Capture, canonical(capture)) == capture
    assert canonical(read(Private, canonical(private))) == canonical(private)


ACME = Place(
    interfaces=frozenset({"eth0"}),
    networks=(ip_network("10.1.0.0/16"), ip_network("2001:db8::/48")),
    trunks={"carrier": (ip_network("198.51.100.7"),)},
    hosts=frozenset({"sip.acme.example"}),
)


def test_without_a_host_the_tenants_networks_are_the_filter() -> None:
    """A selector that restricts nothing still takes only what is the tenant's."""
    assert selector_of(ACME, "eth0", PacketSelector(extensions=("100",))).hosts == ACME.networks


def test_hosts_and_trunks_narrow() -> None:
    """Hosts within the tenant's networks and its trunks by name become the filter."""
    selector = selector_of(ACME, "eth0", PacketSelector(hosts=("10.1.2.3",), trunks=("carrier",)))
    assert [str(host) for host in selector.hosts] == ["10.1.2.3/32", "198.51.100.7/32"]


@pytest.mark.parametrize(
    ("interface", "wanted", "field"),
    [
        ("eth1", PacketSelector(), "interface"),
        ("eth0", PacketSelector(hosts=("10.2.0.1",)), "hosts"),
        ("eth0", PacketSelector(hosts=("0.0.0.0/0",)), "hosts"),
        ("eth0", PacketSelector(hosts=("10.0.0.0/8",)), "hosts"),
        ("eth0", PacketSelector(hosts=("::/0",)), "hosts"),
        ("eth0", PacketSelector(hosts=("10.1.0.1; rm",)), "hosts"),
        ("eth0", PacketSelector(trunks=("other",)), "trunks"),
        ("eth0", PacketSelector(ports=((6_000, 5_000),)), "ports"),
        ("eth0", PacketSelector(raw_filter="udp"), "raw_filter"),
    ],
)
def test_what_is_not_the_tenants_is_refused(interface: str, wanted: PacketSelector, field: str) -> None:
    """Another tenant's network, trunk or interface, or a filter that could leave the tenant's, by name of the field."""
    with pytest.raises(SelectorNotPermitted) as refused:
        selector_of(ACME, interface, wanted)
    assert refused.value.detail == field


@pytest.mark.parametrize("text", ["-w /tmp/x", "  -h", "\tudp", "udp\0", "x" * 1_025, "ü", " "])
def test_a_filter_that_cannot_be_one_is_refused(text: str) -> None:
    """Leading dashes, control characters and great length end here, whatever the right."""
    with pytest.raises(FilterInvalid):
        selector_of(Place(frozenset({"lo"})), "lo", PacketSelector(raw_filter=text))


def test_a_filter_beside_what_it_replaces_is_refused() -> None:
    """Two ways to say which packets are meant could contradict each other."""
    with pytest.raises(FilterInvalid):
        selector_of(Place(frozenset({"lo"})), "lo", PacketSelector(raw_filter="udp", ports=((1, 2),)))


@pytest.mark.parametrize(
    ("target", "own"),
    [("sip.acme.example", True), ("10.1.0.9", True), ("10.2.0.9", False), ("10.1.0.0/16", False), ("evil", False)],
)
def test_probes_ask_only_what_is_the_tenants(target: str, own: bool) -> None:
    """Stated hosts and single addresses within the networks, nothing else."""
    assert may_probe(ACME, target) is own


def test_a_place_that_is_not_stated_is_nowhere() -> None:
    """A tenant without a configured place captures nothing and probes nothing."""
    assert not may_probe(Place(), "127.0.0.1")
    with pytest.raises(SelectorNotPermitted):
        selector_of(Place(), "lo", PacketSelector())


@given(st.builds(CaptureLimits, *[st.integers(0, 20)] * 7))
def test_limits_are_held_one_by_one(limits: CaptureLimits) -> None:
    """A request passes exactly when no limit is laxer than the server's; free disk may only be asked for in excess."""
    most = CaptureLimits(10, 10, 10, 10, 10, 10, 10)
    upper = (limits.seconds, limits.bytes, limits.packets, limits.snaplen, limits.loss_budget, limits.lease_seconds)
    if max(upper) <= 10 <= limits.disk_free_min:
        check_limits(limits, most)
    else:
        with pytest.raises(LimitTooHigh):
            check_limits(limits, most)
