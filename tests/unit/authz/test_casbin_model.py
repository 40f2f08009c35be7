"""Casbin as decision engine: the right distribution, our matcher, our effect."""

from collections.abc import Mapping

import casbin
import pytest

from linewarden.authz.casbin_model import check_distributions, compile_matcher, compiled_model
from linewarden.authz.errors import CasbinUnsuitable
from linewarden.authz.model import Effect

_MODEL = """
[request_definition]
r = sub, dom, obj, act, ctx
[policy_definition]
p = sub, dom, type, scope, act, when, eft
[role_definition]
g = _, _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = """


def _model(matcher: str) -> object:
    return casbin.Enforcer.new_model(text=_MODEL + matcher)


@pytest.mark.parametrize(
    "installed",
    [
        {},
        {"pycasbin": "2.7.1"},
        {"pycasbin": "1.43.0"},
        {"casbin": "1.43.0"},
        {"pycasbin": "2.8.0", "casbin": "1.43.0"},
    ],
    ids=str,
)
def test_other_casbins_are_refused(installed: Mapping[str, str]) -> None:
    """The check refuses a missing or an old Casbin, so that no decision is made without the maintained one."""
    with pytest.raises(CasbinUnsuitable):
        check_distributions(installed.get)


@pytest.mark.parametrize("version", ["2.8.0", "2.10", "3.0.0"])
def test_newer_casbins_are_taken(version: str) -> None:
    """The check compares versions as numbers."""
    check_distributions({"pycasbin": version}.get)


@pytest.mark.parametrize(
    "matcher",
    [
        "r.sub.__class__ == p.sub",
        "getattr(r.sub, p.sub)",
        "r.obj.delete()",
        "[r.sub][0] == p.sub",
        "(lambda: r.sub)()",
        "r.sub + p.sub == r.act",
        "r.sub < p.sub",
        "holds(when=p.when)",
        "keyMatch(r.sub, p.sub)",
        "r.sub == other",
    ],
)
def test_a_matcher_of_unknown_means_is_refused(matcher: str) -> None:
    """The compiler refuses a matcher whose meaning may differ between Casbin and Python."""
    with pytest.raises(CasbinUnsuitable):
        compile_matcher(_model(matcher))


def test_a_matcher_means_what_it_says() -> None:
    """Operators of Casbin's language give the results of Casbin."""
    matches = compile_matcher(_model("!(r.sub == p.sub) && (r.act == p.act || r.act in p.type) && r.dom != p.dom"))

    def ask(sub: str, act: str, dom: str) -> bool:
        return matches(None, sub, dom, None, act, None, "ann", "home", "play fax", "", "hold", (), "allow")

    assert ask("bob", "hold", "away")
    assert ask("bob", "play", "away")
    assert not ask("ann", "hold", "away")
    assert not ask("bob", "read", "away")
    assert not ask("bob", "hold", "home")


@pytest.mark.parametrize(
    "matcher",
    [
        "g(r.sub, p.sub, r.dom) && r.sub in r.obj.scopes && holds(p.when, p.eft, r.obj.resource, r.ctx)",
        "(g(r.sub, p.sub, r.dom) || r.sub == p.sub) && holds(p.when, p.eft, r.obj.resource, r.ctx)",
        "g(p.sub, r.sub, r.dom) && holds(p.when, p.eft, r.obj.resource, r.ctx)",
    ],
)
def test_a_matcher_that_tells_persons_of_the_same_roles_apart_is_refused(matcher: str) -> None:
    """The compiler refuses a matcher that uses more of the person than its roles."""
    with pytest.raises(CasbinUnsuitable, match="persons share selections"):
        compile_matcher(_model(matcher), conditions=False)


@pytest.mark.parametrize(
    ("allowed", "denied", "effect"),
    [
        (False, False, Effect.DENY),
        (True, False, Effect.ALLOW),
        (False, True, Effect.DENY),
        (True, True, Effect.DENY),
    ],
)
def test_an_allow_without_a_deny_allows(allowed: bool, denied: bool, effect: Effect) -> None:
    """The effect of `model.conf` is default deny, and a deny overrides an allow."""
    assert compiled_model().effect(allowed=allowed, denied=denied) is effect
