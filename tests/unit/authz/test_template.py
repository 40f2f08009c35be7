"""The roles of the policy that comes with Linewarden."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from linewarden.authz.model import (
    VERBS_OF,
    Consent,
    Context,
    Decision,
    Effect,
    Obligation,
    Purpose,
    Resource,
    ResourceType,
    Verb,
)
from linewarden.authz.rules import Rule, Statement
from linewarden.authz.snapshot import Snapshot
from linewarden.authz.statements import lint, parse_document, parse_statement

NOW = 1_790_000_000_000_000
DAY = 86_400_000_000

_ROLES: dict[str, dict[str, list[str]]] = tomllib.loads(
    (Path(__file__).parents[2] / "testdata/authz/pbx.toml").read_text()
)
_TEXT = files("linewarden.authz").joinpath("templates/pbx.policy").read_text(encoding="utf-8")
_STATEMENTS = parse_document(_TEXT)


def _cases(key: str) -> list[Any]:
    return [pytest.param(role, line, id=f"{role} {line}") for role, lines in _ROLES.items() for line in lines[key]]


def _snapshot(*bound: str) -> Snapshot:
    statements: tuple[Statement, ...] = (*_STATEMENTS, *(parse_statement(f"bind pat role:{role}") for role in bound))
    return Snapshot.compile(1, bytes(32), [(str(line), one) for line, one in enumerate(statements, 1)])


def _decide(snapshot: Snapshot, line: str) -> Decision:
    verb, kind, whose, *stated = line.split()
    resource = Resource(
        ResourceType(kind),
        "1",
        owner="pat" if whose == "mine" else "owen",
        queue="" if whose in ("mine", "other") else whose,
        created_us=NOW - DAY,
    )
    purpose = next((Purpose(word[4:]) for word in stated if word.startswith("for=")), None)
    consent = Consent.GIVEN if "consent" in stated else None
    return snapshot.decide(
        "pat", Verb(verb), resource, Context(NOW, purpose, "T-1" if "case" in stated else "", consent=consent)
    )


@pytest.mark.parametrize(("role", "line"), _cases("may"))
def test_a_role_may(role: str, line: str) -> None:
    """Each role may perform its tasks."""
    assert _decide(_snapshot(role), line).allowed


@pytest.mark.parametrize(("role", "line"), _cases("may_not"))
def test_a_role_may_not(role: str, line: str) -> None:
    """Each role may do nothing beyond its tasks."""
    assert not _decide(_snapshot(role), line).allowed


def test_every_role_has_its_cases() -> None:
    """The cases name every role of the template, and no other."""
    named = {one.who for one in _STATEMENTS if isinstance(one, Rule)}
    assert named == {f"role:{role}" for role in _ROLES}


def test_the_cases_use_every_verb_and_resource_type_of_the_template() -> None:
    """Each verb and each resource type that the template allows to a role is in a case that is allowed."""
    rules = [one for one in _STATEMENTS if isinstance(one, Rule) and one.effect is Effect.ALLOW]
    pairs = {pair for rule in rules for pair in rule.reach.pairs}
    asked = [line.split()[:2] for lines in _ROLES.values() for line in lines["may"]]
    assert {verb for _, verb in pairs} == {verb for verb, _ in asked}
    assert {kind for kind, _ in pairs} == {kind for _, kind in asked}


@pytest.mark.parametrize("others", [("user",), ("supervisor_sales", "quality"), tuple(_ROLES)], ids=len)
@pytest.mark.parametrize("kind", [ResourceType.RECORDING, ResourceType.VOICEMAIL, ResourceType.FAX, ResourceType.MEDIA])
def test_the_vendor_gets_nothing_that_was_said(kind: ResourceType, others: tuple[str, ...]) -> None:
    """No other role lets the vendor's people near the content of calls, in any circumstances that they state."""
    snapshot = _snapshot("vendor_support", *others)
    for verb in VERBS_OF[kind]:
        for purpose in Purpose:
            for whose in ("mine", "other", "sales"):
                assert not _decide(snapshot, f"{verb} {kind} {whose} for={purpose} case consent").allowed


def test_support_never_sees_numbers() -> None:
    """Support and quality get their access only with the duty to mask numbers."""
    for role in ("partner_support", "vendor_support"):
        decision = _decide(_snapshot(role), "view_metadata cdr other for=support case")
        assert decision.obligations == (Obligation.MASK_NUMBERS,)
    heard = _decide(_snapshot("quality"), "play recording other for=quality consent")
    assert heard.obligations == (Obligation.MASK_NUMBERS, Obligation.STREAM_ONLY)


def test_the_template_is_a_sound_file() -> None:
    """Every statement of the template has an effect, except for roles without persons."""
    assert {warning.message for warning in lint(_TEXT)} <= {"no person has this role, so the rule has no effect"}
    assert all(len(line) <= 140 for line in _TEXT.splitlines())
