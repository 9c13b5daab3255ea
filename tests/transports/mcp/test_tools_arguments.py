"""What is wrong with a tool's arguments is told so that a model can set it right."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from msgspec import UNSET, Meta, Struct, UnsetType

from engine.errors import InvalidField
from transports.mcp.tools.arguments import EXAMPLE, FORM, decode


class Arguments(Struct, frozen=True):
    which: Annotated[str, Meta(pattern="^[a-z]$", extra={FORM: "a letter", EXAMPLE: "q"})]
    limit: Annotated[int, Meta(ge=1, le=9, extra={EXAMPLE: 5})] | UnsetType = UNSET
    first: Annotated[int, Meta(ge=0)] = 0
    status: Literal["on", "off"] | UnsetType = UNSET
    tags: dict[str, str] | UnsetType = UNSET
    keys: list[str] | UnsetType = UNSET
    text: Annotated[str, Meta(max_length=3)] | UnsetType = UNSET


class Nothing(Struct, frozen=True):
    pass


@pytest.mark.parametrize(
    ("given", "limit"),
    [
        ({"which": "a"}, UNSET),
        ({"which": "a", "limit": "3"}, 3),
        ({"which": "a", "limit": 3.0}, 3),
        ({"which": "a", "limit": None, "tags": None}, UNSET),
    ],
)
def test_what_models_mean_is_taken(given: dict[str, object], limit: object) -> None:
    assert decode("t", Arguments, given).limit == limit


WRONG = [
    ({}, '`which` is missing; for example {"which":"q"}'),
    ({"which": "ab"}, '`which` must be a letter, not \'ab\'; for example {"which":"q"}'),
    (
        {"which": "a", "limit": 10},
        '`limit` must be a whole number from 1 to 9, not 10; for example {"limit":5}',
    ),
    ({"which": "a", "limit": "x" * 99}, f"`limit` must be a whole number from 1 to 9, not '{'x' * 59}…; for"),
    ({"which": "a", "first": -1}, "`first` must be a whole number from 0, not -1"),
    ({"which": "a", "first": 1.5}, "`first` must be a whole number from 0, not 1.5"),
    ({"which": "a", "status": "up"}, "`status` must be one of off, on, not 'up'"),
    ({"which": "a", "tags": {"a": 1}}, "`tags` must be an object whose values are strings, not {'a': 1}"),
    ({"which": "a", "tags": "a:b"}, "`tags` must be an object whose values are strings, not 'a:b'"),
    ({"which": "a", "keys": [1]}, "`keys` must be an array of strings, not [1]"),
    ({"which": "a", "text": "long"}, "`text` must be a string of 0 to 3 characters, not 'long'"),
    ({"wich": "a"}, "t has no argument `wich`: it takes which, limit, first, status, tags, keys, text"),
    ({"which": "a", "text": "\ud800"}, "t was given half of a surrogate pair, which is no character"),
]


@pytest.mark.parametrize(("given", "told"), WRONG)
def test_a_wrong_argument_is_named_with_what_would_be_right(given: dict[str, object], told: str) -> None:
    with pytest.raises(InvalidField) as refused:
        decode("t", Arguments, given)
    assert refused.value.message.startswith(told)


def test_a_tool_without_arguments_says_so() -> None:
    assert decode("t", Nothing, {}) == Nothing()
    with pytest.raises(InvalidField, match="t has no argument `a`: it takes none"):
        decode("t", Nothing, {"a": 1})
