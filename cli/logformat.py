"""What a log line looks like: key=value for people, or a JSON object.

Records come from our own modules and from libraries, and carry text that clients and guest code chose.
Whatever is in it, a record stays one line, or one line and an indented traceback, and no control
character reaches a terminal.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal

Event = dict[str, Any]
Format = Literal["text", "json"]
FIELDS = "fields"
"""Attribute of a record: a mapping of what it says beside its message."""
TRACEBACK = "traceback"
"""Attribute of a record: its traceback, as text."""

_RESET = "\x1b[0m"
_DIM = "\x1b[2m"
_BOLD = "\x1b[1m"
_LEVEL_COLOURS = {"debug": _DIM, "info": "", "warning": "\x1b[33m", "error": "\x1b[31m"}
_LEVEL_CHARS = max(map(len, _LEVEL_COLOURS))
_encode = json.JSONEncoder(default=repr).encode
_ambiguous = re.compile(r"""[ ="'\\]|^$""").search


def formatter(form: Format, *, colours: bool) -> logging.Formatter:
    """One formatter for all records: our own, and those of libraries."""
    return _LineFormatter(_json if form == "json" else _text(colours=colours))


class _LineFormatter(logging.Formatter):
    """By hand: every execution is a line, and a general library for this takes three times as long."""

    def __init__(self, render: Callable[[Event], str]) -> None:
        super().__init__()
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        """The line, and the traceback if there is one."""
        return self._render(_complete(record))


def _complete(record: logging.LogRecord) -> Event:
    """All that a record says, in the order of a line."""
    complete: Event = {
        "time": f"{_second(int(record.created))}.{int(record.created * 1_000) % 1_000:03}Z",
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": record.getMessage(),
        **record.__dict__.get(FIELDS, {}),
    }
    if (traceback := record.__dict__.get(TRACEBACK)) is not None:
        complete["exception"] = traceback
    return complete


@lru_cache(maxsize=4)
def _second(since_epoch: int) -> str:
    return datetime.fromtimestamp(since_epoch, UTC).isoformat()[:-6]


def _json(event: Event) -> str:
    """ASCII only; DEL is the one control character that JSON leaves as it is."""
    return _encode(event).replace("\x7f", "\\u007f")


def _text(*, colours: bool) -> Callable[[Event], str]:
    reset, dim, bold = (_RESET, _DIM, _BOLD) if colours else ("", "", "")
    levels = _LEVEL_COLOURS if colours else {}

    def render(event: Event) -> str:
        level, traceback = event.pop("level"), event.pop("exception", None)
        line = (
            f"{dim}{event.pop('time')}{reset} [{levels.get(level, '')}{level.ljust(_LEVEL_CHARS)}{reset}] "
            f"{bold}{_sentence(event.pop('event'))}{reset} {dim}{_value(event.pop('logger'))}{reset}"
        )
        line += "".join([f" {name}={_value(value)}" for name, value in event.items()])
        if traceback is not None:
            line += "".join(f"\n    {_printable(told)}" for told in str(traceback).splitlines())
        return line

    return render


def _value(value: object) -> str:
    text = str(value)
    if isinstance(value, int | float):
        return text
    return repr(text) if _ambiguous(text) or not text.isprintable() else text


def _sentence(value: object) -> str:
    """A message as it is, unless it could be taken for fields."""
    text = str(value)
    return text if text.isprintable() and "=" not in text else repr(text)


def _printable(line: str) -> str:
    return line if line.isprintable() else repr(line)[1:-1]
