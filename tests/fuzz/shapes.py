"""Values for a type, mostly of that type: what a peer sends who knows the protocol and does not keep to it.

They are plain values, as a decoder without a type gives them, to be encoded and decoded with the type.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import inspect

from fuzz.data import Data

_MAX_DEPTH: Final = 6
_MAX_BYTES: Final = 1 << 18
_SIZES: Final = (0, 1, 2, 3, 4, 40, 3_000)
"""How often the last item of a sequence is repeated."""

Known = Mapping[str, object]
"""Values that fields of that name mostly have."""


def value(data: Data, kind: Any, known: Known | None = None) -> Any:
    """A value for ``kind``; now and then one that is none of it."""
    return _value(data, _described(kind), known or {}, 0)


def anything(data: Data, depth: int = 0) -> Any:
    """A value of any type that MessagePack has, but for extensions."""
    match data.byte() % (8 if depth < _MAX_DEPTH else 6):
        case 0:
            return None
        case 1:
            return data.integer()
        case 2:
            return data.text()
        case 3:
            return data.byte() % 2 == 1
        case 4:
            return data.number()
        case 5:
            return data.octets()
        case 6:
            return [anything(data, depth + 1) for _ in range(data.byte() % 5)]
        case _:
            return {data.text(): anything(data, depth + 1) for _ in range(data.byte() % 5)}


@functools.cache
def _described(kind: Any) -> inspect.Type:
    return inspect.type_info(kind)


def _value(data: Data, kind: inspect.Type, known: Known, depth: int) -> Any:
    if data.byte() == 255:
        return anything(data, depth)
    match kind:
        case inspect.Metadata(type=inner):
            return _value(data, inner, known, depth)
        case inspect.UnionType(types=types):
            return _value(data, data.choose(types), known, depth)
        case inspect.LiteralType(values=values):
            return data.choose(values)
        case inspect.StructType():
            return _struct(data, kind, known, depth + 1)
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            items = [_value(data, item, known, depth + 1) for _ in range(data.byte() % 5)]
            return items + items[-1:] * min(data.choose(_SIZES), _MAX_BYTES // (1 + _size(items[-1:])))
        case inspect.DictType(key_type=key, value_type=item):
            pairs = (
                (_value(data, key, known, depth + 1), _value(data, item, known, depth + 1))
                for _ in range(data.byte() % 5)
            )
            return {name: value for name, value in pairs if not isinstance(name, list | dict)}
        case inspect.IntType():
            return data.integer()
        case inspect.FloatType():
            return data.number()
        case inspect.BoolType():
            return data.byte() % 2 == 1
        case inspect.StrType():
            return data.text()
        case inspect.BytesType():
            return data.octets()
        case inspect.NoneType():
            return None
        case _:
            return anything(data, depth)


def _struct(data: Data, kind: inspect.StructType, known: Known, depth: int) -> Any:
    fields: dict[str, Any] = {}
    if kind.tag is not None:
        assert kind.tag_field is not None
        fields[kind.tag_field] = kind.tag
    for field in kind.fields:
        how = data.byte()
        if how == 255 or (how % 4 == 3 and not field.required):
            continue
        if how < 240 and field.encode_name in known:
            fields[field.encode_name] = known[field.encode_name]
        else:
            fields[field.encode_name] = _value(data, field.type, known, depth)
    if data.rarely():
        fields[data.text()] = anything(data, depth)
    return list(fields.values()) if kind.array_like else fields


def _size(items: list[Any]) -> int:
    """Bytes of items that are to be repeated."""
    return len(repr(items))


def packed(data: Data, made: Any) -> bytes:
    """The MessagePack of a value, perhaps damaged. What it cannot hold is left out."""
    try:
        whole = bytearray(msgspec.msgpack.encode(made))
    except (OverflowError, UnicodeEncodeError):
        return b""
    for _ in range(data.byte() % 4):
        if whole:
            at = data.below(len(whole))
            whole[at : at + data.byte() % 3] = data.take(data.byte() % 6)
    return bytes(whole)
