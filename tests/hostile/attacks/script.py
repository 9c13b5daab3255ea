"""A hostile script, and what has to come of it."""

from __future__ import annotations

import json
from typing import Any

from msgspec import UNSET, Struct, UnsetType

ENDLESS_SECONDS = 0.2
"""The limit of code that never ends."""
PATIENCE_SECONDS = 60.0
"""The limit of code that ends by itself, on a machine that does much else."""
HEAP_MB = 16
"""The least that may be asked for."""


class Outcome(Struct, frozen=True):
    """How an execution ended, as its client is told."""

    status: str
    error: str | None = None
    """The name of the error."""
    undone: bool = False
    result: str | UnsetType = UNSET
    """The text of the result, where the script says what it must be."""


class Script(Struct, frozen=True, kw_only=True):
    """Code, how it is run, and the outcomes that are documented for it."""

    code: str
    outcomes: tuple[Outcome, ...]
    """Any of these: of more than one where V8 decides."""
    seconds: float = PATIENCE_SECONDS
    heap_mb: int = HEAP_MB
    input: str | None = None
    """As JSON."""
    is_whole: bool = False
    """Whether it is sent as it is, without a statement before it that leaves a trace."""
    is_slow: bool = False
    """Whether it takes a second or more, or says little that others do not: left to the long runs."""
    later: tuple[str, ...] = ()
    """What the session's next call may come to, where what it leaves holds or ends that before its code."""

    def body(self, session: str, mark: str) -> str:
        """The request that runs it, as JSON; behind ``mark`` where that can be."""
        fields = {
            "session": session,
            "code": self.code if self.is_whole else mark + self.code,
            "execution_timeout_secs": self.seconds,
            "heap_memory_max_mb": self.heap_mb,
        }
        if self.input is None:
            return json.dumps(fields)
        return f'{json.dumps(fields)[:-1]}, "input": {self.input}{"}"}'


TIMED_OUT = Outcome("timed_out", "TimedOut", undone=True)
OUT_OF_MEMORY = Outcome("out_of_memory", "OutOfMemory", undone=True)
OVERFLOW = Outcome("failed", "StackOverflow", undone=True)
CRASHED = Outcome("crashed", "Crashed", undone=True)


def endless(code: str, **options: Any) -> Script:
    """Code that is stopped at its time limit."""
    return Script(code=code, outcomes=(TIMED_OUT,), **{"seconds": ENDLESS_SECONDS, **options})


def greedy(code: str, **options: Any) -> Script:
    """Code that is stopped at its memory limit."""
    return Script(code=code, outcomes=(OUT_OF_MEMORY,), **options)


def deep(code: str, **options: Any) -> Script:
    """Code that comes to the end of the stack, whether it catches that or not."""
    return Script(code=code, outcomes=(OVERFLOW,), **options)


def gives(result: str, code: str, **options: Any) -> Script:
    """Code that completes with this result."""
    return Script(code=code, outcomes=(Outcome("completed", result=result),), **options)


def completes(code: str, **options: Any) -> Script:
    """Code that completes with anything."""
    return Script(code=code, outcomes=(Outcome("completed"),), **options)


def throws(name: str, code: str, **options: Any) -> Script:
    """Code that fails with an error of this name, and keeps what it did before."""
    return Script(code=code, outcomes=(Outcome("failed", name),), **options)


def any_of(code: str, *outcomes: Outcome, **options: Any) -> Script:
    """Code that may end in several ways."""
    return Script(code=code, outcomes=outcomes, **options)


def unparsable(code: str) -> Script:
    """Code that is no script; nothing of it runs."""
    return Script(code=code, outcomes=(Outcome("failed", "SyntaxError"),), is_whole=True)
