"""Start tickets: only what was signed, fresh and understood starts a capture."""

import base64
import dataclasses
import hmac
import json
from ipaddress import ip_network
from typing import Any

import pytest

from linewarden.diagnostics.packets.errors import TicketRefused
from linewarden.diagnostics.packets.model import CaptureLimits, Profile, Selector, Transport
from linewarden.diagnostics.packets.ticket import StartTicket, digest, open_ticket, sign_ticket

KEY = bytes(range(32))
TICKET = StartTicket(
    id="cap-1",
    tenant="acme",
    who="alice",
    why="case 4711",
    profile=Profile.SIGNALLING,
    limits=CaptureLimits(60, 1_000_000, 1_000, 65_535, 0, 10, 10),
    start_before_ns=1_000,
    interface="lo",
    selector=Selector(
        extensions=("200",),
        call_ids=("1@h",),
        hosts=(ip_network("192.0.2.1"), ip_network("2001:db8::/32")),
        ports=((5060, 5061),),
        transport=Transport.UDP,
    ),
)


def _forged(change: Any) -> str:
    """A ticket with a changed body under a right signature."""
    part = sign_ticket(TICKET, KEY).split(".")[1]
    body = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    change(body)
    return _signed(json.dumps(body).encode())


def _signed(raw: bytes) -> str:
    mac = hmac.digest(KEY, b"linewarden capture ticket v1\0" + raw, "sha256")
    return f"lwct1.{base64.urlsafe_b64encode(raw).decode().rstrip('=')}.{mac.hex()}"


def test_round_trip():
    """The worker reads the ticket that the server signed."""
    assert open_ticket(sign_ticket(TICKET, KEY), KEY, 999) == TICKET
    assert digest(open_ticket(sign_ticket(TICKET, KEY), KEY, 999)) == digest(TICKET)
    assert open_ticket(_forged(lambda _body: None), KEY, 0) == TICKET


def test_any_change_is_noticed():
    """A ticket with any one character changed is refused."""
    line = sign_ticket(TICKET, KEY)
    for at in range(len(line)):
        changed = line[:at] + ("A" if line[at] != "A" else "B") + line[at + 1 :]
        with pytest.raises(TicketRefused):
            open_ticket(changed, KEY, 0)


def test_other_key_and_stale():
    """A ticket for another worker, an old one, and an empty key are refused."""
    line = sign_ticket(TICKET, KEY)
    with pytest.raises(TicketRefused, match="signature"):
        open_ticket(line, bytes(32), 0)
    with pytest.raises(TicketRefused, match="stale"):
        open_ticket(line, KEY, 1_000)
    with pytest.raises(TicketRefused, match="key"):
        open_ticket(line, b"", 0)


@pytest.mark.parametrize(
    "line", ["", "x", "lwct1..", "lwct1.!!!.00", "lwct1.e30.zz", "lwct2.e30.00", "lwct1.é.00", "l" * 99_999]
)
def test_nonsense(line: str):
    """Bytes that are not a ticket are refused without another exception."""
    with pytest.raises(TicketRefused):
        open_ticket(line, KEY, 0)


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.pop("limits"),
        lambda body: body.update(extra=1),
        lambda body: body.update(v=2),
        lambda body: body.update(v=True),
        lambda body: body.update(id=""),
        lambda body: body.update(id=7),
        lambda body: body.update(who="a\nb"),
        lambda body: body.update(why="\ud800"),
        lambda body: body.update(why="x" * 257),
        lambda body: body.update(profile="everything"),
        lambda body: body.update(interface="../lo"),
        lambda body: body.update(interface="-lo x"),
        lambda body: body.update(file="a.pcap"),
        lambda body: body.update(interface=""),
        lambda body: body.update(raw_filter="udp"),
        lambda body: body.update(start_before_ns=0),
        lambda body: body["limits"].update(seconds=0),
        lambda body: body["limits"].update(seconds=1.5),
        lambda body: body["limits"].update(packets=True),
        lambda body: body["limits"].pop("loss_budget"),
        lambda body: body["limits"].update(lease_seconds=601),
        lambda body: body["selector"].update(hosts=["example.com"]),
        lambda body: body["selector"].update(hosts=["10.0.0.1 or port 1"]),
        lambda body: body["selector"].update(hosts="10.0.0.1"),
        lambda body: body["selector"].update(ports=[[0, 1]]),
        lambda body: body["selector"].update(ports=[[2, 1]]),
        lambda body: body["selector"].update(ports=[[1, 65_536]]),
        lambda body: body["selector"].update(ports=[["1", "2"]]),
        lambda body: body["selector"].update(ports=[5060]),
        lambda body: body["selector"].update(transport="sctp"),
        lambda body: body["selector"].update(extensions=["1"] * 65),
        lambda body: body["selector"].update(call_ids=[""]),
    ],
)
def test_what_is_not_understood_does_not_start(change: Any):
    """A signed ticket with a missing, unknown or senseless field is refused."""
    with pytest.raises(TicketRefused):
        open_ticket(_forged(change), KEY, 0)


@pytest.mark.parametrize("raw", [b"", b"[]", b"null", b"{", b"\xff", b'{"v":1,"v":1}', b"[" * 60_000])
def test_signed_nonsense(raw: bytes):
    """A signature does not make a ticket of anything."""
    with pytest.raises(TicketRefused):
        open_ticket(_signed(raw), KEY, 0)


@pytest.mark.parametrize("expression", ["-z /bin/sh", " -w x", "x" * 1_025, "udp\nport 1", "udp ü", " "])
def test_raw_filter_is_bounded(expression: str):
    """A free filter that looks like an option, is too long or not plain text is refused by either side."""
    with pytest.raises(TicketRefused):
        sign_ticket(dataclasses.replace(TICKET, selector=Selector(), raw_filter=expression), KEY)


def test_raw_filter():
    """A free filter stands alone, or beside the choice of calls."""
    ticket = dataclasses.replace(TICKET, selector=Selector(extensions=("1",)), raw_filter="udp port 5060")
    assert open_ticket(sign_ticket(ticket, KEY), KEY, 0) == ticket
