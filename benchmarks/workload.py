"""The requests of the benchmarks: a supervisor plays recordings of her queue, as prepared gRPC frames.

The policy is the PBX template that comes with the service, with one more person. The echo server gets the same
requests; Cerbos gets equal ones in its terms.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from linewarden.server.names import PURPOSE_NUMBERS, TYPE_NUMBERS, VERB_NUMBERS
from linewarden.server.scaffold import pbx_template
from linewarden.v1 import access_pb2, core_pb2

TENANT = "acme"
PERSON = "alice@acme.example"
ROLES = ("supervisor_sales", "user")
QUEUE = "sales"
PURPOSE = "quality"
AGENTS = 8
BATCH = 50

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording of the queue."""

    id: str
    owner: str
    created_s: int


def policy_text(persons: int = 0) -> str:
    """Return the policy that is in force, with the bindings of so many more persons of the same roles."""
    bound = (f"bind {name(number)} role:{role}\n" for number in range(persons) for role in ROLES)
    return f"{pbx_template()}\nbind {PERSON} role:{ROLES[0]}\n{''.join(bound)}"


def name(number: int) -> str:
    """Return the name of a further person."""
    return f"p{number}@acme.example"


def recordings(now_s: int, owners: int) -> Iterator[Recording]:
    """Yield a batch of recordings, one each quarter of an hour, of the agents in turn."""
    for n in range(BATCH):
        created_s = now_s - _DAY_S - n * 900
        id = f"2026/11/17/q-{QUEUE}-1555770{n:04}-20261117-134654-{created_s}.{n}.wav"
        yield Recording(id, f"agent{n % owners}@acme.example", created_s)


def single(now_s: int, person: str = PERSON) -> access_pb2.CheckRequest:
    """Return a question of one person about one recording."""
    one = next(recordings(now_s, 1))
    return access_pb2.CheckRequest(
        header=core_pb2.RequestHeader(
            tenant=TENANT,
            request_id="7f0c2c9e-8d53-4c1c-9e55-1d2f6d0f4a11",
            subject=core_pb2.Subject(id=person),
            context=_context(),
        ),
        verb=VERB_NUMBERS["play"],
        resource=_resource(one),
    )


def batch(now_s: int, owners: int) -> access_pb2.CheckBatchRequest:
    """Return a question about a batch of recordings."""
    items = [
        access_pb2.CheckItem(verb=VERB_NUMBERS["play"], resource=_resource(one)) for one in recordings(now_s, owners)
    ]
    return access_pb2.CheckBatchRequest(
        header=core_pb2.RequestHeader(
            tenant=TENANT,
            request_id="7f0c2c9e-8d53-4c1c-9e55-1d2f6d0f4a12",
            subject=core_pb2.Subject(id=PERSON),
            context=_context(),
        ),
        items=items,
    )


def framed(message: bytes) -> bytes:
    """Return a message as gRPC sends it: not compressed, its length in four bytes, then its bytes."""
    return b"\0" + len(message).to_bytes(4, "big") + message


def _resource(one: Recording) -> core_pb2.Resource:
    made = core_pb2.Resource(type=TYPE_NUMBERS["recording"], id=one.id, owner=one.owner, queue=QUEUE)
    made.created_at.FromSeconds(one.created_s)
    return made


def _context() -> core_pb2.Context:
    return core_pb2.Context(purpose=PURPOSE_NUMBERS[PURPOSE], network_zone="office")
