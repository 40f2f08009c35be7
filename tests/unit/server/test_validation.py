"""The rules of the contract: the same verdicts as the protovalidate library, and no rule ignored."""

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import protovalidate
import pytest
from buf.validate import validate_pb2
from google.protobuf import descriptor_pb2, duration_pb2, timestamp_pb2
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from linewarden import v1 as contract
from linewarden.server.validation import MAX_VIOLATIONS, compile_validator
from linewarden.v1 import access_pb2, audit_pb2, core_pb2, terms_pb2

REQUESTS: list[Any] = [
    method.input_type
    for module in iter_modules(contract.__path__)
    if module.name.endswith("_pb2")
    for service in import_module(f"linewarden.v1.{module.name}").DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
_VALIDATORS = {message.full_name: compile_validator(message) for message in REQUESTS}
_LIBRARY: Any = protovalidate.Validator()  # type: ignore[no-untyped-call]

_GOOD = ("acme", "a", "")
_LENGTHS = (16, 17, 32, 33, 63, 64, 65, 127, 128, 129, 256, 257, 400, 401, 512, 513)
_ODD = (
    *("a" * length for length in _LENGTHS),
    *("é" * length for length in (32, 33, 64, 65, 128, 129, 256, 257)),
    "\U00010348" * 17,
    "acme\n",
    "\nacme",
    "\x00",
    "\x1f",
    "\x7f",
    "\x80",
    "\x85",
    "\u2028",
    "\ud7ff",
    " ",
    "a b",
    "ÄÖ",
    "A",
    "a:b",
    "a/b",
    "[]^\\-",
)
_TEXTS = st.one_of(st.sampled_from(_GOOD), st.sampled_from(_GOOD), st.sampled_from(_ODD), st.text(max_size=8))
_NUMBERS = st.one_of(st.integers(0, 3), st.sampled_from((59, 60, 999, 1000, 1001, 9_999, 10_000, 10_001, 2**31 - 1)))
_OF_TYPE: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: _TEXTS,
    FieldDescriptor.TYPE_BYTES: st.sampled_from((bytes(32), b"", bytes(31), bytes(64))),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_DOUBLE: st.floats(),
}
_GOOD_OF_TYPE: dict[int, Any] = {FieldDescriptor.TYPE_BYTES: bytes(32), FieldDescriptor.TYPE_STRING: "a1"}
_LIST_SIZES = st.sampled_from((0, 1, 1, 2, 2, 3, 16, 17))


class _Drawing:
    """Draws requests: `oddness` of 20 values are drawn from anywhere, the others are well."""

    def __init__(self, draw: Any, oddness: int) -> None:
        self._draw = draw
        self._oddness = oddness

    def message(self, message: Descriptor) -> Any:
        """A message."""
        made: Any = GetMessageClass(message)()
        if message.full_name == "google.protobuf.Timestamp":
            return timestamp_pb2.Timestamp(seconds=1_790_000_000)
        for field in message.fields:
            if field.is_repeated and field.message_type is not None and field.message_type.GetOptions().map_entry:
                key, value = field.message_type.fields
                for _ in range(self._size()):
                    getattr(made, field.name)[self._value(key)] = self._draw(_OF_TYPE.get(value.type, _NUMBERS))
            elif field.is_repeated:
                size = self._size() if field.message_type is None else min(self._size(), 2)
                values = [self._value(field) for _ in range(min(size, 2))]
                getattr(made, field.name).extend(values + values[-1:] * (size - len(values)))
            elif field.message_type is not None:
                if not self._odd():
                    getattr(made, field.name).CopyFrom(self.message(field.message_type))
            else:
                setattr(made, field.name, self._value(field))
        return made

    def _odd(self) -> bool:
        return bool(self._draw(st.integers(1, 20)) <= self._oddness)

    def _size(self) -> int:
        return int(self._draw(_LIST_SIZES)) if self._odd() else 1

    def _value(self, field: FieldDescriptor) -> Any:
        if field.message_type is not None:
            return self.message(field.message_type)
        if field.enum_type is not None:
            last = len(field.enum_type.values)
            return self._draw(st.sampled_from((1, 2, 0, last - 1, last, -1))) if self._odd() else 1
        if self._odd():
            return self._draw(_OF_TYPE.get(field.type, _NUMBERS))
        return _GOOD_OF_TYPE.get(field.type, 1)


@st.composite
def _requests(draw: Any) -> Any:
    drawing = _Drawing(draw, draw(st.sampled_from((0, 1, 1, 6, 12))))
    return drawing.message(draw(st.sampled_from(REQUESTS)))


def _library(message: Any) -> set[tuple[str, str]]:
    """Return the findings of the library in the form of Linewarden: no keys of maps, one rule for a whole list."""
    found = {(_path(v.proto.field), v.proto.rule_id) for v in _LIBRARY.collect_violations(message)}
    wholes = {path for path, rule in found if rule.startswith(("repeated.", "map."))}
    sizes = {path for path, rule in found if rule.endswith(("_items", "_pairs"))}
    return {
        (path, rule)
        for path, rule in found
        if not path.startswith(tuple(f"{whole}[" for whole in wholes))
        and not (path in wholes and rule.startswith("string."))
        and not (path in sizes and rule == "repeated.unique")
    }


def _path(path: Any) -> str:
    parts = [e.field_name + (f"[{e.index}]" if e.HasField("index") else "") for e in path.elements]
    return ".".join(parts)


def _ours(message: Any) -> set[tuple[str, str]]:
    """Return the findings of Linewarden, without those of enums in lists, at which the library does not look."""
    found = {(v.field, v.rule) for v in _VALIDATORS[message.DESCRIPTOR.full_name](message)}
    return {(path, rule) for path, rule in found if not (path.endswith("]") and rule == "enum.defined_only")}


def test_an_unknown_member_of_a_list_is_refused() -> None:
    """Each member of a list of enums is one that the contract defines."""
    unknown: Any = [1, 6, -1]
    message = terms_pb2.EnableDiagnosticsRequest(accepted=unknown)
    found = {(v.field, v.rule) for v in _VALIDATORS[message.DESCRIPTOR.full_name](message)}
    assert {("accepted[1]", "enum.defined_only"), ("accepted[2]", "enum.defined_only")} <= found


@pytest.mark.slow
@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(_requests())
def test_verdict_and_paths_are_those_of_the_library(message: Any) -> None:
    """For random requests, what is broken, and where, is what protovalidate says."""
    ours, library = _ours(message), _library(message)
    assert bool(ours) == bool(library)
    if len(library) < MAX_VIOLATIONS:
        assert ours == library
    else:
        assert ours <= library


def _check() -> access_pb2.CheckRequest:
    return access_pb2.CheckRequest(
        header=core_pb2.RequestHeader(
            tenant="acme",
            request_id="7f:1",
            subject=core_pb2.Subject(id="alice@example.com"),
            context=core_pb2.Context(purpose=core_pb2.PURPOSE_QUALITY, network_zone="office"),
        ),
        verb=core_pb2.VERB_PLAY,
        resource=core_pb2.Resource(
            type=core_pb2.RESOURCE_TYPE_RECORDING,
            id="monitor/2026/11/24/q-1.wav",
            owner="alice@example.com",
            parties=["+4930123456", "bob"],
            created_at=timestamp_pb2.Timestamp(seconds=1_790_000_000),
            labels={"site": "berlin"},
        ),
    )


def _broken(message: Any) -> list[tuple[str, str]]:
    return [(v.field, v.rule) for v in _VALIDATORS[message.DESCRIPTOR.full_name](message)]


def test_a_whole_request_is_well() -> None:
    """A request with every field filled in breaks nothing."""
    assert _broken(_check()) == []


@pytest.mark.parametrize(
    ("seconds", "nanos", "well"),
    [
        (0, 0, True),
        (-62_135_596_800, 0, True),
        (253_402_300_799, 999_999_999, True),
        (-62_135_596_801, 0, False),
        (253_402_300_800, 0, False),
        (2**63 - 1, 0, False),
        (-(2**63), 0, False),
        (0, -1, False),
        (0, 1_000_000_000, False),
    ],
)
def test_times_lie_in_the_years_1_to_9999(seconds: int, nanos: int, well: bool) -> None:
    """An invalid time is refused in every field, although no rule in the protos says so."""
    time = timestamp_pb2.Timestamp(seconds=seconds, nanos=nanos)
    check = _check()
    check.resource.created_at.CopyFrom(time)
    assert _broken(check) == ([] if well else [("resource.created_at", "timestamp.valid")])
    query = audit_pb2.QueryEntriesRequest(
        header=core_pb2.RequestHeader(tenant="acme", subject=core_pb2.Subject(id="alice"))
    )
    getattr(query.filter, "from").CopyFrom(time)
    assert _broken(query) == ([] if well else [("filter.from", "timestamp.valid")])


def test_the_size_of_a_batch_is_bounded() -> None:
    """A batch has 1 to 500 items; beyond that its items are not even looked at."""
    item = access_pb2.CheckItem(verb=core_pb2.VERB_PLAY, resource=_check().resource)
    batch = access_pb2.CheckBatchRequest(
        header=core_pb2.RequestHeader(tenant="acme", subject=core_pb2.Subject(id="alice"))
    )
    assert _broken(batch) == [("items", "repeated.min_items")]
    batch.items.extend([item] * 500)
    assert _broken(batch) == []
    batch.items.add()
    assert _broken(batch) == [("items", "repeated.max_items")]


def test_items_are_named_by_their_place() -> None:
    """The path to a fault in a batch says which item it is in."""
    item = access_pb2.CheckItem(verb=core_pb2.VERB_PLAY, resource=_check().resource)
    batch = access_pb2.CheckBatchRequest(
        header=core_pb2.RequestHeader(tenant="acme", subject=core_pb2.Subject(id="alice")), items=[item] * 12
    )
    batch.items[11].resource.parties[1] = "\x00"
    assert _broken(batch) == [("items[11].resource.parties[1]", "string.pattern")]


def test_a_caller_cannot_buy_work_with_faults() -> None:
    """However much of a request is broken, only so many faults are looked for and named."""
    batch = access_pb2.CheckBatchRequest(items=[access_pb2.CheckItem()] * 500)
    assert len(_VALIDATORS[batch.DESCRIPTOR.full_name](batch)) == MAX_VIOLATIONS
    check = _check()
    for number in range(100_000):
        check.resource.labels[f"K{number}"] = ""
    assert _broken(check) == [("resource.labels", "map.max_pairs")]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_nothing_of_a_request_is_repeated(data: st.DataObject) -> None:
    """Neither path nor text of a violation holds a value of the request, not even the key of a map."""
    marker = "SECRET\x01"
    check = _check()
    names = data.draw(
        st.sets(st.sampled_from(("tenant", "id", "owner", "queue", "case", "zone", "label", "key", "party")))
    )
    for name in names:
        match name:
            case "tenant":
                check.header.tenant = marker
            case "case":
                check.header.context.case_reference = marker
            case "zone":
                check.header.context.network_zone = marker
            case "label":
                check.resource.labels["site"] = marker
            case "key":
                check.resource.labels[marker] = ""
            case "party":
                check.resource.parties.append(marker)
            case _:
                setattr(check.resource, name, marker)
    found = _VALIDATORS[check.DESCRIPTOR.full_name](check)
    assert bool(found) == bool(names)
    assert "SECRET" not in repr(found)


def _patterns() -> Iterator[str]:
    seen: list[Any] = [*REQUESTS]
    for message in seen:
        for field in message.fields:
            if field.message_type is not None and field.message_type not in seen:
                seen.append(field.message_type)
            rules = field.GetOptions().Extensions[validate_pb2.field]
            for one in (rules, rules.repeated.items, rules.map.keys, rules.map.values):
                if one.string.HasField("pattern"):
                    yield one.string.pattern


@pytest.mark.parametrize("pattern", sorted(set(_patterns())))
def test_patterns_mean_what_re2_takes_them_for(pattern: str) -> None:
    """Each pattern of the contract decides about every character, and about newlines at the end, as RE2 does."""
    re2 = pytest.importorskip("re2", reason="install google-re2 to compare patterns")
    validate = compile_validator(_with_rules({"string": {"pattern": pattern}}))
    kind = GetMessageClass(_with_rules({"string": {"pattern": pattern}}))
    texts = ["", "a\n", "\na", "a\r\n", "\n", *(chr(n) for n in (*range(0x300), 0x2028, 0xFEFF, 0xFFFF, 0x10FFFF))]
    for text in (*texts, *(f"a{text}a" for text in texts)):
        assert (validate(kind(value=text)) == ()) == bool(re2.search(pattern, text)), repr(text)


_FIELD: dict[str, Any] = {
    "name": "value",
    "number": 1,
    "type": FieldDescriptorProto.TYPE_STRING,
    "label": FieldDescriptorProto.LABEL_OPTIONAL,
}
_RULES: Any = validate_pb2.field
_MESSAGE_RULES: Any = validate_pb2.message
_ONEOF_RULES: Any = validate_pb2.oneof


def _with_rules(rules: dict[str, Any], **field: Any) -> Any:
    """A message of one field `value`, a string unless `field` says otherwise, with these rules."""
    stated = FieldDescriptorProto(**_FIELD | field)
    stated.options.Extensions[_RULES].CopyFrom(validate_pb2.FieldRules(**rules))
    return _in_a_file(DescriptorProto(name="Odd", field=[stated]))


def _in_a_file(*messages: DescriptorProto) -> Any:
    """The first of these messages, in a file of their own."""
    pool = DescriptorPool()
    file = FileDescriptorProto(name="odd.proto", package="odd", syntax="proto3", message_type=messages)
    for known in (timestamp_pb2, duration_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
        file.dependency.append(known.DESCRIPTOR.name)
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindMessageTypeByName(f"odd.{messages[0].name}")


_UINT64 = FieldDescriptorProto.TYPE_UINT64
_BYTES = FieldDescriptorProto.TYPE_BYTES
_BOOL = FieldDescriptorProto.TYPE_BOOL
_REPEATED: dict[str, Any] = {"label": FieldDescriptorProto.LABEL_REPEATED}
_OPTIONAL: dict[str, Any] = {"proto3_optional": True, "oneof_index": 0}


@pytest.mark.parametrize(
    ("rules", "field", "values"),
    [
        ({"string": {"min_len": 2, "max_len": 3}}, {}, ["", "a", "ab", "äöü", "abcd"]),
        ({"string": {"min_len": 2}, "required": True}, {}, ["", "a", "ab"]),
        ({"string": {"min_len": 0}}, {}, ["", "a"]),
        ({"uint64": {"lte": 7}}, {"type": _UINT64}, [0, 7, 8, 2**64 - 1]),
        ({"uint64": {"gte": 1}}, {"type": _UINT64}, [0, 1]),
        ({"uint64": {"gte": 1, "lte": 7}}, {"type": _UINT64}, [0, 1, 7, 8]),
        ({"bytes": {"len": 2}}, {"type": _BYTES}, [b"", b"a", b"ab", b"abc"]),
        ({"bytes": {"min_len": 1, "max_len": 2}}, {"type": _BYTES}, [b"", b"a", b"ab", b"abc"]),
        ({"required": True}, {"type": _BOOL}, [False, True]),
        ({"required": True}, _REPEATED, [[], ["a"]]),
        ({"repeated": {"min_items": 2, "unique": True}}, _REPEATED, [[], ["a"], ["a", "b"], ["a", "a"]]),
        ({"repeated": {"items": {"string": {"min_len": 1}}}}, _REPEATED, [[], [""], ["a", ""]]),
    ],
)
def test_other_rules_that_are_provided_for(rules: dict[str, Any], field: dict[str, Any], values: list[Any]) -> None:
    """Kinds of rules the contract may come to use have the library's verdicts too."""
    message = _with_rules(rules, **field)
    validate = compile_validator(message)
    for value in values:
        made = GetMessageClass(message)(value=value)
        assert {(v.field, v.rule) for v in validate(made)} == _library(made)


def test_an_optional_field_is_checked_where_it_is_set() -> None:
    """Rules on a field with presence hold for the empty value too, once it is set, and never when it is not."""
    value = FieldDescriptorProto(**_FIELD | _OPTIONAL | {"name": "import"})
    value.options.Extensions[_RULES].string.min_len = 1
    message = DescriptorProto(name="Odd", field=[value])
    message.oneof_decl.add(name="_import")
    kind = _in_a_file(message)
    validate = compile_validator(kind)
    for stated in ({}, {"import": ""}, {"import": "a"}):
        made = GetMessageClass(kind)(**stated)
        assert {(v.field, v.rule) for v in validate(made)} == _library(made)


@pytest.mark.parametrize(
    ("rules", "field"),
    [
        ({"string": {"email": True}}, {}),
        ({"string": {"const": "a"}}, {}),
        ({"string": {"pattern": "[a-z]+"}}, {}),
        ({"string": {"pattern": "^[a-z]+"}}, {}),
        ({"string": {"pattern": "^a|b$"}}, {}),
        ({"string": {"pattern": r"^\d+$"}}, {}),
        ({"string": {"pattern": r"^[\w]+$"}}, {}),
        ({"string": {"pattern": "^[[:alpha:]]+$"}}, {}),
        ({"string": {"pattern": "^[a&&b]+$"}}, {}),
        ({"string": {"pattern": "^([a]+)+$"}}, {}),
        ({"string": {"pattern": "^[a]+$\n"}}, {}),
        ({"string": {"min_len": 1}, "ignore": validate_pb2.IGNORE_ALWAYS}, {}),
        ({"cel": [{"id": "x", "expression": "this != 'a'"}]}, {}),
        ({"cel_expression": ["this != 'a'"]}, {}),
        ({"uint32": {"lte": 1}}, {"type": _UINT64}),
        ({"uint64": {"lt": 1}}, {"type": _UINT64}),
        ({"uint64": {"gte": 2, "lte": 1}}, {"type": _UINT64}),
        ({"bool": {"const": True}}, {"type": _BOOL}),
        ({"string": {"min_len": 1}}, _REPEATED),
        ({"map": {"max_pairs": 1}}, _REPEATED),
        ({"repeated": {"max_items": 1}}, {}),
        ({"repeated": {"items": {"required": True}}}, _REPEATED),
        ({"repeated": {"items": {"string": {"uuid": True}}}}, _REPEATED),
        ({"repeated": {"items": {"enum": {"defined_only": True}}}}, _REPEATED),
        ({"timestamp": {"lt_now": True}}, {"type": 11, "type_name": ".google.protobuf.Timestamp"}),
        ({}, {"type": 11, "type_name": ".google.protobuf.Duration"}),
        ({"required": True}, {"type": 11, "type_name": ".odd.Odd"}),
        (
            {"repeated": {"unique": True}},
            {"type": 11, "type_name": ".google.protobuf.Timestamp", **_REPEATED},
        ),
    ],
    ids=str,
)
def test_a_rule_that_is_not_provided_for_refuses_to_start(rules: dict[str, Any], field: dict[str, Any]) -> None:
    """No rule of the contract is ever ignored: what cannot be checked cannot be compiled."""
    with pytest.raises(NotImplementedError):
        compile_validator(_with_rules(rules, **field))


def test_rules_on_messages_and_choices_refuse_to_start() -> None:
    """Rules above the level of fields are not ignored either."""
    message = DescriptorProto(name="Odd")
    message.options.Extensions[_MESSAGE_RULES].cel_expression.append("true")
    with pytest.raises(NotImplementedError):
        compile_validator(_in_a_file(message))
    value = FieldDescriptorProto(**_FIELD, oneof_index=0)
    message = DescriptorProto(name="Odd", field=[value])
    message.oneof_decl.add(name="choice").options.Extensions[_ONEOF_RULES].required = True
    with pytest.raises(NotImplementedError):
        compile_validator(_in_a_file(message))


@pytest.mark.parametrize("nesting", ["option", "field rules", "string rules"])
def test_rules_of_a_later_version_refuse_to_start(nesting: str) -> None:
    """A rule that this version of validate.proto does not know is not ignored."""
    unknown = b"\xfa\x3f\x01x"  # field 1023, one byte
    options: Any = descriptor_pb2.FieldOptions()
    match nesting:
        case "option":
            options.MergeFromString(unknown)
        case "field rules":
            options.Extensions[_RULES].MergeFromString(unknown)
        case _:
            options.Extensions[_RULES].string.MergeFromString(unknown)
    value = FieldDescriptorProto(**_FIELD, options=options)
    with pytest.raises(NotImplementedError):
        compile_validator(_in_a_file(DescriptorProto(name="Odd", field=[value])))
