"""Why a capture did not begin, or left nothing: the few texts that a record and an entry may hold of it.

A worker reads what strangers sent, so what it says of its end is not passed on, however harmless it looks. It is
matched with what it can have meant.
"""

from enum import StrEnum

from linewarden.diagnostics.packets.model import WorkerState


class CaptureFailure(StrEnum):
    """What went wrong. The texts are the contract's own, and never hold a value."""

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


#: What a worker says begins with, or contains, one of these.
_SAID = (
    ("the filter ", CaptureFailure.FILTER),
    ("not a filter program", CaptureFailure.FILTER),
    ("filters need ", CaptureFailure.LIBPCAP),
    ("a live capture needs ", CaptureFailure.RIGHTS),
    ("the worker cannot give up ", CaptureFailure.CONFINED),
    ("the interface can", CaptureFailure.INTERFACE),
    ("nobody takes the evidence", CaptureFailure.PIPE),
    ("the evidence must go into a pipe", CaptureFailure.PIPE),
    ("a pipe is not open", CaptureFailure.PIPE),
    ("not JSON", CaptureFailure.CONTROL),
    ("not an order", CaptureFailure.CONTROL),
    ("a line is too long", CaptureFailure.CONTROL),
    ("capture file", CaptureFailure.FILE),
)


def failure_of(state: WorkerState, said: str) -> CaptureFailure:
    """The cause that a worker means which says why it refused, or failed, or stopped."""
    for words, cause in _SAID:
        if words in said:
            return cause
    return CaptureFailure.ORDER if state is WorkerState.REFUSED else CaptureFailure.FAULT
