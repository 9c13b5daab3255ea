"""What a log line looks like: key=value for people, or a JSON object.

Records come from our own modules and from libraries, and carry text that clients and guest code chose.
Whatever is in it, a record stays one line, or one line and an indented traceback, and no control
character reaches a terminal.
"""

from __future__ import annotations

import json
import logging
import re
from datetime import UTC, datetime
from typing import Any, Literal

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

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
_ambiguous = re.compile(r"""[ ="'\\]|^$""").search


def formatter(form: Format, *, colours: bool) -> logging.Formatter:
    """One formatter for all records: our own, and those of libraries."""
    render: Processor = structlog.processors.JSONRenderer(_json) if form == "json" else _text(colours=colours)
    return structlog.stdlib.ProcessorFormatter(processors=[_complete, render])


def _complete(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The event with all that its record says, in the order of a line."""
    record: logging.LogRecord = event["_record"]
    complete: EventDict = {
        "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")[:-6] + "Z",
        "level": record.levelname.lower(),
        "logger": record.name,
        "event": event["event"],
        **record.__dict__.get(FIELDS, {}),
    }
    if (traceback := record.__dict__.get(TRACEBACK)) is not None:
        complete["exception"] = traceback
    return complete


def _json(event: EventDict, **_: Any) -> str:
    """ASCII only; DEL is the one control character that JSON leaves as it is."""
    return json.dumps(event, default=repr).replace("\x7f", "\\u007f")


def _text(*, colours: bool) -> Processor:
    """By hand: structlog's renderer for consoles takes four times as long, for every execution."""
    reset, dim, bold = (_RESET, _DIM, _BOLD) if colours else ("", "", "")
    levels = _LEVEL_COLOURS if colours else {}

    def render(_: WrappedLogger, __: str, event: EventDict) -> str:
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
    return repr(text) if _ambiguous(text) or not text.isprintable() else text


def _sentence(value: object) -> str:
    """A message as it is, unless it could be taken for fields."""
    text = str(value)
    return text if text.isprintable() and "=" not in text else repr(text)


def _printable(line: str) -> str:
    return line if line.isprintable() else repr(line)[1:-1]
