"""The closed sets of the policy language: they cover each other, so that each place knows a new member."""

import tomllib
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from linewarden.audit.keyring import Person, new_person_keys
from linewarden.audit.model import Guard
from linewarden.authz import service
from linewarden.authz.conditions import KINDS, parse_conditions
from linewarden.authz.inputs import Ordered
from linewarden.authz.lockout import can_change_policy, compiled
from linewarden.authz.model import (
    VERBS_OF,
    Consent,
    Context,
    Decision,
    Effect,
    Explanation,
    Obligation,
    Participant,
    Purpose,
    Reason,
    Resource,
    ResourceType,
    Role,
    Verb,
)
from linewarden.authz.pseudonyms import persons_of, pseudonymous
from linewarden.authz.rules import Rule
from linewarden.authz.scopes import ScopeKind, item_of
from linewarden.authz.service import Access, Call
from linewarden.authz.statements import parse_document, parse_statement
from linewarden.v1 import access_pb2, core_pb2

_NOW_US = 1_790_000_000_000_000  # 2026-09-21T14:13:20Z, a Monday, near the instants of the examples
_HOUR_US = 3_600_000_000
_DECISIONS = Path(__file__).parents[2] / "testdata/authz/decisions.toml"

#: Verbs that the template gives to no role: the telephone system records and transcribes by itself, and the operator
#: must ask for media and for raw filters.
_WITHHELD = {Verb.RECORD_START, Verb.RECORD_STOP, Verb.TRANSCRIBE, Verb.CAPTURE_MEDIA, Verb.CAPTURE_RAW_FILTER}

#: Types that the template gives to no role: who may read an address book differs from customer to customer.
_WITHHELD_TYPES = {ResourceType.CONTACT}

_RESOURCE = Resource(
    ResourceType.RECORDING, "r-1", "owen", "sales", 7, {"k": "v"}, (Participant(Role.CALLER, ("owen",)),), ("olga",), 5
)
_CONTEXT = Context(9, Purpose.LEGAL, "T-1", "lab", Consent.GIVEN)
_OTHER_RESOURCE = Resource(
    ResourceType.FAX, "r-2", "olga", "support", 8, {"k": "w"}, (Participant(Role.AGENT, ("olga",)),), ("owen",), 6
)
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
        (Role, core_pb2.ParticipantRole),
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


def test_the_template_allows_a_use_of_every_resource_type_or_withholds_it() -> None:
    """The template has a rule that allows a use of each resource type, except for the types withheld on purpose."""
    used = {kind for rule in _allowed() for kind, _ in rule.reach.pairs}
    assert used | _WITHHELD_TYPES == set(ResourceType)
    assert not used & _WITHHELD_TYPES


def test_the_cases_of_decisions_use_every_condition() -> None:
    """Each kind of condition stands in a policy of decisions.toml, with cases that are decided under it."""
    policies = tomllib.loads(_DECISIONS.read_text(encoding="utf-8"))["policy"]
    rules = [parse_statement(line) for policy in policies if policy["case"] for line in policy["policy"]]
    used = {one.kind for rule in rules if isinstance(rule, Rule) for one in rule.conditions}
    assert used == set(KINDS)


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
    kind_of_mark = int if isinstance(condition.input, Ordered) else str
    assert all(isinstance(mark, kind_of_mark) for mark in condition.marks)


def test_every_kind_of_condition_has_examples() -> None:
    """Each kind of condition has examples, because other tests take their conditions from these."""
    assert all(one.examples for one in KINDS.values())


@pytest.mark.parametrize("text", [kind + value for kind, one in KINDS.items() for value in one.examples])
@pytest.mark.parametrize("effect", list(Effect))
def test_a_lockout_considers_every_kind_of_condition(effect: Effect, text: str) -> None:
    """It is a lockout exactly if decisions of the next days, an hour apart, all deny the change of the policy."""
    lines = ["allow ann change_policy policy any", f"{effect} ann change_policy policy any if {text}"]
    snapshot = compiled(map(parse_statement, lines[1:] if effect is Effect.ALLOW else lines))
    asked = Resource(ResourceType.POLICY, "acme")
    instants = (_NOW_US + hour * _HOUR_US for hour in range(8 * 24))
    allowed = any(snapshot.decide("ann", Verb.CHANGE_POLICY, asked, Context(now)).allowed for now in instants)
    assert can_change_policy(snapshot, "acme", _NOW_US) is allowed


def test_an_item_has_scopes_of_every_kind() -> None:
    """An item with all attributes that belongs to the person who asks lies in a scope of each kind."""
    scopes = item_of(_RESOURCE, "owen", lambda member: ["sales"] if member == "owen" else []).scopes
    assert {scope.partition(":")[0] for scope in scopes} == set(ScopeKind)


@pytest.mark.parametrize("kind", ScopeKind)
def test_every_kind_of_scope_is_parsed_and_recorded(kind: ScopeKind) -> None:
    """A scope of each kind can be written, and its record names no person and no item."""
    values = {ScopeKind.LABEL: ":k=v", ScopeKind.ANY: "", ScopeKind.OWN: "", ScopeKind.PARTY: ":caller"}
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


@pytest.mark.parametrize("field", Participant._fields)
def test_a_record_states_every_value_of_a_participant(field: str) -> None:
    """Two accesses that differ in one value of a participant have different records, addresses included."""
    persons = {name: Person(*new_person_keys()) for name in ("owen", "olga")}
    one = Participant(Role.CALLER, ("owen",), "ext:1001", 1, 2)
    other = one._replace(**{field: getattr(Participant(Role.AGENT, ("olga",), "ext:1002", 3, 4), field)})
    decision = Decision(Explanation(Effect.DENY, Reason.NO_MATCHING_RULE))
    first, second = (
        service._item(Access(Verb.PLAY, _RESOURCE._replace(participants=(who,))), decision, persons)
        for who in (one, other)
    )
    assert first != second
