"""Between the messages of CaptureWorkerService and the values of diagnostics."""

import re
from typing import Any

from linewarden.diagnostics.capture_model import Evidence, Tally
from linewarden.diagnostics.captures.ports import Outcome
from linewarden.diagnostics.packets.model import Rule, StopReason
from linewarden.v1 import capture_pb2 as pb
from linewarden.v1 import worker_pb2

#: The version of the protocol.
PROTOCOL = 1

#: The reasons why a capture stops, by their numbers in the contract.
STOP_REASONS: dict[int, StopReason] = {
    pb.CaptureStopReason.Value(f"CAPTURE_STOP_REASON_{reason.name}"): reason for reason in StopReason
}
_STOP_NUMBERS: dict[StopReason, Any] = {reason: number for number, reason in STOP_REASONS.items()}

_RULES = frozenset(rule.value for rule in Rule)
_NUMBERS = ("received", "dropped", "delivered", "written", "not_selected", "over_limit", "unparsed", "bytes")
_MOST = 2**53
_HASH = re.compile(r"[0-9a-f]{64}")


def tally_of(counters: pb.CaptureCounters) -> Tally:
    """Read the counts of packets that a worker reports.

    Raises:
        ValueError: a number is too large, or a rule is unknown.
    """
    numbers = [*counters.rules.values(), *(getattr(counters, name) for name in _NUMBERS)]
    if not set(counters.rules) <= _RULES or any(number > _MOST for number in numbers):
        raise ValueError("the counters are invalid")
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


def tally_message(tally: Tally) -> pb.CaptureCounters:
    """Report the counts of packets."""
    return pb.CaptureCounters(
        received=tally.received,
        dropped=tally.dropped,
        delivered=tally.delivered,
        written=tally.written,
        not_selected=tally.not_selected,
        over_limit=tally.over_limit,
        unparsed=tally.unparsed,
        bytes=tally.bytes,
        rules=tally.rules,
    )


def ended_message(capture_id: str, outcome: Outcome) -> worker_pb2.CaptureEnded:
    """Report the end of a capture."""
    message = worker_pb2.CaptureEnded(
        capture_id=capture_id,
        stop_reason=_STOP_NUMBERS[outcome.reason],
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
    """The reason why a capture ended."""
    return STOP_REASONS[message.stop_reason]


def evidence_said(message: pb.Evidence, file: str) -> Evidence:
    """Read the evidence that a worker reports, which lies in `file` of the folder of evidence.

    Raises:
        ValueError: a hash is invalid.
    """
    hashes = (message.plain_sha256, message.chain, message.sealed_sha256)
    if not all(_HASH.fullmatch(hash) for hash in hashes) or message.plain_bytes > _MOST:
        raise ValueError("the evidence is invalid")
    return Evidence(
        file=file,
        plain_bytes=message.plain_bytes,
        plain_sha256=message.plain_sha256,
        chain=message.chain,
        sealed_bytes=message.sealed_bytes,
        sealed_sha256=message.sealed_sha256,
    )
