"""Decisions with their whole explanation, as cases in tests/testdata/authz."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from linewarden.authz.casbin_model import stock_enforcer, stock_request
from linewarden.authz.model import (
    Consent,
    Context,
    Decision,
    Participant,
    Purpose,
    Resource,
    ResourceType,
    Role,
    Verb,
)
from linewarden.authz.snapshot import Snapshot
from linewarden.authz.statements import parse_statement

NOW = 1_790_000_000_000_000
SECOND = 1_000_000

_DATA = Path(__file__).parents[2] / "testdata/authz"


def _cases() -> list[Any]:
    policies = tomllib.loads((_DATA / "decisions.toml").read_text())["policy"]
    return [
        pytest.param(one["policy"], case, id=f"{one['promise']} {number}")
        for one in policies
        for number, case in enumerate(one["case"], 1)
    ]


def _resource(said: dict[str, Any]) -> Resource:
    said = {"id": "1", "type": "recording"} | said
    if "created" in said:
        said["created_us"] = NOW + said.pop("created") * SECOND
    said["participants"] = tuple(map(_participant, said.get("participants", ())))
    said["parties"] = tuple(said.get("parties", ()))
    if "duration" in said:
        said["duration_us"] = said.pop("duration") * SECOND
    return Resource(**(said | {"type": ResourceType(said["type"])}))


def _participant(said: str) -> Participant:
    """Read `role=person,person from until`, the ends as seconds from now."""
    who, *ends = said.split()
    role, _, persons = who.partition("=")
    return Participant(Role(role), tuple(persons.split(",")), "", *(NOW + int(end) * SECOND for end in ends))


def _context(said: dict[str, Any]) -> Context:
    purpose, consent = said.get("purpose"), said.get("consent")
    return Context(
        now_us=NOW + said.get("at", 0) * SECOND,
        purpose=purpose and Purpose(purpose),
        case=said.get("case", ""),
        zone=said.get("zone", ""),
        consent=consent and Consent(consent),
    )


def _explained(decision: Decision) -> dict[str, Any]:
    said: dict[str, Any] = {
        "matched": {match.rule_id: list(decision.role_path(match)) for match in decision.matched},
        "failed": [[failed.rule_id, failed.condition, failed.error] for failed in decision.failed],
        "obligations": [duty.value for duty in decision.obligations],
    }
    said = {key: value for key, value in said.items() if value} | {"reason": decision.reason.value}
    if decision.parts:
        said["parts"] = [[end is not None and (end - NOW) // SECOND for end in part] for part in decision.parts]
    if decision.expires_us is not None:
        said["expires"] = (decision.expires_us - NOW) // SECOND
    return said


@pytest.mark.parametrize(("policy", "case"), _cases())
def test_decisions_are_explained(policy: list[str], case: dict[str, Any]) -> None:
    """The policy of the case gives the expected decision with its whole explanation."""
    statements = [parse_statement(line) for line in policy]
    snapshot = Snapshot.compile(1, bytes(32), [(str(line), one) for line, one in enumerate(statements, 1)])
    access = (
        case["who"],
        Verb(case.get("verb", "play")),
        _resource(case.get("item", {})),
        _context(case.get("given", {})),
    )
    decision = snapshot.decide(*access)
    expected = {key: value for key, value in case.items() if key not in ("who", "verb", "item", "given")}
    assert _explained(decision) == expected
    assert len({match.rule_id for match in decision.matched}) == len(decision.matched)
    assert decision.allowed is (case["reason"] == "allowed_by_rule")
    if case["who"] and not case["who"].startswith("role:"):
        groups = Snapshot.compile(1, bytes(32), [(str(line), one) for line, one in enumerate(statements, 1)]).groups
        assert stock_enforcer(statements).enforce(*stock_request(*access, groups)) is decision.allowed
