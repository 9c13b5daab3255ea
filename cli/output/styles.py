"""What colours mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import click

from engine.events import Level
from engine.execution import Status

Style = Mapping[str, Any]
"""Arguments of ``click.style``."""

PLAIN: Style = {}
STRONG: Style = {"bold": True}
FAINT: Style = {"dim": True}
GOOD: Style = {"fg": "green"}
BAD: Style = {"fg": "red"}
DOUBTFUL: Style = {"fg": "yellow"}
UNDER_WAY: Style = {"fg": "cyan"}
MATCH: Style = {"fg": "red", "bold": True}
"""What was searched for."""
LABEL: Style = {"fg": "cyan"}
"""A name before a value."""

STATUS: Mapping[Status, Style] = {
    "running": UNDER_WAY,
    "completed": GOOD,
    "failed": BAD,
    "timed_out": DOUBTFUL,
    "cancelled": DOUBTFUL,
    "out_of_memory": BAD,
    "crashed": {"fg": "red", "bold": True},
}
SESSION_STATUS: Mapping[str, Style] = {"ok": GOOD, "diverged": BAD, "failed": BAD}
LEVEL: Mapping[Level, Style] = {
    "debug": FAINT,
    "log": PLAIN,
    "info": {"fg": "blue"},
    "warn": DOUBTFUL,
    "error": BAD,
}
"""Of console lines."""


class Styled(NamedTuple):
    """A piece of a line, which is visible text, and how it looks."""

    text: str
    style: Style = PLAIN

    def __str__(self) -> str:
        return paint(self.text, self.style)


def paint(text: str, style: Style) -> str:
    """The text in that style; ``click.echo`` takes it off again where there are no colours."""
    return click.style(text, **style) if style and text else text


def status(of: Status) -> Styled:
    """A status in its colour."""
    return Styled(of, STATUS[of])
