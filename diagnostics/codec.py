"""Codec of stored records: JSON with sorted keys. Each record has exactly one encoding."""

from dataclasses import asdict, fields, is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

import orjson

T = TypeVar("T")


def canonical(value: Any) -> bytes:
    """Return the canonical JSON of a value made of dataclasses, enums, tuples, texts and numbers."""
    plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS)


def read(kind: type[T], data: bytes) -> T:
    """Return the record that `canonical` wrote. A missing field has its default."""
    return cast("T", _value(kind, orjson.loads(data)))


def _value(kind: Any, value: Any) -> Any:
    origin = get_origin(kind)
    if origin is UnionType:
        if value is None:
            return None
        return _value(next(one for one in get_args(kind) if one is not NoneType), value)
    if origin is tuple:
        return _tuple(get_args(kind), value)
    if is_dataclass(kind):
        hints = _hints(cast("type", kind))
        return cast("Any", kind)(
            **{f.name: _value(hints[f.name], value[f.name]) for f in fields(kind) if f.name in value}
        )
    return value if origin is dict else kind(value)


def _tuple(kinds: tuple[Any, ...], values: list[Any]) -> tuple[Any, ...]:
    if kinds[-1] is Ellipsis:
        return tuple(_value(kinds[0], one) for one in values)
    return tuple(_value(kind, one) for kind, one in zip(kinds, values, strict=True))


@lru_cache(maxsize=64)
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)
