"""The state machine of a capture: a table of states, events and next states. Any other event is refused."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from linewarden.diagnostics.capture_model import CaptureState as State
from linewarden.diagnostics.errors import StateConflict


class Event(StrEnum):
    """An event in the life of a capture."""

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


#: A capture that loses its attestation before it runs waits for another attestation. It loses its approval too.
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

#: States without a next state.
FINAL = frozenset({State.DELETED, State.REJECTED})

#: States of captures that have not run and may still run.
WAITING = frozenset({State.PENDING_ATTESTATION, State.PENDING_APPROVAL, State.ARMED})

#: States of captures whose worker has no reason to stop.
CAPTURING = frozenset({State.RUNNING, State.PAUSED})

#: States of captures that may have a running worker.
LIVE = CAPTURING | {State.STOPPING}


def transition(state: State, event: Event) -> State:
    """Return the state after the event.

    Raises:
        StateConflict: the event is not permitted in that state.
    """
    after = TRANSITIONS.get((state, event))
    if after is None:
        raise StateConflict(state)
    return after
