"""What executions are searched for. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cached_property

from msgspec import Struct

from engine.events import Aborted, Caller, ErrorDetail, Executed, Line
from engine.execution import Execution

MAX_TEXT_CHARS = 1_000
MAX_CALLER_CHARS = 256


class Search(Struct, frozen=True, kw_only=True, dict=True):
    """What an execution must be like; what is None does not matter."""

    text: str | None = None
    """Is in its code, its input, a console line, its result or its error."""
    ignore_case: bool = False
    """Whether ``text`` may be there in other cases."""
    since: int | None = None
    """It began then or later, in microseconds since the epoch."""
    until: int | None = None
    """It began before."""
    caller: str | None = None
    """Is in the name of the client or of the subject, in whatever case."""

    def finds(self, event: Executed | Aborted) -> bool:
        """Whether an execution that is recorded is like that."""
        error = event.error if isinstance(event, Aborted) else event.outcome.error
        result = None if isinstance(event, Aborted) else event.outcome.result
        return self.finds_head(event.at, event.caller) and (
            self.text is None or self._in((event.code, event.input, result), event.console, error)
        )

    def finds_held(self, execution: Execution) -> bool:
        """Whether one that is in memory is, as far as it is there: of its code the first line."""
        report = execution.report
        began = execution.accepted_at if report is None else report.started_at
        result, error = (None, None) if report is None else (report.result, report.error)
        return self.finds_head(began, execution.caller) and (
            self.text is None or self._in((execution.first_line, result), execution.console, error)
        )

    def finds_head(self, began: int, caller: Caller) -> bool:
        """Whether one that began then, of that caller, can be."""
        return (
            (self.since is None or began >= self.since)
            and (self.until is None or began < self.until)
            and (self.caller is None or _is_in(self.caller, caller))
        )

    @cached_property
    def needle(self) -> str | None:
        """A part of ``text`` that is in one of the strings that are recorded, if ``text`` is anywhere."""
        # the name and the message of an error are two strings
        return None if self.text is None else max(re.split("Uncaught |: ", self.text), key=len) or None

    @cached_property
    def _folded(self) -> str:
        return (self.text or "").casefold()

    def _in(self, texts: Iterable[str | None], console: Iterable[Line], error: ErrorDetail | None) -> bool:
        everything = _everything(texts, console, error)
        if self.ignore_case:
            # not a pattern: its search takes as long as both texts multiplied, and holds up the server
            return any(self._folded in text.casefold() for text in everything)
        return any((self.text or "") in text for text in everything)


def _everything(
    texts: Iterable[str | None], console: Iterable[Line], error: ErrorDetail | None
) -> Iterator[str]:
    yield from filter(None, texts)
    for line in console:
        yield line.text
    if error is not None:
        yield f"{error.name}: {error.message}"
        if error.name == "Uncaught":  # it is shown so
            yield f"Uncaught {error.message}"
        yield error.stack or ""


def _is_in(wanted: str, caller: Caller) -> bool:
    wanted = wanted.casefold()
    return wanted in caller.client.casefold() or wanted in caller.subject.casefold()
