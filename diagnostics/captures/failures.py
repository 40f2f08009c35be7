"""Why a capture did not begin, or left nothing: the few texts that a record and an entry may hold of it.

A worker reads what strangers sent, so what it says of its end is not passed on, however harmless it looks. It is
matched with what it can have meant.
"""

from enum import StrEnum

from linewarden.diagnostics.packets.model import WorkerState


class Cause(StrEnum):
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
    ("the filter ", Cause.FILTER),
    ("not a filter program", Cause.FILTER),
    ("filters need ", Cause.LIBPCAP),
    ("a live capture needs ", Cause.RIGHTS),
    ("the worker cannot give up ", Cause.CONFINED),
    ("the interface can", Cause.INTERFACE),
    ("nobody takes the evidence", Cause.PIPE),
    ("the evidence must go into a pipe", Cause.PIPE),
    ("a pipe is not open", Cause.PIPE),
    ("not JSON", Cause.CONTROL),
    ("not an order", Cause.CONTROL),
    ("a line is too long", Cause.CONTROL),
    ("capture file", Cause.FILE),
)


def cause_of(state: WorkerState, said: str) -> Cause:
    """The cause that a worker means which says why it refused, or failed, or stopped."""
    for words, cause in _SAID:
        if words in said:
            return cause
    return Cause.ORDER if state is WorkerState.REFUSED else Cause.FAULT
