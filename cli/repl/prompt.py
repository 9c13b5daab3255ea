"""The prompt on a terminal: statements line by line, and commands that begin with a dot."""

from __future__ import annotations

from collections.abc import Callable

import click

from cli.output.events import LINE, row
from cli.output.moments import now
from cli.output.styles import FAINT, LABEL, paint
from cli.output.table import Table
from cli.output.terminal import width
from cli.output.text import fit, one_line
from cli.repl.background import Background
from cli.repl.keyboard import Keyboard
from cli.repl.place import Place
from cli.repl.signals import Signals
from cli.repl.statements import Statements
from cli.target.failures import Failed
from transports.rest.shapes import EventsAnswer, StateAnswer

CONTINUED = "... "
LOG_EVENTS = 10
_HELP = """\
.editor   type many lines; Ctrl-D runs them, Ctrl-C drops them
.exit     leave, as Ctrl-D does
.log      the last events of the session
.state    its variables
Ctrl-C stops what runs, and undoes it, or clears the line. Tab completes names. A line that begins with a
space is not kept in the history."""


class Prompt:
    """Reads statements and runs them until its user leaves."""

    def __init__(
        self, statements: Statements, keyboard: Keyboard, signals: Signals, background: Background[Place]
    ) -> None:
        self._statements = statements
        self._keyboard = keyboard
        self._signals = signals
        self._background = background
        self._commands: dict[str, Callable[[], None]] = {
            ".help": lambda: click.echo(_HELP),
            ".editor": self._edit,
            ".log": self._log,
            ".state": self._state,
        }

    def serve(self) -> None:
        """Until Ctrl-D, or ``.exit``. Raises Left."""
        while True:
            try:
                line = self._line(f"{self._statements.place.name}> ")
                if line.strip() == ".exit":
                    return
                self._do(line)
            except EOFError:
                click.echo()
                return
            except KeyboardInterrupt:
                click.echo()

    def _do(self, line: str) -> None:
        """A command, or a statement that may go on. Raises KeyboardInterrupt, Left."""
        word = line.strip()
        try:
            if word in self._commands:
                self._commands[word]()
            elif word.startswith(".") and word[1:].isalpha():
                click.echo(f"mcp-v8: there is no {word} here; .help says what there is", err=True)
            elif word:
                self._run(self._whole(line))
        except Failed as failed:
            click.echo(f"mcp-v8: {one_line(failed.sentence)}", err=True)

    def _whole(self, code: str) -> str | None:
        """The statement that begins so; None where it was dropped by Ctrl-D."""
        while not self._statements.is_complete(code):
            try:
                code += f"\n{self._line(CONTINUED)}"
            except EOFError:
                click.echo()
                return None
        return code

    def _run(self, code: str | None) -> None:
        if code is not None:
            self._statements.run(code)

    def _line(self, prompt: str) -> str:
        with self._signals.interruptible():
            line = self._keyboard.line(prompt)
        self._keyboard.remember(line)
        return line

    def _edit(self) -> None:
        click.echo(paint("// Ctrl-D runs it, Ctrl-C drops it", FAINT))
        lines: list[str] = []
        try:
            while True:
                lines.append(self._line(CONTINUED))
        except EOFError:
            self._run("\n".join(lines) if "".join(lines).strip() else None)

    def _log(self) -> None:
        place = self._statements.place
        if place.event is None:
            return
        first = max(0, place.event - LOG_EVENTS + 1)

        async def ask() -> EventsAnswer:
            path = f"/api/sessions/{place.session}/events"
            return await place.client.ask(EventsAnswer, "GET", path, {"first": first})

        with self._signals.interruptible():
            events = self._background.call(ask).result().events
        moment = now()
        rows = [row(event, moment, width()) for event in events]
        table = Table(LINE, rows, width())
        for one in rows:
            click.echo(table.line(one))

    def _state(self) -> None:
        place = self._statements.place
        if place.event is None:
            return

        async def ask() -> StateAnswer:
            return await place.client.ask(StateAnswer, "GET", f"/api/sessions/{place.session}/state")

        with self._signals.interruptible():
            told = self._background.call(ask).result()
        room = width()
        for one in told.globals:
            name = one_line(one.name)
            shown = fit(f"{name} = {one_line(one.preview)}", room)
            click.echo(paint(shown[: len(name)], LABEL) + shown[len(name) :])
