"""Causes of failed captures: the few texts that a record and an entry may hold about a failure.

The worker process reads bytes of strangers, so its own texts are not kept. It sends a code with each text. The code
selects one of the texts here.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from linewarden.diagnostics.packets.errors import FailureCode


class CaptureFailure(StrEnum):
    """The cause of a failed capture. The texts are part of the contract and hold no value."""

    ORDER = "the worker refused its order"
    FILTER = "the filter does not compile"
    LIBPCAP = "filters need scapy and libpcap"
    RIGHTS = "a live capture needs root or CAP_NET_RAW"
    CONFINED = "the worker could not give up its rights"
    INTERFACE = "the interface cannot be captured from"
    FILE = "the capture file cannot be read"
    CONTROL = "the worker did not understand what it was told"
    PIPE = "nobody took the evidence"
    FAULT = "the worker had a fault"
    SILENT = "the worker did not begin in time"
    NOT_STARTED = "a process could not be started"
    WORKER_LOST = "the worker was lost"
    SEALER_LOST = "the sealer was lost"
    NO_ROOM = "there was no room for the evidence"
    NOT_SEALED = "the evidence could not be sealed"
    NOT_DELIVERED = "the evidence did not come from the worker's host"
    DIFFERENT = "what was sealed is not what the worker made"
    NOTHING_LEFT = "the server was lost, and no whole evidence was found"


FAILURES: Mapping[str, CaptureFailure] = MappingProxyType({code: CaptureFailure[code.name] for code in FailureCode})


def failure_of(code: str) -> CaptureFailure:
    """Return the cause that a code of the worker process stands for. An unknown code is a fault of the worker."""
    return FAILURES.get(code, CaptureFailure.FAULT)
