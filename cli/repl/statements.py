"""What is done with a statement: whether it is all there, and that it is run, from the main thread."""

from __future__ import annotations

from concurrent.futures import TimeoutError as NotInTime
from contextlib import suppress
from queue import SimpleQueue

import click

from cli.output import outcome
from cli.output.json import print_line as print_json_line
from cli.repl.background import Background
from cli.repl.completion import SECONDS, Completer
from cli.repl.place import Place
from cli.repl.signals import Signals, Terminated
from cli.target.execution import Request, Run
from cli.target.failures import Failed
from transports.answer import Answer
from transports.rest.past_shapes import ParsedAnswer
from transports.rest.stream import ConsoleEvent

CANCEL_SECONDS = 5.0
"""What stopping an execution may take when the process is to end."""


class Left(Exception):
    """Ctrl-C was pressed twice: whoever is there leaves at once."""


class Statements:
    """The statements of one place."""

    def __init__(
        self, background: Background[Place], place: Place, signals: Signals, *, as_json: bool
    ) -> None:
        self.place = place
        self.was_interrupted = False
        """Whether the last statement was stopped by Ctrl-C."""
        self._background = background
        self._signals = signals
        self._as_json = as_json
        self._completer = Completer(place)

    def is_complete(self, code: str) -> bool:
        """Whether V8 takes it for a whole. Raises KeyboardInterrupt."""
        if not code.strip():
            return True
        client = self.place.client

        async def ask() -> ParsedAnswer:
            return await client.ask(ParsedAnswer, "POST", "/api/parse", body={"code": code})

        try:
            with self._signals.interruptible():
                return self._background.call(ask).result().complete
        except Failed:  # then running it tells what is wrong
            return True

    def run(self, code: str) -> Answer:
        """Run it, and print what it prints and what it comes to.

        Ctrl-C has it stopped, and undone. Raises Left for the second one, Refused, Failed.
        """
        execution = Run(self.place.client)
        lines: SimpleQueue[ConsoleEvent | None] = SimpleQueue()

        async def work() -> Answer:
            await execution.begin(Request(code=code, session=self.place.session))
            return await execution.end(lines.put)

        task = self._background.call(work)
        task.when_done(lambda: lines.put(None))
        self.was_interrupted = False
        while True:
            try:
                with self._signals.interruptible():
                    while (line := lines.get()) is not None:
                        if not (self._as_json or self.was_interrupted):
                            outcome.print_line(line)
                    answer = task.result()
                    break
            except KeyboardInterrupt:
                if task.done:  # it came too late
                    lines.put(None)
                elif self.was_interrupted:
                    task.cancel()
                    raise Left from None
                else:
                    self.was_interrupted = True
                    click.echo("mcp-v8: it is being stopped; Ctrl-C again leaves at once", err=True)
                    self._background.call(execution.cancel)
            except Terminated:
                with suppress(Failed, NotInTime):
                    self._background.call(execution.cancel).result(CANCEL_SECONDS)
                raise
        self.place.event = answer.event
        self._print(answer)
        return answer

    def complete(self, word: str) -> list[str]:
        """What a word may become. Raises nothing."""
        try:
            return self._background.call(lambda: self._completer.matches(word)).result(2 * SECONDS)
        except (Failed, NotInTime):
            return []
        except (KeyboardInterrupt, Terminated) as signal:  # readline lets nothing through that is raised here
            self._signals.again(signal)
            return []

    def _print(self, answer: Answer) -> None:
        if self._as_json:
            print_json_line(answer)
        elif answer.status == "completed":
            outcome.print_value(answer)
        else:
            outcome.print_failure(answer, handle=False)
