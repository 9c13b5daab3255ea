"""The actor of one session: a bounded mailbox, and one execution at a time.

The actor is the only writer of its session. It holds the session's position and, while the session
is awake, the worker that is in that state. Whatever makes the worker's state doubtful (an abort, a
failed append, a cancellation) throws the worker away; the next execution restores the state from the
log. The append is shielded, so that a cancelled actor has either written its event or not run.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from typing import Protocol

import trio
from msgspec import Struct

from engine import chain, outcomes
from engine.attempt import Attempt, conclude, prepare, run
from engine.catalog import SessionStatus
from engine.errors import AppendConflict, Busy, Conflict, EngineError, NotFound, StoreError, Unavailable
from engine.events import TICKS_PER_MS, Created, Event, Forked
from engine.execution import Execution, Submission
from engine.history import position_named, state_at
from engine.isolate.wire import Done
from engine.limits import LimitPolicy
from engine.outcomes import Abort
from engine.places import Places
from engine.recovery import Diverged, ReplayFailed, restore
from engine.session import ForkPoint, Position, apply
from engine.workers import Worker
from persistence.eventlog import EventLog

_log = logging.getLogger(__name__)


class Job(Struct):
    """An accepted submission on its way through the mailbox."""

    submission: Submission
    execution: Execution


class Host(Protocol):
    """What an actor needs of its supervisor."""

    policy: LimitPolicy

    @property
    def log(self) -> EventLog:
        """Where events go."""
        ...

    @property
    def engine_id(self) -> str:
        """Names V8, its flags and the base image."""
        ...

    @property
    def places(self) -> Places:
        """Where workers come from."""
        ...

    def branch(self, point: ForkPoint, job: Job) -> None:
        """Run ``job`` in a new session that begins at ``point``."""
        ...


class SessionActor:
    """Executes the jobs of one session in order of acceptance.

    ``position`` is None for a session that has no event yet; it begins with its first execution, at
    ``birth`` if that is set (a fork), else empty.
    """

    def __init__(
        self,
        host: Host,
        owner: str,
        name: str,
        position: Position | None,
        birth: ForkPoint | None = None,
    ) -> None:
        self.owner, self.name = owner, name
        self.position = position
        self.busy = False
        """Whether a job is being worked on."""
        self.last_used = trio.current_time()
        self.awake_since = 0.0
        """When the session got its worker."""
        self._birth = birth
        self._host = host
        self._worker: Worker | None = None
        self._broken: Diverged | ReplayFailed | None = None
        self._waiting = trio.CancelScope()
        self._send, self._receive = trio.open_memory_channel[Job](host.policy.max_queue)

    # --- called by the supervisor, never waiting ------------------------------------------------

    def post(self, job: Job) -> None:
        """Put a job in the mailbox. Raises Busy if it is full."""
        try:
            self._send.send_nowait(job)
        except trio.WouldBlock:
            raise Busy(
                f"{self._host.policy.max_queue} executions wait for session {self.name}; try again later"
            ) from None

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not self.busy and self._receive.statistics().current_buffer_used == 0

    @property
    def awake(self) -> bool:
        """Whether the session has a worker."""
        return self._worker is not None

    @property
    def pending(self) -> int:
        """Requests queued or being worked on."""
        return self.busy + self._receive.statistics().current_buffer_used

    @property
    def status(self) -> SessionStatus:
        """Whether its history could be replayed."""
        match self._broken:
            case None:
                return "ok"
            case Diverged():
                return "diverged"
            case ReplayFailed():
                return "failed"

    def sleep(self) -> None:
        """Give the worker up; the next execution restores the state. An idle actor ends with that."""
        if self._worker is not None:
            worker, self._worker = self._worker, None
            self._host.places.give_back(worker)
            self._waiting.cancel()

    # --- the task -------------------------------------------------------------------------------

    async def work(self, idle_seconds: float) -> None:
        """Work until there was nothing to do for ``idle_seconds``, or the session was put to sleep.

        So there are no more actors than workers and sessions with something to do. The worker is
        given up on return.
        """
        try:
            while True:
                job = await self._next(idle_seconds)
                if job is None:
                    return
                await self._process(job)
        finally:
            self.sleep()
            self._fail_queued()

    async def _process(self, job: Job) -> None:
        """Take a job to its end, or hand it on; no failure of it ends the actor."""
        self.busy = True
        job.execution.passed("queued_us")
        try:
            point = await self._elsewhere(job.submission)
            if point is not None:
                self._host.branch(point, job)
            else:
                await self._execute(job)
        except trio.Cancelled:
            job.execution.fail(Unavailable("the server stopped before the execution was over"))
            raise
        except AppendConflict as error:
            _log.error("session %s was written to by somebody else: %s", self.name, error)
            self.sleep()
            job.execution.fail(error)
            await self._reload()
        except EngineError as error:
            self.sleep()
            job.execution.fail(error)
        except Exception:  # noqa: BLE001 - one session's bug must not end the others
            _log.exception("execution %s failed inside the engine", job.execution.id)
            self.sleep()
            job.execution.fail(EngineError("the engine failed; the server's log has the details"))
            await self._reload()
        finally:
            self.busy = False
            self.last_used = trio.current_time()
            self._host.places.done_with_a_job(self)

    async def _reload(self) -> None:
        """Take the position from the log, where it may not be what this actor thinks."""
        try:
            self.position = await position_named(self._host.log, self.owner, self.name)
        except StoreError:
            _log.exception("session %s: its position cannot be read again", self.name)

    async def _next(self, idle_seconds: float) -> Job | None:
        """The next job; None when there was none for that long, or the session has gone to sleep."""
        if self.awake or self._broken is not None:
            with trio.move_on_after(idle_seconds) as self._waiting:
                return await self._receive.receive()
        try:
            return self._receive.receive_nowait()
        except trio.WouldBlock:
            return None

    def _fail_queued(self) -> None:
        while True:
            try:
                job = self._receive.receive_nowait()
            except trio.WouldBlock:
                return
            job.execution.fail(Unavailable("the server stopped before the execution began"))

    async def _elsewhere(self, asked: Submission) -> ForkPoint | None:
        """Decide, now that the job has left the mailbox: where it forks, or None to go on here."""
        position = self.position
        if asked.heap is None and asked.at is None:
            return None
        if position is None:
            if self._birth is not None:
                return None  # it was forked for this job
            raise NotFound(f"there is no session {self.name} to go on from", field="session")
        if asked.heap is not None:
            if asked.heap == position.heap:
                return None
            if asked.session is not None:
                raise Conflict(
                    f"session {self.name} is at event {position.state_seq} with heap {position.heap}, "
                    "not at the heap you gave; leave out `heap` to go on from there, or `session` "
                    "to branch off",
                    field="heap",
                )
            record = await self._host.log.event(bytes.fromhex(asked.heap))
            assert record is not None  # the supervisor found it before it chose this actor
            return ForkPoint(record.event.session, record.event.seq, record.id)
        assert asked.at is not None
        point = await state_at(self._host.log, position.session, asked.at)
        return None if point.id == position.state_id else point

    async def _execute(self, job: Job) -> None:
        if self._broken is not None:
            raise self._broken
        execution, asked = job.execution, job.submission
        seq = self._next_seq()
        if seq >= self._host.policy.max_session_events:
            raise Conflict(
                f"session {self.name} has {seq} events, which is the limit: start a new session",
                field="session",
            )
        attempt, result = await self._attempt(execution, asked, seq)
        if isinstance(result, Abort) and result.lost and not execution.console:
            # not the code's doing, and nobody has seen anything of it: once more
            attempt, result = await self._attempt(execution, asked, seq)
        session = self.position.session if self.position else f"i_{secrets.token_hex(16)}"
        event = conclude(attempt, session, result, execution.console)
        created = self.position is None
        await self._record([*self._birth_event(session, attempt), event])
        execution.passed("appended_us")
        assert self.position is not None
        execution.finish(outcomes.report(event, session=self.name, heap=self.position.heap, created=created))

    async def _attempt(
        self, execution: Execution, asked: Submission, seq: int
    ) -> tuple[Attempt, Done | Abort]:
        """Restore and run. After an Abort the session sleeps."""
        if not execution.cancel_requested and not (self._worker and self._worker.running()):
            with execution.cancellable():
                self._worker = await self._restored_worker()
        execution.passed("restored_us")
        attempt = prepare(execution, asked, self._host.policy, self._host.engine_id, seq)
        if execution.cancel_requested or self._worker is None:
            return attempt, Abort("cancelled", 0)
        result = await run(self._worker, attempt, execution)
        execution.passed("ran_us")
        if isinstance(result, Abort):
            self.sleep()
        return attempt, result

    async def _restored_worker(self) -> Worker:
        """A worker brought to the session's state."""
        self.sleep()
        taken: list[Worker] = []

        async def acquire() -> Worker:
            while taken:  # a worker that died while it replayed
                self._host.places.give_back(taken.pop())
            taken.append(await self._host.places.take())
            return taken[-1]

        target = self._birth
        if self.position is not None:
            target = ForkPoint(self.position.session, self.position.state_seq, self.position.state_id)
        try:
            if target is None:
                self._worker = await acquire()
            else:
                self._worker = await restore(self._host.log, target, self._host.engine_id, acquire)
        except (Diverged, ReplayFailed) as broken:
            self._broken = broken
            raise
        finally:
            self.awake_since = trio.current_time()
            if self._worker is None:
                while taken:
                    self._host.places.give_back(taken.pop())
        return self._worker

    def _next_seq(self) -> int:
        if self.position is not None:
            return self.position.head_seq + 1
        return self._birth.seq + 2 if self._birth is not None else 1

    def _birth_event(self, session: str, attempt: Attempt) -> Sequence[Event]:
        if self.position is not None:
            return ()
        shared = {
            "session": session,
            "at": attempt.start * (1_000 // TICKS_PER_MS),
            "owner": self.owner,
            "name": self.name,
            "engine": attempt.engine,
            "caller": attempt.submission.caller,
        }
        if self._birth is None:
            return (Created(seq=0, **shared),)  # type: ignore[arg-type]
        return (Forked(seq=self._birth.seq + 1, parent=self._birth.session, **shared),)  # type: ignore[arg-type]

    async def _record(self, events: Sequence[Event]) -> None:
        """The output gate: make events durable and move on, or lose the worker and stay."""
        position = self.position
        if position is not None:
            previous = position.head_id
        else:
            previous = chain.GENESIS if self._birth is None else self._birth.id
        records = []
        for event in events:
            records.append(chain.seal(previous, event))
            previous = records[-1].id
        try:
            await self._host.log.append(records)  # cannot be cancelled: see EventLog
        except StoreError:
            self.sleep()
            raise
        for record in records:
            position = apply(position, record)
        self.position = position
