"""Statements from a pipe or a file: each is run once it is a whole one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TextIO

import click

from cli.entry import INTERRUPTED
from cli.output.text import one_line
from cli.repl.signals import Signals
from cli.repl.statements import Statements
from cli.target.failures import DIFFERS, Failed

MAX_STATEMENT_CHARS = 16 << 20
"""Longer than any code that is taken: what has no end is not read for ever."""


class Script:
    """Runs what ``source`` says. ``keeps_going``: also behind a statement that failed."""

    def __init__(
        self, statements: Statements, source: TextIO, signals: Signals, *, keeps_going: bool
    ) -> None:
        self._statements = statements
        self._source = source
        self._signals = signals
        self._keeps_going = keeps_going

    def run(self) -> int:
        """The exit status. Raises KeyboardInterrupt, Left, Failed."""
        status = 0
        for code in self._whole_ones():
            try:
                is_fine = self._statements.run(code).status == "completed"
            except Failed as failed:
                if not self._keeps_going:
                    raise
                click.echo(f"mcp-v8: {one_line(failed.sentence)}", err=True)
                is_fine = False
            if self._statements.was_interrupted:
                return INTERRUPTED
            status = status if is_fine else DIFFERS
            if not is_fine and not self._keeps_going:
                break
        return status

    def _whole_ones(self) -> Iterator[str]:
        code = ""
        while line := self._line():
            code += line
            if len(code) > MAX_STATEMENT_CHARS:
                raise Failed(f"a statement has more than {MAX_STATEMENT_CHARS:,} characters")
            if self._statements.is_complete(code):
                if code.strip():
                    yield code.removesuffix("\n")
                code = ""
        if code.strip():
            yield code.removesuffix("\n")  # what is missing is told

    def _line(self) -> str:
        with self._signals.interruptible():
            return self._source.readline(MAX_STATEMENT_CHARS)
