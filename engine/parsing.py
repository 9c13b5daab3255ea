"""Whether code is a whole script, as V8 sees it, without running any of it.

V8 has no way to parse code as a REPL does that would not run it. So what it is given throws first: it parses
all before it runs that line. It does so in a worker that is used for nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator

import trio
from msgspec import Struct
from msgspec.structs import replace

from engine.attempt import prepare, run
from engine.errors import Busy
from engine.events import ErrorDetail
from engine.execution import Execution, Submission
from engine.isolate import codetext
from engine.isolate.script import Script
from engine.isolate.wire import Done
from engine.limits import LimitPolicy
from engine.places import Places
from engine.scheduler import Scheduler
from engine.timestamps import now_us
from engine.workers import Worker

PATIENCE_SECONDS = 10.0
"""What a worker that is to parse may take to come."""
TIME_MS = 5_000
"""What parsing may take."""
_FIRST = "throw 0;\n"
_SEQ = 1


class Parsed(Struct, frozen=True):
    """What V8 says of some code."""

    is_complete: bool
    """Whether more code could not make it parse, or need not."""
    error: ErrorDetail | None = None
    """Why it does not parse, if it is complete."""


async def parse(
    places: Places, scheduler: Scheduler, policy: LimitPolicy, engine: str, submission: Submission
) -> Parsed:
    """Parse the submission's code. Raises Busy, Unavailable."""
    worker = None
    with trio.move_on_after(PATIENCE_SECONDS):
        worker = await places.take(submission.owner)
    if worker is None:
        raise Busy(f"no worker that could parse it came free within {PATIENCE_SECONDS:g} s: try again later")

    async def fault(code: str) -> ErrorDetail | None:
        return await _fault(worker, scheduler, policy, engine, replace(submission, code=code))

    try:
        code = submission.code
        error = await fault(code)
        if error is None:
            return Parsed(is_complete=True)
        if _is_at_end(error, code):
            return Parsed(is_complete=False)
        for longer in _continued(error, code):
            other = await fault(longer)
            if other is None or _is_at_end(other, longer):
                return Parsed(is_complete=False)
        if (expression := Script(_SEQ, code).expression) is not None:
            other = await fault(expression)
            if other is None:
                return Parsed(is_complete=True)
            if other.line is not None and other.line > len(
                codetext.lines_of(code)
            ):  # at its last parenthesis
                return Parsed(is_complete=False)
        return Parsed(is_complete=True, error=error)
    finally:
        places.give_back(worker)


def _continued(error: ErrorDetail, code: str) -> Iterator[str]:
    """How the code may go on where V8 names another place than its end."""
    if "/*" in code:
        yield f"{code}*/"
    if error.message.startswith(("missing )", "Missing }")):  # of arguments, and in a template
        yield f"{code} ,"  # behind which something must come


def _is_at_end(error: ErrorDetail, code: str) -> bool:
    """Whether the code ended too early."""
    lines = codetext.lines_of(code)
    return (error.line, error.column) >= (len(lines), codetext.units(lines[-1]) + 1)


async def _fault(
    worker: Worker, scheduler: Scheduler, policy: LimitPolicy, engine: str, submission: Submission
) -> ErrorDetail | None:
    """The syntax error, with its place in the code; none where there is no time, or memory, to find one."""
    asked = replace(submission, code=f"{_FIRST}{submission.code}", time_ms=TIME_MS)
    execution = Execution("", asked.owner, caller=asked.caller, accepted_at=now_us())
    attempt = prepare(execution, asked, policy, engine, _SEQ)
    done = await run(worker, attempt, execution, scheduler, "")
    if not isinstance(done, Done):
        return None
    error = done.outcome.error
    if error is None or error.name != "SyntaxError" or error.line is None:
        return None
    return replace(error, line=error.line - 1)
