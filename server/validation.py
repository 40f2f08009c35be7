"""Fast validation of the rules of the contract.

The rules are protovalidate options in the protos and nowhere else. The protovalidate library needs milliseconds for a
message; a Check has microseconds. So the options are compiled at start into two Python functions per message, made of
the same conditions. One says whether the message is valid. The other is called for an invalid message and names the
broken rules. Tests compare both with the library. A server with an unknown option does not start, so that no rule is
ignored.

One rule is added: a google.protobuf.Timestamp is a time from year 1 to year 9999, as its definition demands.

Results are not cached, because that would keep names of persons, for little gain.
"""

from collections.abc import Callable
from functools import cache
from itertools import islice
from keyword import iskeyword
from typing import Any, TypeAlias

from buf.validate import validate_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet

from linewarden.server.errors import Violation
from linewarden.server.field_rules import Rule, container_rules, map_parts, value_rules

Validator: TypeAlias = Callable[[Any], tuple[Violation, ...]]

#: The maximum number of named violations, so that a request can cause neither much work nor a large answer.
MAX_VIOLATIONS = 32


@cache
def compile_validator(message: Any) -> Validator:
    """Return the validator of a message. It returns the broken rules in the order of the fields, or ().

    Paths name fields and positions in lists, never keys of maps, because those are values of the request. The items of
    a list or map that breaks a rule as a whole are not checked.

    Raises:
        NotImplementedError: the contract has a rule that is not supported.
    """
    is_valid = _Program(naming=False).function(message)
    broken_rules = _Program(naming=True).function(message)

    def validate(value: Any) -> tuple[Violation, ...]:
        if is_valid(value):
            return ()
        found = tuple(islice(broken_rules(value), MAX_VIOLATIONS))
        if not found:
            raise AssertionError("the two functions of a message disagree")
        return found

    return validate


class _Program:
    """Writes the function of a message: one that names each broken rule, or one that returns whether it is valid.

    In its source `m1`, `m2` … are messages within each other, `n1s` … a list or map of theirs and `n1` a place or key
    in it. `v` is the value at hand; what is inside it may overwrite `v`.
    """

    def __init__(self, *, naming: bool) -> None:
        self._naming = naming
        self._names: dict[str, Any] = {"Violation": Violation}

    def function(self, message: Descriptor) -> Callable[[Any], Any]:
        """Return the function."""
        end = "yield from ()" if self._naming else "return True"
        source = "\n".join(_block("def function(m1):", [*self._message(message, (), ""), end]))
        exec(compile(source, f"<rules of {message.name}>", "exec"), self._names)  # noqa: S102 - from our own protos
        function: Callable[[Any], Any] = self._names["function"]
        return function

    def _message(self, message: Descriptor, outer: tuple[Descriptor, ...], path: str) -> list[str]:
        if message in outer:
            raise NotImplementedError(f"{message.full_name} contains itself")
        _refuse_options_of(message)
        within = (*outer, message)
        return [line for field in message.fields for line in self._field(field, within, path + field.name)]

    def _field(self, field: FieldDescriptor, within: tuple[Descriptor, ...], path: str) -> list[str]:
        rules, m = _rules_of(field), f"m{len(within)}"
        get = f"getattr({m}, {field.name!r})" if iskeyword(field.name) else f"{m}.{field.name}"
        absent = [self._broken(Rule("required", "is required", ""), path)] if rules.required else []
        if field.has_presence:
            body = self._value(field, rules, within, path)
            body = [f"v = {get}", *body] if body else []
            if absent and not self._naming and _is_invalid_when_empty(field):
                return body  # an absent message reads as an empty one, so that asking for its presence is not needed
            return _either(f"{m}.HasField({field.name!r})", body, absent)
        if field.is_repeated:
            get, body = f"n{len(within)}s = {get}", self._container(field, rules, within, path)
        else:
            body = self._value(field, rules, within, path)
        if absent or not self._is_broken_when_empty(field, rules):
            body = _either("v", body, absent)
        return [f"v = {get}", *body] if body else []

    def _value(self, field: FieldDescriptor, rules: Any, within: tuple[Descriptor, ...], path: str) -> list[str]:
        """Return the lines for one value: every rule it breaks, and what is inside it."""
        stated = value_rules(field, rules, self._constant)
        lines = [line for rule in stated for line in _block(f"if {rule.broken}:", [self._broken(rule, path)])]
        if field.message_type is not None and not stated:
            inside = self._message(field.message_type, within, f"{path}.")
            lines += [f"m{len(within) + 1} = v", *inside] if inside else []
        return lines

    def _container(self, field: FieldDescriptor, rules: Any, within: tuple[Descriptor, ...], path: str) -> list[str]:
        """Return the lines for a list or map: the first rule that the whole breaks, or else what is inside it."""
        n = f"n{len(within)}"
        if parts := map_parts(field):
            body = [f"v = {n}", *self._value(parts[0], rules.map.keys, within, path)]
            body += [f"v = {n}s[{n}]", *self._value(parts[1], rules.map.values, within, path)]
            inside = _block(f"for {n} in {n}s:", body)
        else:
            each = f"for {n}, v in enumerate({n}s):" if self._naming else f"for v in {n}s:"
            inside = _block(each, self._value(field, rules.repeated.items, within, f"{path}[{{{n}}}]"))
        for rule in reversed(container_rules(field, rules)):
            inside = [*_block(f"if {rule.broken}:", [self._broken(rule, path)]), *_block("else:", inside)]
        return inside

    def _is_broken_when_empty(self, field: FieldDescriptor, rules: Any) -> bool:
        if field.is_repeated:
            stated, empty = container_rules(field, rules), ()
        else:
            stated, empty = value_rules(field, rules, self._constant), field.default_value
        return any(eval(rule.broken, self._names, {"v": empty}) for rule in stated)  # noqa: S307 - from our own protos

    def _broken(self, rule: Rule, path: str) -> str:
        return f"yield Violation(f{path!r}, {rule.id!r}, {rule.demand!r})" if self._naming else "return False"

    def _constant(self, value: Any) -> str:
        name = f"c{len(self._names)}"
        self._names[name] = value
        return name


def _is_invalid_when_empty(field: FieldDescriptor) -> bool:
    message = field.message_type
    return message is not None and not _Program(naming=False).function(message)(GetMessageClass(message)())


def _rules_of(field: FieldDescriptor) -> Any:
    options: Any = field.GetOptions()
    if len(UnknownFieldSet(options)):
        raise NotImplementedError(f"{field.full_name} has an option that is not known")
    return options.Extensions[validate_pb2.field]


def _refuse_options_of(message: Descriptor) -> None:
    """Rules on messages and on choices are no part of the contract so far."""
    things: list[Any] = [message, *message.oneofs]
    for thing in things:
        if thing.GetOptions().ByteSize():
            raise NotImplementedError(f"the options of {thing.full_name} are not provided for")


def _either(condition: str, body: list[str], otherwise: list[str]) -> list[str]:
    if not otherwise:
        return _block(f"if {condition}:", body)
    return [*_block(f"if not {condition}:", otherwise), *_block("else:", body)]


def _block(head: str, body: list[str]) -> list[str]:
    return [head, *(f" {line}" for line in body)] if body else []
