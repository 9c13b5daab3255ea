"""Runs one execution in an isolate: from ``wire.Run`` to ``wire.Done``."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping

import msgspec
from msgspec import UNSET, Struct
from msgspec.structs import replace

from engine.events import TICKS_PER_MS, ErrorDetail, Line, Outcome, OutcomeStatus, Trace
from engine.isolate.exhaustion import MemoryGuard
from engine.isolate.isolate import PENDING, REJECTED, Evaluation, Isolate, Location, Terminated
from engine.isolate.script import Script
from engine.isolate.stack import StackGuard
from engine.isolate.survey import Survey, format_stacks
from engine.isolate.wire import EXIT_BROKEN, EXIT_OUT_OF_MEMORY, Done, Look, Run, Seen
from engine.limits import Limits

CONTROL_FUNCTIONS = ("begin", "inputHidden", "overdue", "settle", "rejected", "finish", "look", "formatStack")

_VALUE, _UNSETTLED, _THROWN = 0, 1, 2  # kinds of ``finish``

_ROOM_TO_RESTORE_MB = 4_000
"""What the heap and the buffers may take while a snapshot is restored: RLIMIT_DATA is the limit then."""

_WARM_ROUNDS = 10
"""Python and V8 rewrite what they have run a few times, in memory that is shared if it happens here; and a
snapshot of a small state is smaller if what ran makes little difference (4 rounds were too few for that)."""
_WARM_UP = (
    "1 + 1",
    "({ a: [1, 'x', null], b: new Map([[1, 2]]) })",
    "console.log('text', 1, { a: 1 })",
    "throw new TypeError('warm')",
    "await Promise.resolve(Math.random() + Date.now())",
)
_BIND_INPUT = (
    "try { input = this.input } catch {} try { input === this.input } catch { false }",
    "let input = this.input; true",  # where the session's own `let input = …` threw
    "const input = this.input; true",
)


class _Error(Struct):
    name: str
    message: str
    stack: str | None


class _Finished(Struct):
    """What the base image's ``finish`` returns, as JSON."""

    status: OutcomeStatus
    result: str | None
    result_json: str | None
    result_json_omitted: str | None
    error: _Error | None
    pending: bool
    pending_timers: int
    console_dropped: int
    clock: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    diverged: bool


_finished = msgspec.json.Decoder(_Finished)
_lines = msgspec.json.Decoder(tuple[Line, ...])
_seen = msgspec.json.Decoder(Seen)
_pack = msgspec.msgpack.Encoder().encode


class Executor:
    """Executes in one isolate, one after the other."""

    def __init__(self, isolate: Isolate) -> None:
        self._isolate = isolate
        self._stack = StackGuard(isolate)
        self._memory = MemoryGuard(isolate)
        isolate.bind_control(*CONTROL_FUNCTIONS)

    def warm(self) -> None:
        """Run code of each kind a few times, so that processes forked from here share what it compiled.

        Leaves no trace in the session: a start of 0 is outside of its time. The last round reads no clock,
        so that the state after it is the same to the last byte whenever it is made.
        """
        seed = bytes(16)
        for trace in (*(None,) * _WARM_ROUNDS, Trace(start=0, seed=seed)):
            for code in _WARM_UP:
                run = Run(seq=0, code=code, limits=Limits(), start=0, seed=seed, trace=trace)
                self.execute(run, lambda lines: None, time.sleep)

    def restore(self, blob: bytes) -> None:
        """Go on in the state of a snapshot, in another isolate."""
        self._isolate.dispose()
        isolate = Isolate(blob, self._isolate.references, heap_mb=_ROOM_TO_RESTORE_MB)
        isolate.bind_control(*CONTROL_FUNCTIONS)
        self._isolate = self._stack.isolate = self._memory.isolate = isolate

    def renew(self) -> None:
        """Leave nothing of what was executed: go on in a new context of the same isolate.

        Of an executor that was restored from no session's snapshot.
        """
        self._isolate.renew()
        self._isolate.bind_control(*CONTROL_FUNCTIONS)

    def survey(self, kinds: Mapping[int, str]) -> Survey:
        """What is alive. For a process that makes a snapshot and ends."""
        self._memory.lift()
        return Survey(self._isolate, kinds)

    def format_stacks(self, errors: list[int]) -> bool:
        """See ``engine.isolate.survey``. For a process that makes a snapshot and ends."""
        self._stack.arm(replay=True)
        return format_stacks(self._isolate, errors) and not self._stack.reached()

    def snapshot(self) -> bytes:
        """The state as a blob, for ``restore``. For a process that ends after that: see ``Isolate``."""
        return self._isolate.snapshot()

    def execute(
        self, run: Run, console: Callable[[tuple[Line, ...]], None], sleep: Callable[[float], None]
    ) -> Done:
        """Run the code and settle it.

        ``console`` receives lines while code runs; ``sleep`` waits that many seconds for a timer.
        Does not return if memory is exhausted: the process exits with EXIT_OUT_OF_MEMORY.
        """
        isolate, replay = self._isolate, run.trace is not None
        digest = hashlib.sha256()

        def emit(text: str) -> None:
            lines = _lines.decode(text)
            for line in lines:
                digest.update(_pack(line))
            console(lines)

        isolate.host.emit = emit
        isolate.host.time.begin()
        self._memory.arm(run.limits, replay=replay)
        started, cpu_started = time.perf_counter_ns(), time.process_time_ns()
        self._stack.arm(replay=replay)
        try:
            with isolate.scope():
                finished, location = self._run(run, sleep)
        except Terminated:
            self._exhausted()
        if isolate.heap.exhausted:  # noticed where no JavaScript was left to be stopped
            self._exhausted()
        trace = Trace(
            start=run.start,
            seed=run.seed,
            clock=finished.clock,
            timers_before=finished.before,
            timers_after=finished.after,
        )
        outcome = _outcome(finished, location, run)
        digest.update(_pack((_without_frame(outcome), trace, finished.diverged)))
        return Done(
            outcome=outcome,
            trace=trace,
            digest=digest.digest(),
            duration_us=(time.perf_counter_ns() - started) // 1_000,
            cpu_us=(time.process_time_ns() - cpu_started) // 1_000,
            overflow=self._stack.reached(),
        )

    def look(self, message: Look) -> Seen:
        """The session's variables, within the limits of the last execution. Leaves no trace in it.

        Does not return if memory is exhausted: the process exits with EXIT_OUT_OF_MEMORY.
        """
        self._stack.arm(replay=False)
        try:
            with self._isolate.scope():
                seen = self._look(message)
        except Terminated:
            os._exit(EXIT_OUT_OF_MEMORY)
        if self._isolate.heap.exhausted:
            os._exit(EXIT_OUT_OF_MEMORY)
        if self._stack.reached():  # a function of ours may have stopped half-way
            os._exit(EXIT_BROKEN)
        return seen

    def _look(self, message: Look) -> Seen:
        isolate = self._isolate
        every = isolate.lexical_names()
        names = every[: message.max_globals]
        # Only a script sees such a variable. A name needs no other check: it was an identifier once.
        readers = isolate.run_script("[" + "".join(f"()=>{name}," for name in names) + "]")
        ask = {"names": names, "max": message.max_globals, "chars": message.preview_chars}
        told = isolate.control("look", isolate.string(msgspec.json.encode(ask).decode()), readers)
        seen = _seen.decode(isolate.text(told))
        return replace(seen, more=seen.more + len(every) - len(names))

    def _run(self, run: Run, sleep: Callable[[float], None]) -> tuple[_Finished, Location | None]:
        isolate = self._isolate
        if isolate.boolean(isolate.control("begin", isolate.string(_begin(run)))):
            self._bind_input()
        while True:
            with isolate.scope():
                if not isolate.boolean(isolate.control("overdue")):
                    break
            isolate.drain()
        script = Script(run.seq, run.code)
        evaluation, is_expression = self._evaluate(script)
        isolate.drain()
        self._settle(evaluation.promise, sleep)
        finished, location = self._conclude(evaluation)
        if is_expression and finished.error is not None:
            location = script.place_in_expression(location)
            finished.error.stack = finished.error.stack and script.stack_in_expression(finished.error.stack)
        return finished, location

    def _evaluate(self, script: Script) -> tuple[Evaluation, bool]:
        """Start the code; and whether as an expression.

        If it parses neither as one nor as it is, the error is the one further on: V8 had understood more.
        """
        isolate = self._isolate
        if script.expression is None:
            return isolate.evaluate(script.source), False
        expression = isolate.evaluate(script.expression)
        if expression.promise is not None:
            return expression, True
        plain = isolate.evaluate(script.source)
        place = script.place_in_expression(expression.location)
        is_further = place is not None and plain.location is not None and place[1:3] > plain.location[1:3]
        return (expression, True) if plain.promise is None and is_further else (plain, False)

    def _conclude(self, evaluation: Evaluation) -> tuple[_Finished, Location | None]:
        isolate, promise, nothing = self._isolate, evaluation.promise, self._isolate.integer(0)
        if promise is None:
            assert evaluation.exception is not None
            return self._finish(_THROWN, evaluation.exception, nothing), evaluation.location
        state, value, promise = isolate.settlement(promise)
        if state == PENDING:
            return self._finish(_UNSETTLED, nothing, promise), None
        if state != REJECTED:
            return self._finish(_VALUE, value, promise), None
        location = isolate.locate(value)
        return self._finish(_THROWN, value, promise), location

    def _bind_input(self) -> None:
        """Give the value of globalThis.input also to the variable that the session declared to hide it."""
        isolate = self._isolate
        for code in _BIND_INPUT:
            with isolate.scope():
                promise = isolate.evaluate(code).promise
                if promise is not None and isolate.boolean(isolate.settlement(promise).value):
                    return
        isolate.control("inputHidden")

    def _settle(self, promise: int | None, sleep: Callable[[float], None]) -> None:
        """Fire the timers that the value, or the design's settling rules, wait for."""
        isolate = self._isolate
        while True:
            with isolate.scope():
                settled = promise is None or isolate.settlement(promise).state != PENDING
                wait = isolate.float(isolate.control("settle", isolate.integer(settled)))
            if wait < 0:
                return
            if wait > 0:
                sleep(wait / 1_000)
            else:
                isolate.drain()

    def _finish(self, kind: int, value: int, promise: int) -> _Finished:
        isolate = self._isolate
        text = isolate.text(isolate.control("finish", isolate.integer(kind), value, promise))
        return _finished.decode(text)

    def _exhausted(self) -> None:
        """The heap is full: hand out what is left of the console, then end the process."""
        isolate = self._isolate
        isolate.cancel_termination()
        try:
            with isolate.scope():
                nothing = isolate.integer(0)
                isolate.control("finish", isolate.integer(_UNSETTLED), nothing, nothing)
        finally:
            os._exit(EXIT_OUT_OF_MEMORY)


def _begin(run: Run) -> str:
    seed = [int.from_bytes(run.seed[at : at + 4], "little") for at in range(0, 16, 4)]
    limits = run.limits
    begin: dict[str, object] = {
        "start": run.start,
        "seed": seed,
        "deadline": run.start + limits.time_ms * TICKS_PER_MS,
        "limits": {
            "console_bytes": limits.console_bytes,
            "result_chars": limits.result_chars,
            "timers": limits.timers,
            "clock_reads": limits.clock_reads,
        },
        "replay": None,
    }
    if run.trace is not None:
        begin["replay"] = {
            "clock": run.trace.clock,
            "before": run.trace.timers_before,
            "after": run.trace.timers_after,
        }
    if run.input is not None:
        begin["input"] = msgspec.Raw(run.input.encode())
    return msgspec.json.encode(begin).decode()


def _outcome(finished: _Finished, location: Location | None, run: Run) -> Outcome:
    error = None
    if finished.error is not None:
        script = Script(run.seq, run.code)
        location, stack = script.place(location, finished.error.stack)
        error = ErrorDetail(
            name=finished.error.name,
            message=finished.error.message,
            stack=stack,
            line=location.line if location else None,
            column=location.column if location else None,
            frame=script.frame(location) if location else None,
        )
    return Outcome(
        status=finished.status,
        result=finished.result,
        result_json=finished.result_json,
        result_json_omitted=finished.result_json_omitted or UNSET,
        error=error,
        pending=finished.pending,
        pending_timers=finished.pending_timers,
        console_dropped=finished.console_dropped,
    )


def _without_frame(outcome: Outcome) -> Outcome:
    """What the digest covers: how we draw a failing line is not the code's doing."""
    if outcome.error is None:
        return outcome
    return replace(outcome, error=replace(outcome.error, frame=None))
