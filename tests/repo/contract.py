"""The elements of the protos, each with the comment above it."""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from repository import ROOT

PROTOS = ROOT / "protos"


class Element(NamedTuple):
    """A service, rpc, message, field, enum or value, with its comment in one line."""

    kind: str
    place: str
    name: str
    comment: str


#: The numbers of the lists in a file's, a message's, a service's and an enum's descriptor.
_PARTS = {
    "file": {4: ("message", "message_type"), 5: ("enum", "enum_type"), 6: ("service", "service")},
    "message": {
        2: ("field", "field"),
        3: ("message", "nested_type"),
        4: ("enum", "enum_type"),
        8: ("oneof", "oneof_decl"),
    },
    "enum": {2: ("value", "value")},
    "service": {2: ("rpc", "method")},
}


@cache
def elements() -> tuple[Element, ...]:
    """Return all elements of all files of the contract."""
    return tuple(element for file in _compiled() for element in _of_file(file))


def _compiled() -> list[descriptor_pb2.FileDescriptorProto]:
    sources = sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / "linewarden/v1").glob("*.proto"))
    standard = files("grpc_tools") / "_proto"
    with TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        call = ["protoc", f"-I{PROTOS}", f"-I{standard}", "--include_source_info", f"--descriptor_set_out={out}"]
        if protoc.main([*call, *sources]):
            raise AssertionError("the contract does not compile")
        return list(descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes()).file)


def _of_file(file: descriptor_pb2.FileDescriptorProto) -> Iterator[Element]:
    comments = {tuple(one.path): " ".join(one.leading_comments.split()) for one in file.source_code_info.location}
    yield from _below("file", file, file.name, (), comments)


def _below(
    kind: str, parent: object, place: str, path: tuple[int, ...], comments: dict[tuple[int, ...], str]
) -> Iterator[Element]:
    for number, (part, name) in _PARTS.get(kind, {}).items():
        for index, child in enumerate(getattr(parent, name)):
            if part == "message" and child.options.map_entry:
                continue
            if part == "oneof" and child.name.startswith("_"):  # `optional` makes it
                continue
            here = (*path, number, index)
            yield Element(part, place, child.name, comments.get(here, ""))
            yield from _below(part, child, f"{place}: {child.name}", here, comments)
