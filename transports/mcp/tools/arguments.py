"""Arguments of a tool, checked: what is wrong with one is told so that a model can set it right. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TypeVar

import msgspec
from msgspec import Struct, inspect
from msgspec.structs import FieldInfo, fields

from engine.errors import InvalidField

A = TypeVar("A", bound=Struct)

EXAMPLE = "example"
"""Key in ``Meta.extra`` of the JSON that an error shows as what would be right."""
FORM = "form"
"""Key in ``Meta.extra`` of the words for a string's pattern."""

_PLACE = re.compile(r".* - at .*?`\$\.(\w+).*", re.DOTALL)
"""A message of msgspec's that is about a field."""
_SHOWN = 60
"""Characters of a wrong value that are repeated."""


def decode(tool: str, kind: type[A], arguments: Mapping[str, object]) -> A:
    """The arguments of a call of ``tool``. Raises InvalidField.

    A null counts as absent, as models fill in what they do not mean; "1" is taken for 1, and 1.0 too.
    """
    known = {field.encode_name: field for field in fields(kind)}
    given = {name: _whole(value) for name, value in arguments.items() if value is not None}
    for name in given:
        if name not in known:
            shown = name[:64].encode(errors="replace").decode()
            takes = f"it takes {', '.join(known)}" if known else "it takes none"
            raise InvalidField(f"{tool} has no argument `{shown}`: {takes}", field=shown)
    for name, field in known.items():
        if field.required and name not in given:
            raise InvalidField(f"`{name}` is missing{_example(kind, name)}", field=name)
    try:
        for value in given.values():
            if isinstance(value, str):
                value.encode()
        return msgspec.convert(given, kind, strict=False)  # models write "1" for 1
    except msgspec.ValidationError as wrong:
        place = _PLACE.fullmatch(str(wrong))
        assert place is not None  # nothing but fields can be wrong
        raise _wrong(kind, known[place[1]], given[place[1]]) from wrong
    except UnicodeEncodeError as wrong:
        raise InvalidField(f"{tool} was given half of a surrogate pair, which is no character") from wrong


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _wrong(kind: type[Struct], field: FieldInfo, value: object) -> InvalidField:
    name = field.encode_name
    shown = ascii(value) if isinstance(value, str) else repr(value)
    shown = shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
    must_be = _must_be(_type(kind, name))
    return InvalidField(f"`{name}` must be {must_be}, not {shown}{_example(kind, name)}", field=name)


def _example(kind: type[Struct], name: str) -> str:
    described = _type(kind, name)
    extra = described.extra if isinstance(described, inspect.Metadata) else None
    if not extra or EXAMPLE not in extra:
        return ""
    return f"; for example {msgspec.json.encode({name: extra[EXAMPLE]}).decode()}"


def _type(kind: type[Struct], name: str) -> inspect.Type:
    """The field's type, without that it may be absent."""
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)
    found = next(field.type for field in described.fields if field.encode_name == name)
    if isinstance(found, inspect.UnionType):
        found = next(part for part in found.types if not isinstance(part, inspect.NoneType))
    return found


def _must_be(described: inspect.Type) -> str:
    """What a value of the type is, in words."""
    match described:
        case inspect.Metadata(type=inner, extra=extra):
            return str(extra[FORM]) if extra and FORM in extra else _must_be(inner)
        case inspect.LiteralType(values=values):
            return f"one of {', '.join(map(str, values))}"
        case inspect.IntType(ge=least, le=most):
            return f"a whole number{_range(least, most)}"
        case inspect.DictType():
            return "an object whose values are strings"
        case inspect.ListType():
            return "an array of strings"
        case inspect.StrType(min_length=least, max_length=most) if most is not None:
            return f"a string of {least or 0} to {most} characters"
        case _:
            return "a string"


def _range(least: float | None, most: float | None) -> str:
    if most is None:
        return "" if least is None else f" from {least:g}"
    return f" from {least or 0:g} to {most:g}"
