"""The table of transitions: what every way through it has in common."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from linewarden.diagnostics.capture_model import CaptureState as State
from linewarden.diagnostics.errors import StateConflict
from linewarden.diagnostics.states import FINAL, LIVE, TRANSITIONS, WAITING, Event, transition

_EVENTS = st.lists(st.sampled_from(list(Event)), max_size=60)


def _walk(events: list[Event]) -> list[tuple[Event, State]]:
    """The states that a capture has on its way; what is refused leaves it where it is."""
    state, way = State.DRAFT, []
    for event in events:
        if (state, event) in TRANSITIONS:
            state = transition(state, event)
            way.append((event, state))
    return way


@given(st.sampled_from(list(State)), st.sampled_from(list(Event)))
def test_what_is_not_in_the_table_is_refused_by_the_name_of_the_state(state: State, event: Event) -> None:
    """No event leads anywhere but where the table says."""
    if (state, event) not in TRANSITIONS:
        with pytest.raises(StateConflict) as refused:
            transition(state, event)
        assert refused.value.detail == state


@given(_EVENTS)
def test_nothing_runs_that_was_not_attested_and_approved_since(events: list[Event]) -> None:
    """Between the last loss of grounds and a start there are always an attestation and an approval, in this order."""
    grounds: list[Event] = []
    for event, state in _walk(events):
        if event is Event.GROUNDS_LOST:
            grounds = []
        if event in {Event.ATTESTED, Event.APPROVED}:
            grounds.append(event)
        if state is State.RUNNING:
            assert grounds == [Event.ATTESTED, Event.APPROVED]


@given(_EVENTS)
def test_a_session_runs_once_and_stops_once(events: list[Event]) -> None:
    """No capture is started or stopped twice: there is exactly one reason to stop."""
    happened = [event for event, _state in _walk(events)]
    for event in (Event.STARTED, Event.STOPPED, Event.SEALED, Event.DELETED):
        assert happened.count(event) <= 1


@given(_EVENTS)
def test_sealed_is_only_what_was_stopped(events: list[Event]) -> None:
    """Evidence is called sealed only after a reason to stop was recorded."""
    happened = [event for event, _state in _walk(events)]
    if Event.SEALED in happened:
        assert happened.index(Event.STOPPED) < happened.index(Event.SEALED)


def test_nothing_leads_out_of_a_final_state_and_every_other_has_a_way_to_one() -> None:
    """Whatever state a capture is in, it can come to an end."""
    assert not {state for state, _event in TRANSITIONS} & FINAL
    ending = set(FINAL)
    for _ in State:
        ending |= {state for (state, _event), after in TRANSITIONS.items() if after in ending}
    assert ending == set(State)


@pytest.mark.parametrize("state", sorted(WAITING | LIVE))
def test_whatever_waits_or_runs_can_be_ended_by_the_customer(state: State) -> None:
    """Disabling diagnostics has a transition for every capture that is not over."""
    assert {Event.REJECTED, Event.STOPPED, Event.SEALED} & {event for one, event in TRANSITIONS if one is state}
