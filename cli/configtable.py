"""``mcp-v8 config``: every setting with its value and where that came from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from cli.choices import Choices


def table(choices: Choices) -> str:
    """The choices in three columns, under the names that flags and files have."""
    rows = [("setting", "value", "from")]
    rows += [(name, _text(value), _text(origin)) for name, (value, origin, _) in choices.items()]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "".join(f"{name:{widths[0]}}  {value:{widths[1]}}  {origin}\n" for name, value, origin in rows)


def as_json(choices: Choices) -> str:
    """The choices as a JSON object of ``{"value", "from"}``."""
    told = {name: {"value": _plain(value), "from": origin} for name, (value, origin, _) in choices.items()}
    return msgspec.json.format(msgspec.json.encode(told), indent=2).decode() + "\n"


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _text(value: Any) -> str:
    """One line, whatever the value has in it."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if text.isprintable() else repr(text)
