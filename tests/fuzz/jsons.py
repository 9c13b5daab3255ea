"""JSON texts: whole ones in every spelling that the grammar allows, and some that it does not."""

from __future__ import annotations

import json
import math
from typing import Any, Final

from fuzz.data import Data

_SPACE: Final = ("", "", "", " ", "\n", "\r\n", "\t", "\n\n")
_NUMBERS: Final = (
    "0",
    "-0",
    "1",
    "1.0",
    "-1.5e-7",
    "1e400",
    "1E+2",
    "9" * 400,
    "1e308",
    "0.1",
    "123456789012345678901",
)
_STRINGS: Final = (
    '""',
    '"a"',
    '"\\ud800"',
    '"\\ud83d\\ude00"',
    '"\\u0000"',
    '"\\n"',
    '"\u2028"',
    '"\\/"',
    '"é"',
    '"\x7f"',
)
_WRONG: Final = (
    "",
    "01",
    "1.",
    "NaN",
    "Infinity",
    "undefined",
    "'a'",
    '"\x01"',
    '"\n"',
    '"\\x"',
    "[1,]",
    "{",
    "]",
    "+1",
    "//",
    "\ufeff1",
)
_DEEP: Final = (10, 100, 254, 500, 900, 3_000, 100_000)


def text(data: Data, depth: int = 0) -> str:
    """A JSON text, now and then a wrong one, or a very deep one."""
    match data.byte() % 12:
        case 0 | 1:
            return data.choose(_NUMBERS)
        case 2 | 3:
            return data.choose(_STRINGS)
        case 4:
            return json.dumps(data.text(), ensure_ascii=data.byte() % 2 == 1)
        case 5:
            return data.choose(("null", "true", "false"))
        case 6 | 7 if depth < 5:
            items = [text(data, depth + 1) for _ in range(data.byte() % 4)]
            return _spaced(data, "[", items, "]")
        case 8 | 9 if depth < 5:
            items = [
                f"{data.choose(_STRINGS)}{data.choose(_SPACE)}:{text(data, depth + 1)}"
                for _ in range(data.byte() % 4)
            ]
            return _spaced(data, "{", items, "}")
        case 10:
            levels = data.choose(_DEEP)
            opening, closing = data.choose((("[", "]"), ('{"a":', "}"), ("[[],", "]")))
            return opening * levels + text(data, 5) + closing * levels
        case 11:
            return data.choose(_WRONG) if data.byte() % 2 else data.text()
        case _:
            return "0"


def _spaced(data: Data, opening: str, items: list[str], closing: str) -> str:
    space = data.choose(_SPACE)
    return opening + space + f"{space},{data.choose(_SPACE)}".join(items) + space + closing


def strict(text: str | bytes) -> Any:
    """What a client reads. Raises ValueError for what is no JSON by RFC 8259."""

    def refuse(constant: str) -> Any:
        raise ValueError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse, parse_int=lambda digits: float(digits))


def is_finite(value: Any) -> bool:
    """Whether all numbers in what was read are finite."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)
        elif isinstance(one, float) and not math.isfinite(one):
            return False
    return True
