"""Orders to capture workers of other hosts, as signed notes.

Text of the note: one line of JSON, ASCII, sorted keys. An order names its kind, the worker that is to carry it out and
the latest time to begin, so it is worthless to another worker and soon expires. The key that signs is the service's
own, under the name `<service name>/orders`: a signature for a log never passes for an order, nor the other way round. A
worker gets the key that checks orders when it is enrolled. So a host in between cannot give orders, even with a
certificate that the worker trusts.
"""

import json
import re
from typing import Any

from linewarden.audit.errors import VerificationFailed
from linewarden.audit.note import Signer, Verifier, open_note, sign_note
from linewarden.diagnostics.capture_model import Reader
from linewarden.diagnostics.captures.ports import Order
from linewarden.diagnostics.packets import ticket
from linewarden.diagnostics.packets.errors import TicketRefused
from linewarden.diagnostics.probes.model import ProbeKind, ProbeOrder

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_CAPTURE = "capture"
_PROBE = "probe"
#: The longest time until an order is begun.
PATIENCE_NS = 30_000_000_000


class OrderRefused(Exception):
    """An order is not signed by the server, is for another worker, is stale, or is invalid."""


def order_signer(service: str, seed: bytes) -> Signer:
    """The signer of the orders of a service."""
    return Signer(f"{service}/orders", seed)


def sign_capture(order: Order, signer: Signer) -> str:
    """The order to capture, for the worker that its ticket names. The readers' names stay with the server."""
    body = json.loads(ticket.encode(order.ticket))
    keys = [one.public_key for one in order.readers]
    return _sign({"kind": _CAPTURE, "worker": order.ticket.worker, "ticket": body, "readers": keys}, signer)


def sign_probe(id: str, order: ProbeOrder, now_ns: int, signer: Signer) -> str:
    """The order to probe, for the worker that it names. `id` is the id of its result."""
    asked = {
        "kind": order.kind,
        "target": order.target,
        "port": order.port,
        "transport": order.transport,
        "timeout_s": order.timeout_s,
    }
    frame = {"kind": _PROBE, "worker": order.worker, "id": id, "begin_before_ns": now_ns + PATIENCE_NS}
    return _sign(frame | {"probe": asked}, signer)


def open_capture(note: str, verifier: Verifier, worker: str, now_ns: int) -> Order:
    """Open a note with an order to capture.

    Raises:
        OrderRefused: the order is not valid for this worker now.
    """
    fields = _opened(note, verifier, worker, _CAPTURE)
    try:
        start = ticket.parse(json.dumps(fields["ticket"]).encode())
        readers = tuple(Reader("", str(key)) for key in fields["readers"])
    except (TicketRefused, KeyError, TypeError) as error:
        raise OrderRefused("the order is invalid") from error
    if start.worker != worker or not start.interface:
        raise OrderRefused("the ticket is not for this worker")
    if not _ID.fullmatch(start.id):
        raise OrderRefused("the id of the capture cannot name a file")
    if now_ns >= start.start_before_ns:
        raise OrderRefused("the order is stale: set the clocks of both hosts")
    return Order(start, readers)


def open_probe(note: str, verifier: Verifier, worker: str, now_ns: int) -> tuple[str, ProbeOrder]:
    """Open a note with the id and order of a probe.

    Raises:
        OrderRefused: the order is not valid for this worker now.
    """
    fields = _opened(note, verifier, worker, _PROBE)
    try:
        asked = fields["probe"]
        order = ProbeOrder(**asked | {"kind": ProbeKind(asked["kind"]), "worker": worker})
        id, begin_before_ns = str(fields["id"]), int(fields["begin_before_ns"])
    except (ValueError, TypeError, KeyError) as error:
        raise OrderRefused("the order is invalid") from error
    if now_ns >= begin_before_ns:
        raise OrderRefused("the order is stale: set the clocks of both hosts")
    return id, order


def _sign(fields: dict[str, Any], signer: Signer) -> str:
    return sign_note(json.dumps(fields, sort_keys=True, separators=(",", ":")) + "\n", signer)


def _opened(note: str, verifier: Verifier, worker: str, kind: str) -> dict[str, Any]:
    try:
        fields = json.loads(open_note(note, verifier))
    except (VerificationFailed, ValueError, RecursionError) as error:
        raise OrderRefused("the order is not signed by the server") from error
    if not isinstance(fields, dict) or fields.get("kind") != kind or fields.get("worker") != worker:
        raise OrderRefused("the order is not for this worker")
    return fields
