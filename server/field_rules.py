"""Which rules of the contract there are for single values, lists and maps, each as a Python condition.

A kind of rule that is not listed here refuses to compile: adding one is a line in a function below and a case in the tests.
Ids are those of protovalidate; texts are our own and hold no value of a request.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.unknown_fields import UnknownFieldSet

#: Gives a constant a name that conditions can use.
Constant = Callable[[Any], str]

_TIMESTAMP = "google.protobuf.Timestamp"
_YEAR_1 = -62_135_596_800
_YEAR_10000 = 253_402_300_800

_SCALARS = {
    FieldDescriptor.TYPE_STRING: "string",
    FieldDescriptor.TYPE_ENUM: "enum",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_BYTES: "bytes",
}

# One class of characters, any number of times. Of all that RE2 knows, this much surely means the same to Python's `re`,
# and takes time in proportion to the text. Ranges and escapes within the class are literal characters or \xNN.
_ONE = r"(?:[A-Za-z0-9 !\"#$%'()*+,./:;<=>?@_{}]|\\x[0-7][0-9a-f]|\\[.\\\]\[^-])"
_PATTERN = re.compile(rf"\^(?P<many>\[\^?(?:{_ONE}(?:-{_ONE})?)+-?\][+*])\$")

#: The class of everything but control characters: what Python calls printable is within it, and quicker to find out.
_NO_CONTROLS = r"[^\x00-\x1f\x7f]"


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule on a value: its id, what it demands, and a Python expression on `v` that is true when `v` breaks it."""

    id: str
    demand: str
    broken: str


def value_rules(field: FieldDescriptor, rules: Any, constant: Constant) -> list[Rule]:
    """The rules on one value of a scalar field, or on one item, key or value of a container.

    Raises:
        NotImplementedError: one of them is not provided for.
    """
    kind = _SCALARS.get(field.type)
    known_only(rules, ("required", kind), field)
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        return _message(field)
    return list(_OF_KIND[kind](getattr(rules, kind), field, constant)) if kind else []


def container_rules(field: FieldDescriptor, rules: Any) -> list[Rule]:
    """The rules on a list or map as a whole.

    Raises:
        NotImplementedError: one of them is not provided for.
    """
    kind, size = ("map", "pairs") if is_map(field) else ("repeated", "items")
    known_only(rules, ("required", kind), field)
    if is_map(field):
        known_only(rules.map, ("min_pairs", "max_pairs", "keys", "values"), field)
        inside = (rules.map.keys, rules.map.values)
    else:
        known_only(rules.repeated, ("min_items", "max_items", "unique", "items"), field)
        inside = (rules.repeated.items,)
    for one in inside:
        known_only(one, _SCALARS.values(), field)
    stated = list(_bounds(getattr(rules, kind), kind, size))
    if not is_map(field) and rules.repeated.unique:
        stated.append(
            Rule("repeated.unique", "items must differ from each other", "len(v) > 1 and len(set(v)) < len(v)")
        )
    return stated


def is_map(field: FieldDescriptor) -> bool:
    """Whether a repeated field is a map."""
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def known_only(rules: Any, known: Iterable[str | None], field: FieldDescriptor) -> None:
    """Make sure that of all rules only known ones are stated.

    Raises:
        NotImplementedError: another is.
    """
    if len(UnknownFieldSet(rules)):
        raise NotImplementedError(f"a rule on {field.full_name} is of a newer version of the rules")
    for option, _ in rules.ListFields():
        if option.is_extension or option.name not in known:
            raise NotImplementedError(f"the rule {option.full_name} on {field.full_name} is not provided for")


def _string(rules: Any, field: FieldDescriptor, constant: Constant) -> Iterator[Rule]:
    known_only(rules, ("min_len", "max_len", "max_bytes", "pattern"), field)
    yield from _bounds(rules, "string", "len", "characters")
    if rules.HasField("max_bytes"):
        most = rules.max_bytes
        # A character has four bytes at most, so that most strings need not be encoded to know.
        broken = f"len(v) > {most // 4} and len(v.encode()) > {most}"
        yield Rule("string.max_bytes", f"must have at most {most} bytes", broken)
    if rules.HasField("pattern"):
        yield Rule("string.pattern", "has characters that are not allowed", _mismatch(rules.pattern, field, constant))


def _mismatch(pattern: str, field: FieldDescriptor, constant: Constant) -> str:
    shape = _PATTERN.fullmatch(pattern)
    if shape is None:
        raise NotImplementedError(f"the pattern of {field.full_name} is not one class of characters, anchored")
    # A full match, because Python's `$` also stands before a newline at the end; RE2's does not.
    broken = f"{constant(re.compile(shape['many']).fullmatch)}(v) is None"
    if not shape["many"].startswith(_NO_CONTROLS):
        return broken
    return (
        f"not v.isprintable() and {broken}" if pattern.endswith("*$") else f"not (v and v.isprintable()) and {broken}"
    )


def _enum(rules: Any, field: FieldDescriptor, constant: Constant) -> Iterator[Rule]:
    known_only(rules, ("defined_only", "not_in"), field)
    defined = frozenset(value.number for value in field.enum_type.values)
    if rules.defined_only:
        yield Rule("enum.defined_only", "must be a value of the enum", f"v not in {constant(defined)}")
    if rules.not_in:
        yield Rule("enum.not_in", "must be specified", f"v in {constant(frozenset(rules.not_in))}")


def _unsigned(rules: Any, field: FieldDescriptor, _constant: Constant) -> Iterator[Rule]:
    known_only(rules, ("gte", "lte"), field)
    kind = _SCALARS[field.type]
    if rules.HasField("gte") and rules.HasField("lte"):
        low, high = rules.gte, rules.lte
        if low > high:
            raise NotImplementedError(f"the range of {field.full_name} is empty")
        yield Rule(f"{kind}.gte_lte", f"must be from {low} to {high}", f"not {low} <= v <= {high}")
    elif rules.HasField("gte"):
        yield Rule(f"{kind}.gte", f"must be at least {rules.gte}", f"v < {rules.gte}")
    elif rules.HasField("lte"):
        yield Rule(f"{kind}.lte", f"must be at most {rules.lte}", f"v > {rules.lte}")


def _bytes(rules: Any, field: FieldDescriptor, _constant: Constant) -> Iterator[Rule]:
    known_only(rules, ("len", "min_len", "max_len"), field)
    if rules.HasField("len"):
        yield Rule("bytes.len", f"must have exactly {rules.len} bytes", f"len(v) != {rules.len}")
    yield from _bounds(rules, "bytes", "len", "bytes")


def _message(field: FieldDescriptor) -> list[Rule]:
    if field.message_type.full_name == _TIMESTAMP:
        broken = f"not ({_YEAR_1} <= v.seconds < {_YEAR_10000} and 0 <= v.nanos < 1_000_000_000)"
        return [Rule("timestamp.valid", "must be a time from year 1 to year 9999", broken)]
    if field.message_type.full_name.startswith("google."):
        raise NotImplementedError(f"{field.message_type.full_name} in {field.full_name} is not provided for")
    return []


def _bounds(rules: Any, kind: str, of: str, units: str = "") -> Iterator[Rule]:
    if rules.HasField(f"min_{of}"):
        least = getattr(rules, f"min_{of}")
        yield Rule(f"{kind}.min_{of}", f"must have at least {least} {units or of}", f"len(v) < {least}")
    if rules.HasField(f"max_{of}"):
        most = getattr(rules, f"max_{of}")
        yield Rule(f"{kind}.max_{of}", f"must have at most {most} {units or of}", f"len(v) > {most}")


_OF_KIND: dict[str, Callable[[Any, FieldDescriptor, Constant], Iterator[Rule]]] = {
    "string": _string,
    "enum": _enum,
    "uint32": _unsigned,
    "uint64": _unsigned,
    "bytes": _bytes,
}
