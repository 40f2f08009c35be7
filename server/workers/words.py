"""Between the messages of CaptureWorkerService and the values of diagnostics."""

import re

from linewarden.diagnostics.capture.model import Rule, StopReason
from linewarden.diagnostics.ports import Outcome
from linewarden.diagnostics.session import Evidence, Tally
from linewarden.server.diagnostics.words import STOP_REASONS, number, tally_message
from linewarden.v1 import diagnostics_pb2 as pb
from linewarden.v1 import worker_pb2

#: The version of what is spoken.
PROTOCOL = 1

_RULES = frozenset(rule.value for rule in Rule)
_NUMBERS = ("received", "dropped", "delivered", "written", "not_selected", "over_limit", "unparsed", "bytes")
_MOST = 2**53
_HASH = re.compile(r"[0-9a-f]{64}")


def tally_of(counters: pb.CaptureCounters) -> Tally:
    """What happened to the packets, as a worker says.

    Raises:
        ValueError: a number is none, or a rule is not known.
    """
    numbers = [*counters.rules.values(), *(getattr(counters, name) for name in _NUMBERS)]
    if not set(counters.rules) <= _RULES or any(number > _MOST for number in numbers):
        raise ValueError("no counters")
    return Tally(
        received=counters.received,
        dropped=counters.dropped,
        delivered=counters.delivered,
        written=counters.written,
        not_selected=counters.not_selected,
        over_limit=counters.over_limit,
        unparsed=counters.unparsed,
        bytes=counters.bytes,
        rules=dict(counters.rules),
    )


def ended_message(session: str, outcome: Outcome) -> worker_pb2.CaptureEnded:
    """How a capture ended."""
    message = worker_pb2.CaptureEnded(
        session_id=session,
        stop_reason=number(outcome.reason),
        counters=tally_message(outcome.tally),
        cause=outcome.detail,
    )
    if (evidence := outcome.evidence) is not None:
        message.evidence.CopyFrom(
            pb.Evidence(
                plain_bytes=evidence.plain_bytes,
                plain_sha256=evidence.plain_sha256,
                chain=evidence.chain,
                sealed_bytes=evidence.sealed_bytes,
                sealed_sha256=evidence.sealed_sha256,
            )
        )
    return message


def reason_of(message: worker_pb2.CaptureEnded) -> StopReason:
    """Why a capture ended."""
    return STOP_REASONS[message.stop_reason]


def evidence_said(message: pb.Evidence, file: str) -> Evidence:
    """What was sealed, as a worker says, and lies in `file` of the folder of evidence.

    Raises:
        ValueError: a hash is none.
    """
    hashes = (message.plain_sha256, message.chain, message.sealed_sha256)
    if not all(_HASH.fullmatch(hash) for hash in hashes) or message.plain_bytes > _MOST:
        raise ValueError("no evidence")
    return Evidence(
        file=file,
        plain_bytes=message.plain_bytes,
        plain_sha256=message.plain_sha256,
        chain=message.chain,
        sealed_bytes=message.sealed_bytes,
        sealed_sha256=message.sealed_sha256,
    )
