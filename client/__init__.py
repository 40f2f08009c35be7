"""The client of backends: checks with deadlines, safe retries and shared requests, for threads and for asyncio.

It imports gRPC, protobuf and the contract, and nothing else of ours, so that a backend loads no server and no database.

    with Client("pbx.example:8443", key=key, tenant="acme") as client:
        decision = client.check(Question("bob", "play", "voicemail", "default/101/msg1", owner="bob"))
        if decision.allows("stream_only"):
            ...

It fails closed. The result is a decision, or a ClientError is raised. Neither has a truth value that is an allow by
accident: `decision.allows(...)` names the duties that the backend fulfils, and a decision in an `if` is a TypeError.

A question is asked again after UNAVAILABLE only, and with the same request id, until its deadline. Questions that are
asked while a request is on the way are sent together in the next one. A client keeps one channel. It belongs to the
process that made it: make the client after a fork.
"""

from linewarden.client.aio import AsyncClient
from linewarden.client.errors import (
    AnswerInvalid,
    ClientError,
    ClientUnusable,
    DeadlineExceeded,
    KeyRefused,
    QuestionInvalid,
    Unavailable,
    Untrusted,
)
from linewarden.client.model import Decision, Participant, Question
from linewarden.client.threads import Client

__all__ = [
    "AnswerInvalid",
    "AsyncClient",
    "Client",
    "ClientError",
    "ClientUnusable",
    "DeadlineExceeded",
    "Decision",
    "KeyRefused",
    "Participant",
    "Question",
    "QuestionInvalid",
    "Unavailable",
    "Untrusted",
]
