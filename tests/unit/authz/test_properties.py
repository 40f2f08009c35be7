"""Properties of pairs that must agree: index and Casbin, change and fresh start, statement and spelling."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linewarden.authz.casbin_model import DOMAIN, compiled_model, stock_enforcer, stock_request
from linewarden.authz.lexer import spelled, words
from linewarden.authz.model import (
    VERBS_OF,
    Consent,
    Context,
    Obligation,
    Participant,
    Purpose,
    Resource,
    ResourceType,
    Role,
    Verb,
)
from linewarden.authz.roles import MAX_LINKS
from linewarden.authz.rules import EVERYONE, ROLE, Binding, Rule, Statement
from linewarden.authz.scopes import Groups, item_of, took_part
from linewarden.authz.snapshot import Snapshot
from linewarden.authz.statements import parse_document, parse_statement

NOW = 1_790_000_000_000_000  # 2026-09-21T14:13:20Z, a whole second
SECOND = 1_000_000
HASH = bytes(32)

_relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])

PERSONS = ["ann", "bob", "cem", "//dealer/ida"]
ROLES = [f"role:r{number}" for number in range(12)]
SCOPES = [
    *("any", "own", "party", "party:caller", "party:callee", "group:r1", "group:r3"),
    *("id:7", "owner:ann", "owner:bob", "queue:sales", "label:kind=internal"),
]
KINDS = [ResourceType.RECORDING, ResourceType.VOICEMAIL, ResourceType.CDR]
VERBS = [Verb.VIEW_METADATA, Verb.PLAY, Verb.DOWNLOAD]
CONDITIONS = [
    "from=2026-09-21T14:13:20Z",
    "until=2026-09-21T14:13:21Z",
    "purpose=quality,training",
    "age<1m",
    "age>=30s",
    "age<2mo",
    "created>=2026-09-21T14:12:50Z",
    "duration<10s",
    "consent=given",
    "consent=refused",
    "case",
    "zone=office,lab",
    "zone!=office",
]


def _kind(condition: str) -> str:
    """Return the name and the sign of a condition."""
    return re.findall("[a-z]+(?:=|!=|<|>=)?", condition)[0]  # type: ignore[no-any-return]


def lists_of(words_of: Sequence[str]) -> st.SearchStrategy[str]:
    """Draw a list as it stands in a statement."""
    return st.lists(st.sampled_from(words_of), min_size=1, max_size=3, unique=True).map(",".join)


@st.composite
def rule_lines(draw: st.DrawFn) -> str:
    """Draw a rule that fits its types, with some conditions of different kinds."""
    effect = draw(st.sampled_from(["allow", "allow", "deny"]))
    who = draw(st.sampled_from(PERSONS + ROLES[:4] + [EVERYONE] * (effect == "deny")))
    kinds = draw(st.sampled_from(["recording", "voicemail", "recording,voicemail", "cdr", "*"]))
    verbs = draw(st.sampled_from(["view_metadata", "download,view_metadata", "*"] + ["play"] * (kinds != "cdr")))
    scopes = draw(st.one_of(st.just("any"), lists_of(SCOPES[1:])))
    found = draw(st.lists(st.sampled_from(CONDITIONS), max_size=3, unique_by=_kind))
    line = " ".join([effect, who, verbs, kinds, scopes, *(f"if {text}" for text in found)])
    if effect == "allow" and draw(st.booleans()):
        duties = [one for one in Obligation if one is not Obligation.PART or scopes in ("own", "party", "party:caller")]
        line += " then " + draw(lists_of(duties))
    return line


def binding_lines() -> st.SearchStrategy[str]:
    """Draw any binding, so that roles form chains beyond the limit, and loops."""
    free = st.tuples(st.sampled_from([*PERSONS, *ROLES, "queue:sales"]), st.sampled_from(ROLES))
    chain = st.integers(0, len(ROLES) - 2).map(lambda at: (ROLES[at + 1], ROLES[at]))
    return st.one_of(free, chain).map(lambda pair: f"bind {pair[0]} {pair[1]}")


def statements(most: int = 24) -> st.SearchStrategy[list[Statement]]:
    """Draw a policy, each statement once."""
    lines = st.one_of(rule_lines(), rule_lines(), binding_lines())
    return st.lists(lines.map(parse_statement), max_size=most, unique_by=lambda one: one.text)


def resources() -> st.SearchStrategy[Resource]:
    """Draw an item with or without each attribute, and with invalid creation times."""
    times: list[Any] = [None, NOW, NOW - 30 * SECOND, NOW - 30 * SECOND + 1, NOW - 60 * SECOND, NOW + 1]
    broken: list[Any] = [float("nan"), "yesterday", True]
    return st.builds(
        Resource,
        type=st.sampled_from(KINDS),
        id=st.sampled_from(["7", "8"]),
        owner=st.sampled_from(["", *PERSONS]),
        queue=st.sampled_from(["", "sales"]),
        created_us=st.sampled_from(times * 2 + broken),
        labels=st.sampled_from([{}, {"kind": "internal"}, {"kind": "external", "site": "x"}]),
        participants=st.lists(participants(), max_size=3).map(tuple),
        parties=st.sampled_from([(), (), ("bob",)]),
        duration_us=st.sampled_from([None, 9 * SECOND, 10 * SECOND, *broken[:1]]),
    )


def participants() -> st.SearchStrategy[Participant]:
    """Draw a participant with any number of persons."""
    persons = st.lists(st.sampled_from(PERSONS), max_size=2, unique=True).map(tuple)
    return st.builds(Participant, role=st.sampled_from(Role), persons=persons)


def contexts() -> st.SearchStrategy[Context]:
    """Draw circumstances, stated or not, at the instants where windows open and close."""
    zones: list[Any] = ["", "office", "home", 5]
    return st.builds(
        Context,
        now_us=st.sampled_from([NOW - 1, NOW, NOW + SECOND - 1, NOW + SECOND]),
        purpose=st.sampled_from([None, Purpose.QUALITY, Purpose.LEGAL]),
        case=st.sampled_from(["", "T-1"]),
        zone=st.sampled_from(zones),
        consent=st.sampled_from([None, *Consent]),
    )


def numbered(policy: Sequence[Statement]) -> list[tuple[str, Statement]]:
    """Return the statements with ids."""
    return [(f"1.{place}", one) for place, one in enumerate(policy, 1)]


def groups_of(policy: Sequence[Statement]) -> Groups:
    """Return a plain search of the roles that a person or queue has, up to the greatest distance."""
    links = [(one.member, one.role) for one in policy if isinstance(one, Binding)]

    def groups(member: str) -> set[str]:
        reached, new = set[str](), {member}
        for _ in range(MAX_LINKS):
            new = {role for one, role in links if one in new}
            reached |= new
        return {role.removeprefix(ROLE) for role in reached}

    return groups


requests = st.tuples(st.sampled_from([*PERSONS, "eve"]), st.sampled_from(VERBS), resources(), contexts())


@pytest.mark.slow
@_relaxed
@given(statements(), st.lists(requests, min_size=1, max_size=6))
def test_index_and_casbin_agree(policy: list[Statement], asked: list[tuple[str, Verb, Resource, Context]]) -> None:
    """The indexed answer is that of a plain casbin.Enforcer with the same model and rules."""
    snapshot, enforcer = Snapshot.compile(1, HASH, numbered(policy)), stock_enforcer(policy)
    for subject, verb, resource, context in asked:
        stock = enforcer.enforce(*stock_request(subject, verb, resource, context, groups_of(policy)))
        assert snapshot.decide(subject, verb, resource, context).allowed is stock


@pytest.mark.slow
@_relaxed
@given(statements(), requests)
def test_all_matching_rules_are_named(policy: list[Statement], asked: tuple[str, Verb, Resource, Context]) -> None:
    """The explanation names exactly the rules that Casbin's matcher accepts."""
    subject, verb, resource, context = asked
    has_role = stock_enforcer(policy).get_role_manager().has_link
    request = (has_role, subject, DOMAIN, item_of(resource, subject, groups_of(policy)), verb, context)
    expected = {
        (rule_id, rule.effect)
        for rule_id, rule in numbered(policy)
        if isinstance(rule, Rule)
        for kind, act in rule.reach.pairs
        for scope in rule.scopes
        if compiled_model().matches(*request, rule.who, DOMAIN, kind, scope, act, rule.conditions, rule.effect)
    }
    decision = Snapshot.compile(1, HASH, numbered(policy)).decide(subject, verb, resource, context)
    assert {(match.rule_id, match.effect) for match in decision.matched} == expected
    assert len(decision.matched) == len(expected)


@pytest.mark.slow
@_relaxed
@given(statements(), requests)
def test_role_paths_are_bindings(policy: list[Statement], asked: tuple[str, Verb, Resource, Context]) -> None:
    """Each role path begins with the person, follows bindings of the policy, and ends at the role of the rule."""
    bound = {(one.member, one.role) for one in policy if isinstance(one, Binding)}
    rules = dict(numbered(policy))
    decision = Snapshot.compile(1, HASH, numbered(policy)).decide(*asked)
    for match in decision.matched:
        rule, path = rules[match.rule_id], decision.role_path(match)
        assert isinstance(rule, Rule)
        assert path[0] == asked[0]
        assert path[-1] == rule.who
        assert path == (asked[0], EVERYONE) if rule.who == EVERYONE else set(pairwise(path)) <= bound


@pytest.mark.slow
@_relaxed
@given(statements(), statements(), st.randoms(use_true_random=False), st.lists(requests, min_size=1, max_size=4))
def test_change_and_fresh_start_agree(
    before: list[Statement], new: list[Statement], random: Any, asked: list[tuple[str, Verb, Resource, Context]]
) -> None:
    """A snapshot after a change answers as a newly compiled one, and the earlier one answers as before."""
    old = numbered(before)
    removed = random.sample(old, len(old) // 2)
    added = [(f"2.{place}", one) for place, one in enumerate(new, 1)]
    left = [one for one in old if one not in removed] + added
    first = Snapshot.compile(1, HASH, old)
    unchanged = [first.decide(*one) for one in asked]
    changed, fresh = first.changed(2, HASH, added, removed), Snapshot.compile(2, HASH, left)
    assert [changed.decide(*one) for one in asked] == [fresh.decide(*one) for one in asked]
    assert [first.decide(*one) for one in asked] == unchanged


@_relaxed
@given(statements(), requests, st.integers(0, 10**9))
def test_answers_stand_until_they_expire(
    policy: list[Statement], asked: tuple[str, Verb, Resource, Context], later_us: int
) -> None:
    """Time alone does not change an answer before `expires_us`, or ever without it."""
    subject, verb, resource, context = asked
    snapshot = Snapshot.compile(1, HASH, numbered(policy))
    decision = snapshot.decide(*asked)
    last = context.now_us + later_us if decision.expires_us is None else decision.expires_us - 1
    assert last >= context.now_us
    for now_us in {last, min(last, context.now_us + later_us)}:
        then = Context(now_us, context.purpose, context.case, context.zone, context.consent)
        later = snapshot.decide(subject, verb, resource, then)
        assert (later.effect, later.matched, later.failed) == (decision.effect, decision.matched, decision.failed)


@pytest.mark.slow
@_relaxed
@given(statements(), st.lists(requests, min_size=8, max_size=40))
def test_answers_do_not_depend_on_earlier_ones(
    policy: list[Statement], asked: list[tuple[str, Verb, Resource, Context]]
) -> None:
    """A snapshot that has answered much gives the answers and explanations of a fresh one."""
    used = Snapshot.compile(1, HASH, numbered(policy))
    for one in [*asked, *reversed(asked)]:
        fresh = Snapshot.compile(1, HASH, numbered(policy))
        assert used.decide(*one) == fresh.decide(*one)


@st.composite
def conditional_rules(draw: st.DrawFn) -> list[Statement]:
    """Draw rules for the same person, verb and items, which differ in their conditions only."""
    combined = st.lists(
        st.sampled_from(CONDITIONS), min_size=1, max_size=2, unique_by=lambda text: _kind(text).rstrip("<>=!")
    )
    sets = draw(st.lists(combined.map(sorted), min_size=1, max_size=4, unique_by=tuple))
    effects = st.sampled_from(["allow", "allow", "deny"])
    return [parse_statement(f"{draw(effects)} ann play recording any if {' if '.join(one)}") for one in sets]


@pytest.mark.slow
@settings(_relaxed, max_examples=200)
@given(conditional_rules(), st.lists(st.tuples(resources(), contexts()), min_size=10, max_size=20))
def test_each_circumstance_gets_its_own_answer(policy: list[Statement], asked: list[tuple[Resource, Context]]) -> None:
    """Requests that differ in time, age, purpose, case, zone or consent get separate answers."""
    used, enforcer = Snapshot.compile(1, HASH, numbered(policy)), stock_enforcer(policy)
    for told, context in asked:
        resource = Resource(ResourceType.RECORDING, "7", created_us=told.created_us, duration_us=told.duration_us)
        decision = used.decide("ann", Verb.PLAY, resource, context)
        fresh = Snapshot.compile(1, HASH, numbered(policy)).decide("ann", Verb.PLAY, resource, context)
        assert decision == fresh
        assert decision.allowed is enforcer.enforce(*stock_request("ann", Verb.PLAY, resource, context))


@_relaxed
@given(requests)
def test_own_is_what_one_took_part_in(asked: tuple[str, Verb, Resource, Context]) -> None:
    """By the scope own, no person gets an item of which the person is neither owner nor participant."""
    subject, verb, resource, context = asked
    own = Snapshot.compile(1, HASH, [("1.1", parse_statement(f"allow {subject} * * own"))])
    if own.decide(subject, verb, resource, context).allowed:
        assert resource.owner == subject or took_part(resource.participants, subject)
        assert resource.owner == subject or any(subject in one.persons for one in resource.participants)


@_relaxed
@given(st.one_of(rule_lines(), binding_lines()))
def test_canonical_text_is_the_statement(line: str) -> None:
    """A statement's canonical text is the same statement, and its own canonical text."""
    statement = parse_statement(line)
    assert parse_statement(statement.text) == statement
    assert parse_statement(statement.text).text == statement.text


@_relaxed
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1))
def test_any_name_can_be_written(name: str) -> None:
    """Every word without control characters has a spelling that reads back as that word, on one visible line."""
    assert words(spelled(name)) == [name]
    assert spelled(name).isprintable()


@pytest.mark.slow
@_relaxed
@given(statements())
def test_a_document_is_its_statements(policy: list[Statement]) -> None:
    """A file of canonical texts, with comments and blank lines between, reads as these statements."""
    rules = [one for one in policy if isinstance(one, Rule)]
    text = "\r\n".join(f"# {place}\n\n{one.text}  # why" for place, one in enumerate(rules))
    assert list(parse_document(text)) == rules


@_relaxed
@given(st.sampled_from(list(ResourceType)))
def test_all_verbs_are_those_that_fit(kind: ResourceType) -> None:
    """`*` stands for every verb that fits a type, and no other."""
    rule = parse_statement(f"allow ann * {kind} any")
    assert isinstance(rule, Rule)
    assert {verb for _, verb in rule.reach.pairs} == VERBS_OF[kind]
