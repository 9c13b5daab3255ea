"""The supervisor: accepts submissions, owns the actors, and shares out the workers.

``open_supervisor`` is one Trio nursery; every actor, execution and worker lives inside it.
"""

from __future__ import annotations

import base64
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from engine import outcomes, stateless
from engine.actor import Job, SessionActor
from engine.chain import Record
from engine.errors import Busy, InvalidField, KeyReused, NotFound, TooLarge, Unavailable
from engine.events import STATE_EVENTS, Aborted, Executed
from engine.execution import Execution, Submission
from engine.history import state_at
from engine.limits import LimitPolicy
from engine.session import GIVEN_NAME, ForkPoint, Position, check_heap, check_name
from engine.timestamps import now_us
from engine.workers import Worker, Workers, open_workers
from persistence.eventlog import EventLog, SessionRow

_log = logging.getLogger(__name__)

_TURN_SECONDS = 1.0
"""A session with more to do keeps its worker that long while others wait for a place."""
_MIB_PER_WORKER_BASE = 128
"""Private writable memory that a worker needs beside heap and buffers, in MiB."""


class Supervisor:
    """The engine's front: everything that transports and the CLI ask of it."""

    def __init__(
        self,
        nursery: trio.Nursery,
        workers: Workers,
        log: EventLog | None,
        policy: LimitPolicy,
        *,
        max_workers: int,
        max_executions: int,
        idle_seconds: float,
    ) -> None:
        self.policy = policy
        self._nursery = nursery
        self._workers = workers
        self._log = log
        self._idle_seconds = idle_seconds
        self._max_executions = max_executions
        self._max_workers = max_workers
        self._places = trio.Semaphore(max_workers)
        self._actors: dict[tuple[str, str], SessionActor] = {}
        self._unfinished: dict[str, Execution] = {}
        self._keys: dict[tuple[str, str], Execution] = {}
        self._finished = stateless.Finished(self._forget_key)
        self._draining = False
        self._drained = trio.Event()

    # --- what users ask ------------------------------------------------------------------------

    @property
    def stateless(self) -> bool:
        """Whether there are no sessions."""
        return self._log is None

    @property
    def log(self) -> EventLog:
        """The event log; only for actors, which exist only where there is one."""
        assert self._log is not None
        return self._log

    @property
    def engine_id(self) -> str:
        """Names V8, its flags and the base image."""
        return self._workers.engine_id

    async def submit(self, submission: Submission) -> Execution:
        """Accept a submission and queue it; it runs whether or not anybody waits for it.

        The same owner and idempotency key give the same execution. Raises InvalidField, TooLarge,
        NotFound, KeyReused, Busy, Unavailable or StoreError; nothing was accepted then.
        """
        self._check(submission)
        if submission.idempotency_key is None:
            execution = self._new_execution(submission)
            await self._accept(submission, execution)
            return execution
        key = (submission.owner, submission.idempotency_key)
        known = self._keys.get(key)
        if known is not None:
            return _same_request(submission, known)
        # From here on whoever comes with the same key gets this execution, whatever becomes of it.
        execution = self._keys[key] = self._new_execution(submission)
        try:
            if self._log is not None:
                record = await self._log.idempotent(*key)
                if record is not None:
                    earlier = await self._recorded(record)
                    assert earlier.report is not None
                    execution.finish(earlier.report)
                    return _same_request(submission, earlier)
            await self._accept(submission, execution)
        except BaseException as error:
            self._forget_key(execution)
            if not execution.done:
                execution.fail(
                    error if isinstance(error, Exception) else Unavailable("the request was given up")
                )
            raise
        return execution

    async def execution(self, owner: str, execution_id: str) -> Execution:
        """A running or recorded execution. Raises NotFound."""
        execution = self._unfinished.get(execution_id) or self._finished.get(execution_id)
        if execution is None and self._log is not None:
            record = await self._log.execution(execution_id)
            execution = await self._recorded(record) if record is not None else None
        if execution is None or execution.owner != owner:
            raise NotFound(f"there is no execution {execution_id!r}", field="execution_id")
        return execution

    async def cancel(self, owner: str, execution_id: str) -> Execution:
        """Ask for the end of an execution; no effect if it is over. Raises NotFound."""
        execution = await self.execution(owner, execution_id)
        if not execution.done:
            execution.cancel()
        return execution

    async def sessions(self, owner: str, *, limit: int = 1_000) -> list[SessionRow]:
        """An owner's sessions, last used first."""
        return [] if self._log is None else await self._log.sessions(owner, limit=limit)

    def status(self) -> dict[str, Any]:
        """What ``/readyz`` shows."""
        return {
            "ready": not self._draining,
            "status": "draining" if self._draining else "ready",
            "engine": self._workers.engine_id,
            "sandbox": self._workers.sandbox,
            "workers": self._workers.live,
            "zygote_pid": self._workers.zygote_pid,
            "sessions": len(self._actors),
            "running": len(self._unfinished),
        }

    async def drain(self, seconds: float) -> None:
        """Accept nothing more; let what runs end within ``seconds``, cancel the rest."""
        self._draining = True
        if not self._unfinished:
            return
        with trio.move_on_after(seconds):
            await self._drained.wait()
        for execution in list(self._unfinished.values()):
            execution.cancel()
        with trio.move_on_after(seconds):
            await self._drained.wait()

    # --- accepting -----------------------------------------------------------------------------

    def _check(self, asked: Submission) -> None:
        size = len(asked.code.encode("utf-8", "surrogatepass"))
        if size > self.policy.max_code_bytes:
            raise TooLarge(
                f"the code has {size} bytes; at most {self.policy.max_code_bytes} are accepted", field="code"
            )
        if asked.input is not None and len(asked.input) > self.policy.max_input_bytes:
            raise TooLarge(
                f"the input has {len(asked.input)} characters; at most "
                f"{self.policy.max_input_bytes} are accepted",
                field="input",
            )
        if asked.session is not None:
            check_name(asked.session)
        if asked.heap is not None:
            check_heap(asked.heap)
        if self.stateless and (asked.session is not None or asked.heap is not None):
            field = "session" if asked.session is not None else "heap"
            raise InvalidField("this server is stateless: it has no sessions", field=field)

    async def _accept(self, submission: Submission, execution: Execution) -> None:
        if self._draining:
            raise Unavailable("the server is stopping; send the request to it again in a moment")
        if len(self._unfinished) >= self._max_executions:
            raise Busy(f"{self._max_executions} executions are under way already; try again later")
        self._unfinished[execution.id] = execution
        try:
            if self.stateless:
                self._nursery.start_soon(self._run_stateless, submission, execution)
            else:
                await self._post(submission, execution)
        except BaseException:
            del self._unfinished[execution.id]
            raise

    def _new_execution(self, submission: Submission) -> Execution:
        return Execution(
            f"e_{_random_id()}",
            submission.owner,
            accepted_at=now_us(),
            idempotency_key=submission.idempotency_key,
            request_hash=submission.request_hash,
            when_done=self._when_done,
        )

    async def _post(self, asked: Submission, execution: Execution) -> None:
        owner, name = asked.owner, asked.session
        if name is None:
            if asked.heap is None:
                name = execution.session = f"s_{_random_id()}"
                self._start_actor(SessionActor(self, owner, name, None)).post(Job(asked, execution))
                return
            name = await self._session_of(owner, asked.heap)
        execution.session = name
        actor = self._actors.get((owner, name))
        if actor is None:
            row = await self.log.session_named(owner, name)
            actor = self._actors.get((owner, name))  # somebody may have been faster
            if actor is None:
                actor = self._new_actor(asked, owner, name, row)
        actor.post(Job(asked, execution))

    def _new_actor(self, asked: Submission, owner: str, name: str, row: SessionRow | None) -> SessionActor:
        if row is None:
            if GIVEN_NAME.fullmatch(name):
                raise NotFound(f"there is no session {name}", field="session")
            if asked.at is not None or asked.heap is not None:
                raise NotFound(f"there is no session {name} to go on from", field="session")
        position = None if row is None else position_of(row)
        return self._start_actor(SessionActor(self, owner, name, position))

    async def _session_of(self, owner: str, heap: str) -> str:
        """Name of the session in which a state came about."""
        record = await self.log.event(check_heap(heap))
        row = None
        if record is not None and isinstance(record.event, STATE_EVENTS) and record.event.owner == owner:
            row = await self.log.session(record.event.session)
        if row is None or row.closed:
            raise NotFound(f"there is no state {heap}", field="heap")
        return row.name

    def _start_actor(self, actor: SessionActor) -> SessionActor:
        self._actors[actor.owner, actor.name] = actor
        self._nursery.start_soon(self._run_actor, actor)
        return actor

    async def _run_actor(self, actor: SessionActor) -> None:
        try:
            await actor.work(self._idle_seconds)
        finally:
            del self._actors[actor.owner, actor.name]

    async def _run_stateless(self, submission: Submission, execution: Execution) -> None:
        await self._places.acquire()
        try:
            await stateless.execute(self._workers, self.policy, submission, execution)
        finally:
            self._places.release()

    def _when_done(self, execution: Execution) -> None:
        self._unfinished.pop(execution.id, None)
        if self.stateless and execution.failure is None:
            self._finished.add(execution)
        else:
            self._forget_key(execution)  # from now on the log knows it, if it was recorded
        if not self._unfinished and self._draining:
            self._drained.set()

    def _forget_key(self, execution: Execution) -> None:
        if execution.idempotency_key is not None:
            self._keys.pop((execution.owner, execution.idempotency_key), None)

    async def _recorded(self, record: Record) -> Execution:
        """The finished execution that a record tells of."""
        event = record.event
        assert isinstance(event, (Executed, Aborted))
        row = await self.log.session(event.session)
        assert row is not None
        heap = (
            record.id
            if isinstance(event, Executed)
            else (await state_at(self.log, event.session, event.seq)).id
        )
        execution = Execution(
            event.execution_id,
            event.owner,
            accepted_at=event.accepted_at,
            idempotency_key=event.idempotency_key,
            request_hash=event.request_hash,
        )
        execution.console.extend(event.console)
        execution.finish(outcomes.report(event, session=row.name, heap=heap.hex(), created=event.seq == 1))
        return execution

    # --- what actors ask (engine.actor.Host) -----------------------------------------------------

    def fork(self, point: ForkPoint, job: Job) -> None:
        """Run ``job`` in a new session that begins at ``point``."""
        owner = job.submission.owner
        name = job.execution.session = f"s_{_random_id()}"
        self._start_actor(SessionActor(self, owner, name, None, point)).post(job)

    async def take_worker(self, actor: SessionActor) -> Worker:
        """A fresh worker; if all places are taken, the session that has been idle longest sleeps."""
        if self._places.value == 0:
            self._put_one_to_sleep(actor)
        await self._places.acquire()
        try:
            return await self._workers.acquire()
        except BaseException:
            self._places.release()
            raise

    def give_worker_back(self, worker: Worker) -> None:
        """Kill a worker and free its place."""
        worker.kill()
        self._nursery.start_soon(worker.aclose)
        self._places.release()

    def made_idle(self, actor: SessionActor) -> None:
        """An actor is done with a job: others may be waiting for its place."""
        had_its_turn = trio.current_time() - actor.awake_since > _TURN_SECONDS
        if self._places.statistics().tasks_waiting and (actor.idle or had_its_turn):
            actor.sleep()

    def _put_one_to_sleep(self, wanted_by: SessionActor) -> None:
        idle = [a for a in self._actors.values() if a.awake and a.idle and a is not wanted_by]
        if idle:
            min(idle, key=lambda actor: actor.last_used).sleep()


@asynccontextmanager
async def open_supervisor(
    *,
    log: EventLog | None,
    policy: LimitPolicy,
    cache_dir: Path | None,
    max_workers: int,
    spares: int = 2,
    max_executions: int = 10_000,
    idle_seconds: float = 600.0,
) -> AsyncIterator[Supervisor]:
    """A running engine. ``log`` None means stateless.

    ``max_workers`` bounds the worker processes that hold a session, ``spares`` are kept ready beside
    them; ``max_executions`` bounds what is queued and running; a session that was idle for
    ``idle_seconds`` gives its worker up. Leaving the context kills what still runs: ``drain`` first.
    Raises PlatformRefused or WorkerFailed at start.
    """
    budget = 2 * (policy.max_heap_mb + policy.default.offheap_mb) + _MIB_PER_WORKER_BASE
    async with (
        open_workers(cache_dir=cache_dir, spares=spares, data_budget_mb=budget) as workers,
        trio.open_nursery() as nursery,
    ):
        yield Supervisor(
            nursery,
            workers,
            log,
            policy,
            max_workers=max_workers,
            max_executions=max_executions,
            idle_seconds=idle_seconds,
        )
        nursery.cancel_scope.cancel()


def position_of(row: SessionRow) -> Position:
    """The position of a session that the log's index knows."""
    return Position(
        session=row.session,
        owner=row.owner,
        name=row.name,
        head_seq=row.head_seq,
        head_id=row.head_id,
        state_seq=row.state_seq,
        state_id=row.state_id,
        closed=row.closed,
    )


def _same_request(asked: Submission, execution: Execution) -> Execution:
    if execution.request_hash != asked.request_hash:
        raise KeyReused(
            "this idempotency key was used for another request; use a new key for a new request",
            field="idempotency_key",
        )
    return execution


def _random_id() -> str:
    """16 characters, 80 bits."""
    return base64.b32encode(secrets.token_bytes(10)).decode().lower()
