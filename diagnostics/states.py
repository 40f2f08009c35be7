"""The way of a capture, as data: what can happen in which state, and where that leads. All else is refused."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from linewarden.diagnostics.capture_model import CaptureState as State
from linewarden.diagnostics.errors import StateConflict


class Event(StrEnum):
    """What can happen to a capture."""

    SUBMITTED = "submitted"
    ATTESTED = "attested"
    APPROVED = "approved"
    REJECTED = "rejected"
    GROUNDS_LOST = "grounds_lost"
    STARTED = "started"
    PAUSED = "paused"
    RESUMED = "resumed"
    STOPPED = "stopped"
    SEALED = "sealed"
    FAILED = "failed"
    DELETED = "deleted"


#: Before it runs, a capture that loses its attestation waits for another one; it never keeps an approval given before.
TRANSITIONS: Mapping[tuple[State, Event], State] = MappingProxyType(
    {
        (State.DRAFT, Event.SUBMITTED): State.PENDING_ATTESTATION,
        (State.PENDING_ATTESTATION, Event.ATTESTED): State.PENDING_APPROVAL,
        (State.PENDING_ATTESTATION, Event.REJECTED): State.REJECTED,
        (State.PENDING_APPROVAL, Event.APPROVED): State.ARMED,
        (State.PENDING_APPROVAL, Event.REJECTED): State.REJECTED,
        (State.PENDING_APPROVAL, Event.GROUNDS_LOST): State.PENDING_ATTESTATION,
        (State.ARMED, Event.REJECTED): State.REJECTED,
        (State.ARMED, Event.GROUNDS_LOST): State.PENDING_ATTESTATION,
        (State.ARMED, Event.STARTED): State.RUNNING,
        (State.RUNNING, Event.PAUSED): State.PAUSED,
        (State.RUNNING, Event.STOPPED): State.STOPPING,
        (State.PAUSED, Event.RESUMED): State.RUNNING,
        (State.PAUSED, Event.STOPPED): State.STOPPING,
        (State.STOPPING, Event.SEALED): State.SEALED,
        (State.STOPPING, Event.FAILED): State.FAILED,
        (State.SEALED, Event.DELETED): State.DELETED,
        (State.FAILED, Event.DELETED): State.DELETED,
    }
)

#: Nothing leads out of these.
FINAL = frozenset({State.DELETED, State.REJECTED})

#: Captures that have not run and may yet.
WAITING = frozenset({State.PENDING_ATTESTATION, State.PENDING_APPROVAL, State.ARMED})

#: Captures whose worker has no reason to stop.
CAPTURING = frozenset({State.RUNNING, State.PAUSED})

#: Captures for which a worker may be alive.
LIVE = CAPTURING | {State.STOPPING}


def transition(state: State, event: Event) -> State:
    """The state after the event.

    Raises:
        StateConflict: it cannot happen in that state.
    """
    after = TRANSITIONS.get((state, event))
    if after is None:
        raise StateConflict(state)
    return after
