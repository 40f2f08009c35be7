"""The start ticket: an order to capture, signed by the starter of the worker.

    lwct1.<body, base64url without padding>.<HMAC-SHA-256, hex>

The body is a JSON object. The key is random, made for one worker, and passed to it on an inherited pipe. A ticket is
therefore useless to another process. Ed25519, with one key for many workers, is not in the standard library, and this
process may load nothing else. Every field is mandatory and unknown fields are refused, so that a worker does not start
with an order that it does not understand.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from linewarden.diagnostics.packets.errors import TicketRefused
from linewarden.diagnostics.packets.model import CaptureLimits, Profile, Selector, Transport

#: The length of a key, the digest size of SHA-256.
KEY_BYTES = 32
#: The longest signed ticket.
MAX_TICKET_BYTES = 64 * 1024
#: The longest filter expression.
MAX_FILTER_BYTES = 1024

_PREFIX = "lwct1"
_DOMAIN = b"linewarden capture ticket v1\0"
_PRINTABLE = re.compile(r"[^\x00-\x1f\x7f-\x9f]*")
_INTERFACE = re.compile(r"[A-Za-z0-9_.:@-]{1,15}")
_MAX_TEXT = 256
_MAX_SELECTED = 64
_HUGE = 2**53

#: The lowest and highest value of each limit. The maxima of the server are lower; these protect the worker.
_RANGES = {
    "seconds": (1, 7 * 86_400),
    "bytes": (4_096, _HUGE),
    "packets": (1, _HUGE),
    "snaplen": (64, 262_144),
    "disk_free_min": (0, _HUGE),
    "loss_budget": (0, _HUGE),
    "lease_seconds": (1, 600),
}


@dataclass(frozen=True, slots=True)
class StartTicket:
    """An order to capture. For the import of a file `interface` is empty and `file` is the name of the file.

    `worker` is the capture worker of another host; empty is the server's own host. `who` and `why` are written into the
    evidence. `raw_filter` is a libpcap expression, for persons with that right. The worker must have started before
    `start_before_ns`.
    """

    id: str
    tenant: str
    who: str
    why: str
    profile: Profile
    limits: CaptureLimits
    start_before_ns: int
    worker: str = ""
    interface: str = ""
    file: str = ""
    selector: Selector = field(default_factory=Selector)
    raw_filter: str = ""


def sign_ticket(ticket: StartTicket, key: bytes) -> str:
    """Return the ticket as one line for the worker that holds `key`.

    Raise TicketRefused if the worker would refuse it.
    """
    body = encode(ticket)
    parse(body)
    return _line(body, _mac(key, body))


def open_ticket(line: str, key: bytes, now_ns: int) -> StartTicket:
    """Return the ticket in `line`. Raise TicketRefused if it is not signed with `key`, stale, or malformed."""
    body = _verified(line, key)
    ticket = parse(body)
    if now_ns >= ticket.start_before_ns:
        raise TicketRefused("the ticket is stale")
    return ticket


def digest(ticket: StartTicket) -> bytes:
    """Return the SHA-256 over the body of the ticket, which binds the evidence to the order."""
    return hashlib.sha256(_DOMAIN + encode(ticket)).digest()


def encode(ticket: StartTicket) -> bytes:
    """Return the body of a ticket."""
    return json.dumps(_as_json(ticket), sort_keys=True, separators=(",", ":")).encode()


def _line(body: bytes, mac: bytes) -> str:
    return f"{_PREFIX}.{base64.urlsafe_b64encode(body).decode().rstrip('=')}.{mac.hex()}"


def _mac(key: bytes, body: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise TicketRefused(f"the key must have {KEY_BYTES} bytes")
    return hmac.digest(key, _DOMAIN + body, "sha256")


def _verified(line: str, key: bytes) -> bytes:
    parts = line.split(".")
    if len(line) > MAX_TICKET_BYTES or len(parts) != 3 or parts[0] != _PREFIX:
        raise TicketRefused("not a ticket")
    try:
        body = base64.b64decode(parts[1] + "=" * (-len(parts[1]) % 4), altchars=b"-_", validate=True)
        mac = bytes.fromhex(parts[2])
    except (binascii.Error, ValueError):
        raise TicketRefused("not a ticket") from None
    if line != _line(body, mac):
        raise TicketRefused("not a ticket")
    if not hmac.compare_digest(mac, _mac(key, body)):
        raise TicketRefused("the signature does not match")
    return body


def _as_json(ticket: StartTicket) -> dict[str, Any]:
    limits = {name: getattr(ticket.limits, name) for name in _RANGES}
    selector = {
        "extensions": list(ticket.selector.extensions),
        "call_ids": list(ticket.selector.call_ids),
        "hosts": [str(host) for host in ticket.selector.hosts],
        "ports": [list(ports) for ports in ticket.selector.ports],
        "transport": ticket.selector.transport.value,
    }
    texts = {
        name: getattr(ticket, name)
        for name in ("id", "tenant", "who", "why", "worker", "interface", "file", "raw_filter")
    }
    return {
        **texts,
        "v": 1,
        "profile": ticket.profile.value,
        "limits": limits,
        "selector": selector,
        "start_before_ns": ticket.start_before_ns,
    }


def parse(body: bytes) -> StartTicket:
    """Return the ticket in an unverified body. Raise TicketRefused if it is malformed."""
    try:
        raw = json.loads(body, object_pairs_hook=_no_doubles)
    except (ValueError, RecursionError):
        raise TicketRefused("the body is not JSON") from None
    fields = _Fields(raw, "ticket")
    if fields.integer("v", 1, 1) != 1:
        raise TicketRefused("v")
    ticket = StartTicket(
        id=fields.text("id", empty=False),
        tenant=fields.text("tenant", empty=False),
        who=fields.text("who", empty=False),
        why=fields.text("why", empty=False),
        profile=Profile(fields.one_of("profile", [p.value for p in Profile])),
        limits=_limits(_Fields(fields.take("limits"), "limits")),
        start_before_ns=fields.integer("start_before_ns", 1, 2**63 - 1),
        worker=fields.text("worker"),
        interface=fields.text("interface"),
        file=fields.text("file"),
        selector=_selector(_Fields(fields.take("selector"), "selector")),
        raw_filter=fields.text("raw_filter", longest=MAX_FILTER_BYTES),
    )
    fields.end()
    _check_source(ticket)
    _check_filter(ticket)
    return ticket


def _check_source(ticket: StartTicket) -> None:
    if bool(ticket.interface) == bool(ticket.file):
        raise TicketRefused("exactly one of interface and file must be given")
    if ticket.interface and not _INTERFACE.fullmatch(ticket.interface):
        raise TicketRefused("interface")


def _check_filter(ticket: StartTicket) -> None:
    expression = ticket.raw_filter
    if not expression:
        return
    if not expression.isascii() or expression.lstrip().startswith("-") or not expression.strip():
        raise TicketRefused("raw_filter")
    if ticket.selector.hosts or ticket.selector.ports or ticket.selector.transport is not Transport.ANY:
        raise TicketRefused("raw_filter is combined with a selector of hosts, ports or transport")


def _limits(fields: "_Fields") -> CaptureLimits:
    limits = CaptureLimits(**{name: fields.integer(name, low, high) for name, (low, high) in _RANGES.items()})
    fields.end()
    return limits


def _selector(fields: "_Fields") -> Selector:
    selector = Selector(
        extensions=fields.texts("extensions"),
        call_ids=fields.texts("call_ids"),
        hosts=tuple(_network(text) for text in fields.texts("hosts")),
        ports=tuple(_ports(value) for value in fields.items("ports")),
        transport=Transport(fields.one_of("transport", [t.value for t in Transport])),
    )
    fields.end()
    return selector


def _network(text: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text, strict=False)
    except ValueError:
        raise TicketRefused("selector.hosts") from None


def _ports(value: object) -> tuple[int, int]:
    if not isinstance(value, list) or len(value) != 2 or not all(type(port) is int for port in value):
        raise TicketRefused("selector.ports")
    low, high = value
    if not 1 <= low <= high <= 65_535:
        raise TicketRefused("selector.ports")
    return low, high


def _no_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({name for name, _ in pairs}) != len(pairs):
        raise TicketRefused("a field is given twice")
    return dict(pairs)


class _Fields:
    """Takes the fields of a JSON object one by one, and refuses remaining fields at the end."""

    def __init__(self, raw: object, name: str) -> None:
        if not isinstance(raw, dict):
            raise TicketRefused(name)
        self._raw = dict(raw)

    def take(self, name: str) -> object:
        if name not in self._raw:
            raise TicketRefused(f"{name} is missing")
        return self._raw.pop(name)

    def text(self, name: str, *, empty: bool = True, longest: int = _MAX_TEXT) -> str:
        return _text(self.take(name), name, empty=empty, longest=longest)

    def integer(self, name: str, low: int, high: int) -> int:
        value = self.take(name)
        if type(value) is not int or not low <= value <= high:
            raise TicketRefused(name)
        return value

    def one_of(self, name: str, values: list[str]) -> str:
        value = self.text(name)
        if value not in values:
            raise TicketRefused(name)
        return value

    def items(self, name: str) -> list[object]:
        value = self.take(name)
        if not isinstance(value, list) or len(value) > _MAX_SELECTED:
            raise TicketRefused(name)
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(_text(item, name, empty=False, longest=_MAX_TEXT) for item in self.items(name))

    def end(self) -> None:
        if self._raw:
            raise TicketRefused("there are unknown fields")


def _text(value: object, name: str, *, empty: bool, longest: int) -> str:
    """Return the value if it is a bounded text without control characters and lone surrogates."""
    if not isinstance(value, str) or len(value) > longest or not (empty or value):
        raise TicketRefused(name)
    if not _PRINTABLE.fullmatch(value) or any("\ud800" <= char <= "\udfff" for char in value):
        raise TicketRefused(name)
    return value
