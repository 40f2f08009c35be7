"""The policy file: its meaning, and its refusals."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from linewarden.authz.errors import LineError, PolicyInvalid
from linewarden.authz.statements import MAX_ERRORS, LineWarning, lint, parse_document, parse_statement
from tests.deadlines import bounded_work

_DATA = Path(__file__).parents[2] / "testdata/authz"


def _cases(name: str) -> list[Any]:
    return [pytest.param(case, id=case["line"]) for case in tomllib.loads((_DATA / name).read_text())["case"]]


def _errors(text: str) -> tuple[LineError, ...]:
    with pytest.raises(PolicyInvalid) as caught:
        parse_document(text)
    return caught.value.errors


@pytest.mark.parametrize("case", _cases("refused.toml"))
def test_wrong_lines_are_refused(case: dict[str, str]) -> None:
    """The parser refuses a wrong line with its number and its fault."""
    assert _errors(f"# a comment\n\n{case['line']}\n") == (LineError(3, case["says"]),)


@pytest.mark.parametrize("case", _cases("refused.toml"))
def test_refusals_name_no_person(case: dict[str, str]) -> None:
    """A refusal never quotes the line, which may hold a person."""
    line = case["line"].replace("ann", "zebulon.quartermaine").replace("bob", "zebulon.quartermaine")
    for error in _errors(line):
        assert "zebulon" not in error.message


@pytest.mark.parametrize("case", _cases("spelling.toml"))
def test_canonical_text(case: dict[str, str]) -> None:
    """A statement has one canonical text, however it was written."""
    assert parse_statement(case["line"]).text == case["text"]
    assert parse_statement(case["text"]) == parse_statement(case["line"])


def test_ids_are_stable() -> None:
    """The id of a statement depends on its meaning, not on its spelling."""
    assert (
        parse_statement("allow  ann play,download fax own").id == parse_statement("allow ann download,play fax own").id
    )
    assert parse_statement("bind ann role:user").id == "649e1240e49319b6"


@pytest.mark.parametrize("line", ["", "   ", "# only a comment"])
def test_a_statement_is_needed(line: str) -> None:
    """The parser refuses a line without a statement."""
    with pytest.raises(PolicyInvalid) as caught:
        parse_statement(line)
    assert caught.value.errors == (LineError(1, "the line has no statement: write one"),)


def test_all_wrong_lines_are_named() -> None:
    """The parser names every wrong line in order, whichever check found it."""
    text = "bind role:b role:a\nfoo\nbind role:a role:b\nallow ann play fax own\nallow  ann play fax own\nbar"
    assert [(error.line, error.message) for error in _errors(text)] == [
        (1, "the role inherits itself, directly or through other roles: remove one of these bindings"),
        (2, "unknown statement: begin it with bind, allow, deny or assign"),
        (3, "the role inherits itself, directly or through other roles: remove one of these bindings"),
        (5, "the same statement as in line 4: remove one of them"),
        (6, "unknown statement: begin it with bind, allow, deny or assign"),
    ]


def test_hopeless_files_are_given_up() -> None:
    """The parser stops reading a file of nothing but wrong lines before its end."""
    errors = _errors("x\n" * 1_000_000)
    assert len(errors) == MAX_ERRORS + 1
    assert errors[-1].message == "too many invalid lines: the rest of the file was not read"


@pytest.mark.parametrize(
    ("line", "fits"),
    [
        ("bind " + "a" * 400 + " role:user", True),
        ("bind " + "a" * 401 + " role:user", False),
        ("bind " + "ä" * 200 + " role:user", True),
        ("bind " + "ä" * 200 + "a role:user", False),
        ("bind ann role:" + "r" * 64, True),
        ("bind ann role:" + "r" * 65, False),
        ("allow ann play fax id:" + "x" * 512, True),
        ("allow ann play fax id:" + "x" * 513, False),
        ("allow ann play fax own # ".ljust(2048, "x"), True),
        ("allow ann play fax own # ".ljust(2049, "x"), False),
        ("allow ann play fax own # ".ljust(1048576, "x"), False),
        ('allow ann play fax "id:' + "\\u00a0" * 200 + '"', True),
        ("allow ann play fax " + ",".join(f"id:{n}" + "x" * 505 for n in range(4)), False),
    ],
)
def test_lengths_are_bounded(line: str, fits: bool) -> None:
    """The parser bounds the length of names, values and lines in bytes."""
    try:
        parse_statement(line)
    except PolicyInvalid:
        assert not fits
    else:
        assert fits


def test_canonical_text_is_a_line() -> None:
    """The parser refuses a statement whose canonical text is longer than a line may be."""
    names = [f'"id:{n}{"ä" * 240}\\u00a0"' for n in range(2)]
    statement = parse_statement(f"allow ann play fax {names[0]}")
    assert parse_statement(statement.text) == statement
    assert _errors(f"allow ann play fax {','.join(names)}") == (
        LineError(1, "the canonical text of the line is longer than 2048 bytes: shorten the line"),
    )


def test_windows_files_are_read() -> None:
    """The parser ignores a byte order mark and carriage returns at line ends."""
    assert [one.text for one in parse_document("\ufeffbind ann role:user\r\n\r\n")] == ["bind ann role:user"]


def test_roles_inherit_up_to_eight_deep() -> None:
    """A chain of roles is as long as Casbin follows it, and the first binding beyond that is named."""
    chain = [f"bind role:r{n + 1} role:r{n}" for n in range(12)]
    parse_document("\n".join(chain[:8]))
    message = "more than 8 roles inherit one another in a row: bind some of them directly"
    assert _errors("\n".join(chain)) == (LineError(9, message),)


@pytest.mark.parametrize(
    ("lines", "wrong"),
    [
        (["bind role:a role:a"], [1]),
        (["bind role:a role:b", "bind role:b role:c", "bind role:c role:a", "bind role:d role:a"], [1, 2, 3]),
        (["bind role:a role:b", "bind role:b role:a", "bind role:a role:x", "bind ann role:a"], [1, 2]),
    ],
)
def test_roles_may_not_inherit_themselves(lines: list[str], wrong: list[int]) -> None:
    """Each binding of a loop is named, and no binding that only leads into it or out of it."""
    assert [error.line for error in _errors("\n".join(lines))] == wrong


def test_long_chains_and_wide_graphs_are_refused_with_bounded_work() -> None:
    """The check refuses a chain of twenty thousand roles, or such a loop, with bounded work and stack."""
    count = 20_000
    chain = [f"bind role:r{n} role:r{n + 1}" for n in range(count)]
    with bounded_work():
        assert len(_errors("\n".join(chain))) == 1
        assert len(_errors("\n".join([*chain, f"bind role:r{count} role:r0"]))) == MAX_ERRORS


_NO_RULE = "no rule names this role or a role that it inherits, so the binding gives nothing"
_NO_HOLDER = "no person has this role, so the rule has no effect"
_SHADOWED = "unconditional rules for the same or an inherited role always deny this"
_NOTHING_DENIED = "this person has no role and no rule that allows anything, so the rule denies nothing"
_EVERYBODY = "this is the name of one person: write everyone in a rule that denies, or bind persons to a role"
_LIKE_A_ROLE = "this is the name of a person: write role: before it if the role is meant"
_OTHER_MARK = "this is the whole name of a person: write role: in small letters before the name if a role is meant"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("bind ann role:a", [(1, _NO_RULE)]),
        ("bind ann role:a\nbind role:a role:b\nallow role:b play fax own", []),
        ("allow role:a play fax own\nallow role:a delete fax own", [(1, _NO_HOLDER)]),
        ("bind role:b role:a\nallow role:a play fax own", [(2, _NO_HOLDER)]),
        (
            "bind ann role:a\nbind role:a role:b\nallow role:a play fax own\ndeny role:b play fax any",
            [(3, _SHADOWED)],
        ),
        (
            "allow ann play fax,voicemail own\ndeny ann play fax any\ndeny ann play voicemail own",
            [(1, _SHADOWED)],
        ),
        ("allow ann play fax own\ndeny ann play fax any if zone=lab", []),
        ("allow ann play fax own\ndeny ann play fax queue:x", []),
        ("allow ann play,delete fax own\ndeny ann play fax any", []),
        ("allow ann play fax own\ndeny bob play fax any", [(2, _NOTHING_DENIED)]),
        ("bind bob role:a\nallow role:a play fax own\ndeny bob play fax any", []),
        ("allow any play fax own", [(1, _EVERYBODY)]),
        ("bind Everyone role:a\nallow role:a play fax own", [(1, _EVERYBODY)]),
        ("deny //partner/all play fax any", [(1, _EVERYBODY), (1, _NOTHING_DENIED)]),
        ("bind bob role:user\nallow role:user play fax own\nallow User play fax own", [(3, _LIKE_A_ROLE)]),
        ("bind user role:user\nallow role:user play fax own\ndeny user play fax any", []),
        ("allow group:sales play fax own", [(1, _OTHER_MARK)]),
        ("allow sip:ann play fax own", []),
        (
            "allow ann play fax own if zone=lab if zone!=lab,home",
            [(1, "these conditions never hold together, so the rule allows nothing")],
        ),
        ("allow ann play fax own if zone=lab,office if zone!=lab", []),
    ],
)
def test_lint_warns(text: str, expected: list[tuple[int, str]]) -> None:
    """Lint warns about well-formed statements without effect, and about nothing else."""
    assert lint(text) == tuple(LineWarning(*one) for one in expected)


def test_lint_refuses_what_is_wrong() -> None:
    """Lint reports a wrong file with errors, not warnings."""
    with pytest.raises(PolicyInvalid):
        lint("foo")
