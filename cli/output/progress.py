"""How far long work is, in a line on stderr that is written over; nothing where that is no terminal."""

from __future__ import annotations

import time
from types import TracebackType

import click

from cli.output import terminal
from cli.output.quantities import duration
from cli.output.text import cells, fit

_EVERY_SECONDS = 0.1
_PATIENCE_SECONDS = 1.0
"""A time that is left is told after so long: before, nothing is known of the pace."""


class Progress:
    """Of ``total`` units of work, called ``unit`` in the plural. Leaving its context clears the line."""

    def __init__(self, what: str, total: int, unit: str) -> None:
        self._what, self.total, self._unit = what, total, unit
        self._is_shown = terminal.is_terminal(err=True)
        self._began = time.monotonic()
        self._next = 0.0
        self._wide = 0

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.clear()

    def at(self, done: int, note: str = "") -> None:
        """So much is done."""
        now = time.monotonic()
        if not self._is_shown or now < self._next:
            return
        self._next = now + _EVERY_SECONDS
        passed = now - self._began
        text = f"{self._what}{note}: {done:,}/{self.total:,} {self._unit}"
        if passed > _PATIENCE_SECONDS and done:
            left = (self.total - done) * passed / done
            text += f", {done / passed:,.0f}/s, {duration(left * 1_000)} left"
        width = terminal.width(err=True)
        text = fit(text, None if width is None else width - 1)
        click.echo(f"\r{text}{' ' * (self._wide - cells(text))}\r", nl=False, err=True)
        self._wide = cells(text)

    def within(self, done: int, total: int) -> None:
        """So much is done of what is only known now."""
        self.total = total
        self.at(done)

    def clear(self) -> None:
        """Take the line away, as before anything else is written; the next ``at`` may bring it back."""
        if self._wide:
            click.echo(f"\r{' ' * self._wide}\r", nl=False, err=True)
            self._wide, self._next = 0, 0.0
