"""The closed sets of the policy language: they cover each other, so that each place knows a new member."""

from enum import StrEnum
from importlib.resources import files
from typing import Any

import pytest

from linewarden.audit.keyring import Person, new_person_keys
from linewarden.audit.model import Guard
from linewarden.authz import service
from linewarden.authz.conditions import KINDS, parse_conditions
from linewarden.authz.inputs import Elapsed
from linewarden.authz.model import (
    VERBS_OF,
    Consent,
    Context,
    Decision,
    Effect,
    Explanation,
    Obligation,
    Purpose,
    Reason,
    Resource,
    ResourceType,
    Verb,
)
from linewarden.authz.pseudonyms import persons_of, pseudonymous
from linewarden.authz.rules import Rule
from linewarden.authz.scopes import ScopeKind, item_of
from linewarden.authz.service import Access, Call
from linewarden.authz.statements import parse_document, parse_statement
from linewarden.v1 import access_pb2, core_pb2

#: Verbs that the template gives to no role: the telephone system records and transcribes by itself, and the operator
#: must ask for media and for raw filters.
_WITHHELD = {Verb.RECORD_START, Verb.RECORD_STOP, Verb.TRANSCRIBE, Verb.CAPTURE_MEDIA, Verb.CAPTURE_RAW_FILTER}

_RESOURCE = Resource(ResourceType.RECORDING, "r-1", "owen", "sales", 7, {"k": "v"})
_CONTEXT = Context(9, Purpose.LEGAL, "T-1", "lab", Consent.GIVEN)
_OTHER_RESOURCE = Resource(ResourceType.FAX, "r-2", "olga", "support", 8, {"k": "w"})
_OTHER_CONTEXT = Context(10, Purpose.FRAUD, "T-2", "home", Consent.REFUSED)


def _names(enum: Any) -> set[str]:
    """Return the values of a contract enum without their common prefix, as the model writes them."""
    names = [value.name for value in enum.DESCRIPTOR.values]
    prefix = names[0].removesuffix("UNSPECIFIED")
    return {name.removeprefix(prefix).lower() for name in names[1:]}


@pytest.mark.parametrize(
    ("enum", "proto"),
    [
        (ResourceType, core_pb2.ResourceType),
        (Verb, core_pb2.Verb),
        (Purpose, core_pb2.Purpose),
        (Consent, core_pb2.Consent),
        (Effect, access_pb2.Effect),
        (Reason, access_pb2.DecisionReason),
        (Obligation, access_pb2.Obligation),
    ],
)
def test_the_model_has_the_members_of_the_contract(enum: type[StrEnum], proto: Any) -> None:
    """An enum of the model and the enum of the contract have the same members."""
    assert set(enum) == _names(proto)


def test_every_resource_type_has_verbs() -> None:
    """Each resource type has an entry with at least one verb."""
    assert {kind for kind, verbs in VERBS_OF.items() if verbs} == set(ResourceType)


def test_every_verb_is_valid_for_a_resource_type() -> None:
    """Each verb is valid for at least one resource type."""
    assert frozenset().union(*VERBS_OF.values()) == set(Verb)


def _allowed() -> list[Rule]:
    text = files("linewarden.authz").joinpath("templates/pbx.policy").read_text(encoding="utf-8")
    return [one for one in parse_document(text) if isinstance(one, Rule) and one.effect is Effect.ALLOW]


def test_the_template_gives_every_verb_to_a_role_or_withholds_it() -> None:
    """The template gives each verb to a role, except for the verbs that are withheld on purpose."""
    given = {verb for rule in _allowed() for _, verb in rule.reach.pairs}
    assert given | _WITHHELD == set(Verb)
    assert not given & _WITHHELD


def test_the_template_uses_every_obligation() -> None:
    """Each obligation comes with a permission of the template."""
    assert {one for rule in _allowed() for one in rule.obligations} == set(Obligation)


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, one in KINDS.items() for value in one.examples])
def test_every_kind_of_condition_states_its_input_and_marks(kind: str, value: str) -> None:
    """A condition has its kind, its text, an input whose explanations are cached, and marks of that input."""
    (condition,) = parse_conditions((kind + value,))
    assert (condition.kind, condition.text) == (kind, kind + value)
    assert condition.input.composes
    assert condition.marks
    kind_of_mark = int if isinstance(condition.input, Elapsed) else str
    assert all(isinstance(mark, kind_of_mark) for mark in condition.marks)


def test_every_kind_of_condition_has_examples() -> None:
    """Each kind of condition has examples, because other tests take their conditions from these."""
    assert all(one.examples for one in KINDS.values())


def test_an_item_has_scopes_of_every_kind() -> None:
    """An item with all attributes that belongs to the person who asks lies in a scope of each kind."""
    assert {scope.partition(":")[0] for scope in item_of(_RESOURCE, "owen").scopes} == set(ScopeKind)


@pytest.mark.parametrize("kind", ScopeKind)
def test_every_kind_of_scope_is_parsed_and_recorded(kind: ScopeKind) -> None:
    """A scope of each kind can be written, and its record names no person and no item."""
    values = {ScopeKind.LABEL: ":k=v", ScopeKind.ANY: "", ScopeKind.OWN: ""}
    statement = parse_statement(f"allow role:a play fax {kind}{values.get(kind, ':alice')}")
    text, items = pseudonymous(statement, lambda _name: "sid")
    named = bool(persons_of(statement) or items)
    assert (statement.text != text) is named
    assert named is (kind in (ScopeKind.OWNER, ScopeKind.ID))


def _call(context: Context) -> Call:
    return Call(1, "pbx", Guard(0, 1), "q-1", "ann", context)


@pytest.mark.parametrize("field", Context._fields)
def test_a_record_states_every_field_of_the_context(field: str) -> None:
    """Two requests that differ in one field of the context have different records."""
    actor = Person(*new_person_keys())
    other = _CONTEXT._replace(**{field: getattr(_OTHER_CONTEXT, field)})
    first, second = (service._header(_call(context), actor, 1) for context in (_CONTEXT, other))
    assert first != second


@pytest.mark.parametrize("field", Resource._fields)
def test_a_record_states_every_attribute_of_the_resource(field: str) -> None:
    """Two accesses that differ in one attribute of the resource have different records."""
    persons = {name: Person(*new_person_keys()) for name in ("owen", "olga")}
    other = _RESOURCE._replace(**{field: getattr(_OTHER_RESOURCE, field)})
    decision = Decision(Explanation(Effect.DENY, Reason.NO_MATCHING_RULE))
    first, second = (service._item(Access(Verb.PLAY, one), decision, persons) for one in (_RESOURCE, other))
    assert first != second
