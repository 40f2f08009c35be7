"""Rules of the contract for single values, lists and maps, each as a Python condition.

A kind of rule that is not listed here does not compile. To add one, add a line to a function below and a case to the
tests. Ids are those of protovalidate. Texts are defined here and hold no value of a request.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
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
    """Return the rules on one value of a scalar field, or on one item, key or value of a container.

    Raises:
        NotImplementedError: one of them is not provided for.
    """
    kind = _SCALARS.get(field.type)
    known_only(rules, ("required", kind), field)
    if field.message_type is not None:
        return _message(field.message_type, field)
    return list(_OF_KIND[kind](getattr(rules, kind), field, constant)) if kind else []


def container_rules(field: FieldDescriptor, rules: Any) -> list[Rule]:
    """Return the rules on a list or map as a whole.

    Raises:
        NotImplementedError: one of them is not provided for.
    """
    if map_parts(field):
        known_only(rules, ("required", "map"), field)
        known_only(rules.map, ("min_pairs", "max_pairs", "keys", "values"), field)
        known_only(rules.map.keys, _SCALARS.values(), field)
        known_only(rules.map.values, _SCALARS.values(), field)
        return list(_bounds(rules.map, "map", "pairs", "pair"))
    known_only(rules, ("required", "repeated"), field)
    known_only(rules.repeated, ("min_items", "max_items", "unique", "items"), field)
    known_only(rules.repeated.items, _SCALARS.values(), field)
    if rules.repeated.unique and field.message_type is not None:
        raise NotImplementedError(f"unique messages in {field.full_name} are not provided for")
    unique = Rule("repeated.unique", "items must differ from each other", "len(v) > 1 and len(set(v)) < len(v)")
    return [*_bounds(rules.repeated, "repeated", "items", "item"), *([unique] if rules.repeated.unique else [])]


def map_parts(field: FieldDescriptor) -> tuple[FieldDescriptor, FieldDescriptor] | None:
    """Return the key and the value of a map; None if the field is no map."""
    entry = field.message_type
    if entry is None or not entry.GetOptions().map_entry:
        return None
    return entry.fields_by_name["key"], entry.fields_by_name["value"]


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
    yield from _bounds(rules, "string", "len", "character")
    if rules.HasField("max_bytes"):
        most = rules.max_bytes
        # A character has four bytes at most, so that most strings need not be encoded to know.
        broken = f"len(v) > {most // 4} and len(v.encode()) > {most}"
        yield Rule("string.max_bytes", f"must have at most {most} byte(s)", broken)
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
    if rules.defined_only and field.enum_type is not None:
        defined = frozenset(value.number for value in field.enum_type.values)
        yield Rule("enum.defined_only", "must be a value of the enum", f"v not in {constant(defined)}")
    if rules.not_in:
        broken = "not v" if list(rules.not_in) == [0] else f"v in {constant(frozenset(rules.not_in))}"
        yield Rule("enum.not_in", "must be specified", broken)


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
        yield Rule("bytes.len", f"must have exactly {rules.len} byte(s)", f"len(v) != {rules.len}")
    yield from _bounds(rules, "bytes", "len", "byte")


def _message(message: Descriptor, field: FieldDescriptor) -> list[Rule]:
    name = message.full_name
    if name == _TIMESTAMP:
        broken = f"not ({_YEAR_1} <= v.seconds < {_YEAR_10000} and 0 <= v.nanos < 1_000_000_000)"
        return [Rule("timestamp.valid", "must be a time from year 1 to year 9999", broken)]
    if name.startswith("google."):
        raise NotImplementedError(f"{name} in {field.full_name} is not provided for")
    return []


def _bounds(rules: Any, kind: str, of: str, unit: str) -> Iterator[Rule]:
    if rules.HasField(f"min_{of}"):
        least = getattr(rules, f"min_{of}")
        yield Rule(f"{kind}.min_{of}", f"must have at least {least} {unit}(s)", f"len(v) < {least}")
    if rules.HasField(f"max_{of}"):
        most = getattr(rules, f"max_{of}")
        yield Rule(f"{kind}.max_{of}", f"must have at most {most} {unit}(s)", f"len(v) > {most}")


_OF_KIND: dict[str, Callable[[Any, FieldDescriptor, Constant], Iterator[Rule]]] = {
    "string": _string,
    "enum": _enum,
    "uint32": _unsigned,
    "uint64": _unsigned,
    "bytes": _bytes,
}
