"""The rules of the contract, checked fast.

The rules stand in the protos as protovalidate options and nowhere else. The protovalidate library needs hundreds of
microseconds for a message; a Check has four. So the options are read from the descriptors at start and turned into two
Python functions a message, made of the same conditions: one says whether all is well, and the other, called only when it is
not, names what is broken. Tests compare both with the library. An option that is not provided for refuses to start, so that
no rule is ever ignored.

One rule is ours: a google.protobuf.Timestamp is a time from year 1 to year 9999, as its definition demands.

Results are not remembered from one request to the next: that would keep names of persons, for little gain.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from keyword import iskeyword
from typing import Any, TypeAlias

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.unknown_fields import UnknownFieldSet

from linewarden.server.errors import Violation
from linewarden.server.field_rules import Rule, container_rules, is_map, value_rules

Validator: TypeAlias = Callable[[Any], tuple[Violation, ...]]

#: So many violations are named; nobody can buy work, or a large answer, with more.
MAX_VIOLATIONS = 32


def compile_validator(message: Descriptor) -> Validator:
    """What checks messages of this kind: gives the broken rules in the order of the fields, () if there are none.

    Paths name fields and places in lists, never keys of maps: those are values of the request. A list or map whose size is
    wrong is refused as a whole; its items are not looked at.

    Raises:
        NotImplementedError: the contract has a rule that is not provided for.
    """
    is_valid = _Program(_VERDICT).function(message)
    findings = _Program(_FINDINGS).function(message)

    def validate(value: Any) -> tuple[Violation, ...]:
        return () if is_valid(value) else tuple(islice(findings(value, ""), MAX_VIOLATIONS))

    return validate


@dataclass(frozen=True, slots=True)
class _Form:
    """What a function does when a rule is broken, with a message inside, over a list, and at its end."""

    head: str
    broken: str
    inside: str
    each: str
    end: str


_VERDICT = _Form(
    head="def is_valid(m):",
    broken="return False",
    inside="if not {function}(v): return False",
    each="for v in {values}:",
    end="return True",
)
_FINDINGS = _Form(
    head="def findings(m, path):",
    broken="yield Violation({path}, {rule.id!r}, {rule.demand!r})",
    inside="yield from {function}(v, {path} + '.')",
    each="for n, v in enumerate({values}):",
    end="yield from ()",
)


class _Program:
    """The functions of one form, for a message and the messages inside it.

    In the source of a function, `m` is the message, `v` the value looked at, `vs` the list or map it is from.
    """

    def __init__(self, form: _Form) -> None:
        self._form = form
        self._names: dict[str, Any] = {"Violation": Violation}
        self._functions: dict[str, str | None] = {}

    def function(self, message: Descriptor) -> Callable[..., Any]:
        """The function for a message."""
        _refuse_options_of(message)
        self._functions[message.full_name] = None
        lines = [line for field in message.fields for line in self._field(field)]
        source = "\n".join(_block(self._form.head, [*lines, self._form.end]))
        made: dict[str, Any] = {}
        exec(compile(source, f"<rules of {message.name}>", "exec"), self._names, made)  # noqa: S102 - from our own protos
        function: Callable[..., Any] = made.popitem()[1]
        self._functions[message.full_name] = self._constant(function)
        return function

    def _field(self, field: FieldDescriptor) -> list[str]:
        rules, path = _rules_of(field), f"path + {field.name!r}"
        get = f"getattr(m, {field.name!r})" if iskeyword(field.name) else f"m.{field.name}"
        if field.has_presence:
            body = self._value(field, rules, path)
            body = [f"v = {get}", *body] if body else []
            return self._where_present(f"m.HasField({field.name!r})", body, rules, path)
        if field.is_repeated:
            body, empty = self._container(field, rules, path), ()
        else:
            body, empty = self._value(field, rules, path), field.default_value
        if rules.required or not self._is_broken_by(empty, field, rules):
            body = self._where_present("v", body, rules, path)
        return [f"v = vs = {get}" if field.is_repeated else f"v = {get}", *body] if body else []

    def _where_present(self, present: str, body: list[str], rules: Any, path: str) -> list[str]:
        if not rules.required:
            return _block(f"if {present}:", body)
        absent = self._broken(path, Rule("required", "is required", ""))
        return [*_block(f"if not {present}:", [absent]), *_block("else:", body)]

    def _value(self, field: FieldDescriptor, rules: Any, path: str) -> list[str]:
        """The lines for one value; every rule it breaks is named."""
        stated = value_rules(field, rules, self._constant)
        lines = [line for rule in stated for line in _block(f"if {rule.broken}:", [self._broken(path, rule)])]
        if field.message_type is not None and not stated:
            lines.append(self._form.inside.format(function=self._inside(field.message_type), path=path))
        return lines

    def _container(self, field: FieldDescriptor, rules: Any, path: str) -> list[str]:
        """The lines for a list or map; if the whole breaks a rule, the first such is named and nothing inside it."""
        if is_map(field):
            key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
            inside = [
                *self._each("vs", self._value(key, rules.map.keys, path)),
                *self._each("vs.values()", self._value(value, rules.map.values, path)),
            ]
        else:
            inside = self._each("vs", self._value(field, rules.repeated.items, f"path + f'{field.name}[{{n}}]'"))
        lines: list[str] = []
        for rule in container_rules(field, rules):
            lines += _block(f"{'elif' if lines else 'if'} {rule.broken}:", [self._broken(path, rule)])
        return [*lines, *_block("else:", inside)] if lines else inside

    def _each(self, values: str, body: list[str]) -> list[str]:
        return _block(self._form.each.format(values=values), body)

    def _inside(self, message: Descriptor) -> str:
        if message.full_name not in self._functions:
            self.function(message)
        name = self._functions[message.full_name]
        if name is None:
            raise NotImplementedError(f"{message.full_name} contains itself")
        return name

    def _broken(self, path: str, rule: Rule) -> str:
        return self._form.broken.format(path=path, rule=rule)

    def _constant(self, value: Any) -> str:
        name = f"c{len(self._names)}"
        self._names[name] = value
        return name

    def _is_broken_by(self, value: Any, field: FieldDescriptor, rules: Any) -> bool:
        stated = container_rules(field, rules) if field.is_repeated else value_rules(field, rules, self._constant)
        return any(eval(rule.broken, self._names, {"v": value}) for rule in stated)  # noqa: S307 - from our own protos


def _rules_of(field: FieldDescriptor) -> Any:
    options: Any = field.GetOptions()
    if len(UnknownFieldSet(options)):
        raise NotImplementedError(f"{field.full_name} has an option that is not known")
    return options.Extensions[validate_pb2.field]


def _refuse_options_of(message: Descriptor) -> None:
    """Rules on messages and choices are no part of the contract yet."""
    for thing in (message, *message.oneofs):
        if thing.GetOptions().ByteSize():
            raise NotImplementedError(f"the options of {thing.full_name} are not provided for")


def _block(head: str, body: list[str]) -> list[str]:
    return [head, *(f" {line}" for line in body)] if body else []
