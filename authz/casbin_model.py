"""The adapter of Casbin: its model, its matcher and its effector. The only file that imports Casbin.

pycasbin evaluates a matcher by walking its syntax tree for each rule of the policy, which takes 62 ms at 10,000 rules.
Here the expression that Casbin parsed is compiled once into a function. The function is called for the few rules that
the index finds, and Casbin's own effector combines the results. `stock_enforcer` is an unchanged Casbin with the same
model and function, so that tests can compare every answer with it.

The matcher is a conjunction, and only its part `holds` depends on the conditions of a rule. The other parts are equal
for all rules of one holder and scope, so they are evaluated once for all of these rules (`selects`). Of the person they
use only its roles, so persons with the same roles share the result.
"""

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from importlib import metadata
from itertools import product
from pathlib import Path
from typing import Any

import casbin
from casbin.effect import get_effector

from linewarden.authz.assignments import Assignment
from linewarden.authz.conditions import holds
from linewarden.authz.errors import CasbinUnsuitable
from linewarden.authz.model import Context, Effect, Resource, Verb
from linewarden.authz.rules import EVERYONE, ROLE, Binding, Rule, Statement
from linewarden.authz.scopes import QUEUE, Groups, Item, item_of

#: Casbin needs a tenant in every rule and request. A snapshot belongs to one tenant, so it is always this one.
DOMAIN = "tenant"

#: Decides whether a rule matches. Arguments: `g`, then those of a request, then those of a rule, in the model's order.
Matcher = Callable[..., bool]

_MODEL = Path(__file__).with_name("model.conf")
_OLDEST = (2, 8)
_NODES = (
    *(ast.BoolOp, ast.And, ast.Or, ast.UnaryOp, ast.Not, ast.Compare, ast.Eq, ast.NotEq, ast.In),
    *(ast.Call, ast.Name, ast.Attribute, ast.Constant, ast.Load),
)

#: The part of the matcher that depends on the conditions of a rule, and the values that no other part may use.
_HOLDS = "holds(p_when, p_eft, r_obj.resource, r_ctx)"
_CONDITIONAL = {"p_when", "p_eft", "r_obj.resource", "r_ctx"}


class Model:
    """Casbin's matcher and effector.

    `matches` decides whether one rule matches one request; its first argument answers `g(subject, role, domain)`.
    `selects` takes the same arguments and decides whether the rule matches if its conditions hold.
    """

    __slots__ = ("_effects", "matches", "selects")

    def __init__(self) -> None:
        check_distributions(_version_of)
        model = casbin.Enforcer.new_model(path=str(_MODEL))
        self.matches = compile_matcher(model)
        self.selects = compile_matcher(model, conditions=False)
        effector = get_effector(model["e"]["e"].value)
        self._effects = {}
        for allowed, denied in product((False, True), repeat=2):
            effects = {effect for effect, present in ((effector.ALLOW, allowed), (effector.DENY, denied)) if present}
            allows = effector.final_effect(effects) == effector.ALLOW
            self._effects[allowed, denied] = Effect.ALLOW if allows else Effect.DENY

    def effect(self, *, allowed: bool, denied: bool) -> Effect:
        """Combine the rules that matched: `allowed` if one of them allows, `denied` if one of them denies."""
        return self._effects[allowed, denied]


@cache
def compiled_model() -> Model:
    """Return the model that all snapshots of this process share.

    Raises:
        CasbinUnsuitable: another Casbin is installed, or `model.conf` uses an expression that cannot be compiled.
    """
    return Model()


def compile_matcher(model: Any, *, conditions: bool = True) -> Matcher:
    """Compile the matcher of a Casbin model, as Casbin parsed it, into one function.

    `conditions=False` leaves out the part that depends on a rule's conditions.

    Raises:
        CasbinUnsuitable: the matcher uses an expression that may mean something else in Python, or it uses conditions
            outside of the part that can be left out.
    """
    parameters = ["g", *model["r"]["r"].tokens, *model["p"]["p"].tokens]
    body = casbin.Enforcer._get_expression(model["m"]["m"].value).ast_parsed_value  # noqa: SLF001 - the very same
    _check_expression(body, {*parameters, "holds"})
    if not conditions:
        body = _unconditional(body)
    arguments = ast.arguments(
        posonlyargs=[ast.arg(name) for name in parameters], args=[], kwonlyargs=[], kw_defaults=[], defaults=[]
    )
    function = ast.fix_missing_locations(ast.Expression(ast.Lambda(arguments, body)))
    names: dict[str, Any] = {"__builtins__": {}, "holds": holds}
    matcher: Matcher = eval(compile(function, str(_MODEL), "eval"), names)  # noqa: S307 - our own file, nodes checked
    return matcher


def stock_enforcer(statements: Iterable[Statement]) -> Any:
    """Return a `casbin.Enforcer` with these statements and our function `holds`. For comparison only."""
    enforcer = casbin.Enforcer(str(_MODEL))
    enforcer.add_function("holds", holds)
    model = enforcer.get_model()
    permissions = [one for one in statements if not isinstance(one, Assignment)]
    persons = {one.member if isinstance(one, Binding) else one.who for one in permissions}
    model["g"]["g"].policy.extend([one, EVERYONE, DOMAIN] for one in persons if not one.startswith((ROLE, QUEUE)))
    for statement in permissions:
        # Not add_policy(), because it searches all rules for each rule that it adds.
        if isinstance(statement, Binding):
            model["g"]["g"].policy.append([statement.member, statement.role, DOMAIN])
        else:
            model["p"]["p"].policy.extend(_rows(statement))
    enforcer.build_role_links()
    return enforcer


def stock_request(
    subject: str, verb: Verb, resource: Resource, context: Context, groups: Groups | None = None
) -> tuple[str, str, Item, Verb, Context]:
    """Return the arguments of `Enforcer.enforce` for one access."""
    return subject, DOMAIN, item_of(resource, subject, groups), verb, context


def _rows(rule: Rule) -> Iterator[list[Any]]:
    for kind, verb in sorted(rule.reach.pairs):
        for scope in rule.scopes:
            yield [rule.who, DOMAIN, kind.value, scope, verb.value, rule.conditions, rule.effect.value]


def _unconditional(body: ast.expr) -> ast.expr:
    """Return the conjunction without its part `holds`, which alone may use conditions and context."""
    parts = body.values if isinstance(body, ast.BoolOp) and isinstance(body.op, ast.And) else []
    held = [part for part in parts if ast.unparse(part) == _HOLDS]
    others = [part for part in parts if part not in held]
    used = {ast.unparse(node) for part in others for node in ast.walk(part)}
    if len(held) != 1 or not others or used & _CONDITIONAL:
        raise CasbinUnsuitable(
            f"the matcher of model.conf must be a conjunction with {_HOLDS}, and no other part may use its arguments"
        )
    if any(map(_names_person, others)):
        raise CasbinUnsuitable("the matcher of model.conf may use r.sub only in g(r.sub, …): persons share selections")
    return ast.BoolOp(ast.And(), others)


def _names_person(part: ast.expr) -> bool:
    """Return whether a part uses the person for more than its roles."""
    nodes = list(ast.walk(part))
    uses = sum(isinstance(node, ast.Name) and node.id == "r_sub" for node in nodes)
    return uses != sum(isinstance(node, ast.Call) and ast.unparse(node).startswith("g(r_sub,") for node in nodes)


def _check_expression(body: ast.expr, names: set[str]) -> None:
    for node in ast.walk(body):
        known = isinstance(node, _NODES)
        if isinstance(node, ast.Call):
            known = isinstance(node.func, ast.Name) and not node.keywords
        elif isinstance(node, ast.Name):
            known = node.id in names
        elif isinstance(node, ast.Attribute):
            known = not node.attr.startswith("_")
        if not known:
            raise CasbinUnsuitable(f"the matcher of model.conf uses {ast.unparse(node)}, which cannot be compiled")


def check_distributions(version_of: Callable[[str], str | None]) -> None:
    """Check that only the maintained one of the two distributions that install `casbin` is present.

    `version_of` returns the version of a distribution, or None if it is not installed.

    Raises:
        CasbinUnsuitable: the other distribution is installed, or pycasbin is missing or too old.
    """
    if version_of("casbin") is not None:
        raise CasbinUnsuitable("the distribution casbin is installed: uninstall it and pycasbin, then install pycasbin")
    version = version_of("pycasbin")
    if version is None or tuple(map(int, version.split(".")[:2])) < _OLDEST:
        raise CasbinUnsuitable("pycasbin 2.8 or newer is needed: install it")


def _version_of(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None
