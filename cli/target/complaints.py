"""What the engine in a command's process logs, as who runs the command should see it."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import click

from cli.output import terminal
from cli.output.text import visible

_ANSWERS = "transports"
"""Loggers that begin so repeat, for a server's log, what the answers say."""
_CLEAR = "\r\x1b[K"
"""Takes the line away that says how far something is."""


class Complaints(logging.Handler):
    """Shows each warning once, as a sentence on stderr, and a bug with its traceback."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._told: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """Show it, unless it is known or will be told as the answer."""
        if record.exc_info:
            said = visible(self.format(record))
        elif record.name.startswith(_ANSWERS) or (said := visible(record.getMessage())) in self._told:
            return
        self._told.add(said)
        click.echo(f"{_CLEAR if terminal.is_terminal(err=True) else ''}mcp-v8: {said}", err=True)


@asynccontextmanager
async def complaints_shown() -> AsyncIterator[None]:
    """Show what is logged until the end of the block."""
    handler = Complaints()
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
