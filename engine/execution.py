"""A request to run code, and what is known of it from acceptance to the end."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncGenerator, Callable
from typing import Literal

import trio
from msgspec import UNSET, Struct, UnsetType

from engine.events import Caller, ErrorDetail, Line

Status = Literal["running", "completed", "failed", "timed_out", "cancelled", "out_of_memory", "crashed"]


class Submission(Struct, frozen=True, kw_only=True):
    """A validated request to run code. Limits are as asked; the engine clamps them."""

    code: str
    owner: str
    caller: Caller
    input: str | None = None
    """JSON text."""
    session: str | None = None
    """A session's name; None for a new unnamed session, unless ``heap`` says where."""
    at: int | None = None
    """With ``session``: run on a fork of ``session@at`` unless that is the head's state."""
    heap: str | None = None
    """64 hex digits: the state to run on."""
    time_ms: int | None = None
    heap_mb: int | None = None
    idempotency_key: str | None = None
    request_hash: str = ""


class Report(Struct, frozen=True, kw_only=True):
    """The outcome of an execution, as told to clients once it is durable."""

    execution_id: str
    session: str | None
    """The session's name; None in stateless mode."""
    created: bool = False
    """Whether this execution created the session."""
    event: int | None = None
    heap: str | None = None
    """64 hex digits: the session's state after this execution."""
    status: Status
    result: str | None = None
    result_json: str | None = None
    result_json_omitted: str | UnsetType = UNSET
    console: tuple[Line, ...] = ()
    console_dropped: int = 0
    error: ErrorDetail | None = None
    pending: bool = False
    pending_timers: int = 0
    started_at: int = 0
    """Microseconds since the epoch."""
    completed_at: int = 0
    duration_us: int = 0


Stage = Literal["queued_us", "restored_us", "ran_us", "appended_us"]


class Timings(Struct):
    """How long each stage of an execution took, in microseconds; 0 for stages that it did not get to."""

    queued_us: int = 0
    """From acceptance to its turn in the session."""
    restored_us: int = 0
    """Until there was a worker in the right state: forked, and the log replayed, where need be."""
    ran_us: int = 0
    """The code and its settling, as the server saw it."""
    appended_us: int = 0
    """Until the event was durable."""


_LINE_CHARS = 120


def first_line(code: str) -> str:
    """What lists show of some code: its first line that is not blank, at most 120 characters."""
    return code.lstrip().partition("\n")[0][:_LINE_CHARS].rstrip()


class Execution:
    """A running or finished execution. Many tasks may wait on it or follow its console."""

    def __init__(
        self,
        execution_id: str,
        owner: str,
        *,
        caller: Caller,
        accepted_at: int,
        code: str = "",
        idempotency_key: str | None = None,
        request_hash: str = "",
        when_done: Callable[[Execution], None] | None = None,
    ) -> None:
        self.id = execution_id
        """Changes once if another node turns out to have it already, under another id."""
        self.accepted_as = execution_id
        self.owner = owner
        self.caller = caller
        self.accepted_at = accepted_at
        """Microseconds since the epoch."""
        self.first_line = first_line(code)
        self.idempotency_key = idempotency_key
        self.request_hash = request_hash
        self._when_done = when_done
        self.size = 0
        """Bytes of the request that are held until the execution is over."""
        self.session: str | None = None
        """The session's name; may change to a fork's until the code starts."""
        self.report: Report | None = None
        self.failure: Exception | None = None
        self.is_elsewhere = False
        """Whether another node carries it out, which counts it."""
        self.is_out_of_reach = False
        """Whether the node that carries it out is there, but does not tell of it: nor can it be cancelled."""
        self.is_for_another = False
        """Whether another node accepted it, and asked this one for it."""
        self.console: list[Line] = []
        """Console so far; provisional until there is a report."""
        self.timings = Timings()
        self.cpu_us = 0
        """CPU time that its code has used, in microseconds."""
        self.held_us = 0
        """Time for which its worker was stopped, so that others get their share, in microseconds."""
        self.death: str | None = None
        """What became of the worker, where that ended the execution."""
        self._stage_began = time.monotonic_ns()
        self.cancel_requested = False
        self.cancel_scope: trio.CancelScope | None = None
        """What ``cancel`` ends; of use until it is left."""
        self.changed = trio.Event()
        """Set, and replaced, when it printed something, goes on in another session, or is over."""
        self._finished = trio.Event()

    @property
    def done(self) -> bool:
        """Whether the execution is over (reported or failed)."""
        return self._finished.is_set()

    @property
    def status(self) -> Status:
        """What clients are told of how it stands: ``running`` until there is a report."""
        return "running" if self.report is None else self.report.status

    def passed(self, stage: Stage) -> None:
        """A stage is over, and the next one begins. What an execution goes through twice adds up."""
        began, self._stage_began = self._stage_began, time.monotonic_ns()
        took = (self._stage_began - began) // 1_000
        setattr(self.timings, stage, getattr(self.timings, stage) + took)

    def cancel(self) -> None:
        """Ask for the end of the execution; it loses against an outcome that is there already."""
        self.cancel_requested = True
        if self.cancel_scope is not None:
            self.cancel_scope.cancel()

    def cancellable(self, deadline: float = math.inf) -> trio.CancelScope:
        """A new scope that ``cancel`` ends, also one that was asked before; it replaces the last one."""
        self.cancel_scope = trio.CancelScope(deadline=deadline)
        if self.cancel_requested:
            self.cancel_scope.cancel()
        return self.cancel_scope

    def emit(self, lines: tuple[Line, ...]) -> None:
        """Add console lines and wake the followers."""
        self.console.extend(lines)
        self._wake()

    def move(self, session: str) -> None:
        """It goes on in another session, before its code starts."""
        self.session = session
        self._wake()

    def finish(self, report: Report) -> None:
        """Publish the durable outcome."""
        self.report = report
        self.session = report.session
        self._end()

    def fail(self, failure: Exception) -> None:
        """Publish that the execution could not be run or recorded; ``wait`` raises it."""
        self.failure = failure
        self._end()

    async def wait(self, seconds: float) -> Report | None:
        """The report, or None if it is still running after ``seconds``.

        Cancelling the wait cancels nothing else. Raises the EngineError that kept the execution
        from being run or recorded.
        """
        if not self._finished.is_set():
            with trio.move_on_after(seconds):
                await self._finished.wait()
        if self.failure is not None:
            raise self.failure.with_traceback(None)  # else it would grow with each time it is raised
        return self.report

    async def wait_for_line(self, number: int) -> bool:
        """Whether there is a console line ``number``, counted from 0; waits until that is certain."""
        while number >= len(self.console) and not self.done:
            await self.changed.wait()
        return number < len(self.console)

    async def follow(self) -> AsyncGenerator[Line, None]:
        """Console lines from the first, as they come, until the execution is over."""
        at = 0
        while await self.wait_for_line(at):
            yield self.console[at]
            at += 1

    def _end(self) -> None:
        self._finished.set()
        self._wake()
        if self._when_done is not None:
            self._when_done(self)

    def _wake(self) -> None:
        changed, self.changed = self.changed, trio.Event()
        changed.set()
