"""What a log line looks like: key=value for people, or a JSON object.

Records come from our own modules and from libraries, and carry text that clients and guest code chose.
Whatever is in it, a record stays one line, or one line and an indented traceback, and no control
character reaches a terminal.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any, Literal

import structlog
from structlog.dev import Column, ConsoleRenderer, KeyValueColumnFormatter, LogLevelColumnFormatter
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
_AMBIGUOUS = frozenset(" =\"'\\")


def formatter(form: Format, *, colours: bool) -> logging.Formatter:
    """One formatter for all records: our own, and those of libraries."""
    render: Processor = structlog.processors.JSONRenderer(_json) if form == "json" else _console(colours)
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


def _console(colours: bool) -> Processor:
    reset = _RESET if colours else ""
    levels = {level: colour if colours else "" for level, colour in _LEVEL_COLOURS.items()}

    def column(key: str, colour: str, text: Any) -> Column:
        style = colour if colours else ""
        return Column(key, KeyValueColumnFormatter(None, style, reset, value_repr=text))

    render = ConsoleRenderer(
        sort_keys=False,
        columns=[
            column("time", _DIM, str),
            Column("level", LogLevelColumnFormatter(levels, reset)),
            column("event", _BOLD, _sentence),
            column("logger", _DIM, _value),
            Column("", KeyValueColumnFormatter("", "", "", value_repr=_value)),
        ],
    )

    def indent_traceback(logger: WrappedLogger, name: str, event: EventDict) -> str:
        if (traceback := event.get("exception")) is not None:
            lines = [_printable(line) for line in str(traceback).splitlines()]
            event["exception"] = "\n".join(f"    {line}" for line in lines)
        return render(logger, name, event)

    return indent_traceback


def _value(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and _AMBIGUOUS.isdisjoint(text) else repr(text)


def _sentence(value: object) -> str:
    """A message as it is, unless it could be taken for fields."""
    text = str(value)
    return text if text.isprintable() and "=" not in text else repr(text)


def _printable(line: str) -> str:
    return line if line.isprintable() else repr(line)[1:-1]
