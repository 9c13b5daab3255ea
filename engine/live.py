"""A session in use: where it is in its log, the worker that is in its state, and what is done with it.

One thing is done at a time; taking turns is the actor's business (``engine.actor``), which is the only
writer of the session. Whatever makes the worker's state doubtful (an abort, a failed append, a
cancellation) throws the worker away; the next execution restores the state from the log. The append is
shielded, so that what is cancelled has either written its event or not happened.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import trio
from msgspec.structs import replace

from engine import chain, labels, outcomes
from engine.attempt import Attempt, conclude, prepare, run
from engine.catalog import StateView
from engine.checkpointer import Made, Making
from engine.commands import Accept, Bury, Changed, Delete, Execute, Fork, Keep, Kept, Tag
from engine.debt import Debt
from engine.errors import AppendConflict, Busy, Conflict, NotFound, StoreError
from engine.events import TICKS_PER_MS, Accepted, Caller, Closed, Created, Event, Executed, Forked, Tagged
from engine.execution import Execution, Submission
from engine.history import position_named, state_at
from engine.isolate.wire import Done
from engine.limits import LimitPolicy
from engine.looking import PATIENCE_SECONDS, look
from engine.nodes import Nodes
from engine.outcomes import Abort
from engine.owners import Owners
from engine.recovery import Recovery
from engine.replay import Diverged, ReplayFailed
from engine.restoring import Ready, Source, went_on, worker_at
from engine.session import GIVEN_NAME, ForkPoint, Position, apply
from engine.space import Space
from engine.timestamps import now_us
from engine.workers import Worker, WorkerDied

_log = logging.getLogger(__name__)


class Surroundings(Source, Protocol):
    """What a session needs of the engine."""

    policy: LimitPolicy
    nodes: Nodes

    @property
    def owners(self) -> Owners:
        """Who counts sessions."""
        ...

    @property
    def space(self) -> Space:
        """Who knows whether more may be stored."""
        ...


MAX_ATTEMPTS = 4
"""How often code is run whose worker is killed from outside before it has printed anything."""


_AS_IT_IS = contextlib.nullcontext()


class LiveSession:
    """The session ``name`` of ``owner``.

    ``position`` is None while it has no event; it begins with its first execution, at ``birth`` if
    that is set (a fork), else empty. ``over`` is told whenever a checkpoint was made, or given up.
    """

    def __init__(
        self,
        engine: Surroundings,
        owner: str,
        name: str,
        position: Position | None,
        birth: ForkPoint | None,
        over: Callable[[Made], object] = lambda made: None,
    ) -> None:
        self.owner, self.name = owner, name
        self.position = position
        self.awake_since = 0.0
        """When it got its worker, in Trio's time."""
        self.broken: Diverged | ReplayFailed | None = None
        """Why its state cannot be restored."""
        self.drift = 0
        """Most events whose texts a recovery found to differ from what another engine recorded."""
        self.debt = Debt.for_target(engine.restore_target_seconds)
        """What a recovery would have to replay."""
        self.recovery: Recovery | None = None
        """The recovery that goes on now."""
        self._making: Making | None = None
        self._leaving = trio.CancelScope()
        self._is_wanted = False
        self._over = over
        self._engine = engine
        self._birth = birth
        self._worker: Worker | None = None
        self._ready: Ready | None = None
        """A worker that may have to go on before it is in the session's state."""

    @property
    def awake(self) -> bool:
        """Whether it has a worker."""
        return self._worker is not None or self._ready is not None

    def begin_with(self, ready: Ready) -> None:
        """Have a worker that was made ready before the session was this node's."""
        self._ready, self.debt = ready, ready.debt
        self.awake_since = trio.current_time()

    async def pay_debt(self) -> None:
        """Between two commands: begin to make a checkpoint if one is due."""
        if self.debt.is_due:
            await self._checkpoint()

    async def retire(self, seconds: float) -> None:
        """Give the worker up, after a checkpoint if that is worth it and takes no longer than that."""
        self._is_wanted = False
        with trio.move_on_after(seconds) as self._leaving:
            if self._worker is not None and self.debt.is_worth_it_before_sleep:
                await self._checkpoint(wait=True)
            if self._making is not None:
                await self._making.copied.wait()
        if self._worker is None or not self._worker.is_free or not self._is_wanted:
            self.sleep()

    def hurry(self, seconds: float) -> None:
        """Whoever retires may take no longer than that from now on."""
        self._leaving.deadline = min(self._leaving.deadline, trio.current_time() + seconds)

    def stay(self) -> None:
        """There is something to do after all: whoever retires need not go on with it."""
        self._is_wanted = True
        self._leaving.cancel()

    def sleep(self) -> None:
        """Give the worker up now."""
        if self._ready is not None:
            ready, self._ready = self._ready, None
            self._engine.places.give_back(ready.worker)
        if self._worker is not None:
            worker, self._worker = self._worker, None
            self._engine.places.give_back(worker)

    async def reload(self) -> None:
        """Take the position from the log, where it may not be what we think."""
        self.sleep()
        try:
            self.position = await position_named(self._engine.log, self.owner, self.name)
        except StoreError:
            _log.exception("session %s: its position cannot be read again", self.name)

    # --- where ----------------------------------------------------------------------------------

    async def elsewhere(self, asked: Submission) -> ForkPoint | None:
        """Where a submission forks, or None if it goes on here. Raises NotFound, Conflict."""
        position = self.position
        if position is None:
            # A fork is there for its first submission; a name that the server gave, if it was given now.
            given = asked.session is not None and GIVEN_NAME.fullmatch(self.name)
            if self._birth is None and (given or asked.heap is not None or asked.at is not None):
                raise self._not_found()
            return None
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
            record = await self._engine.log.event(bytes.fromhex(asked.heap))
            assert record is not None  # the supervisor found it before it chose this session
            return ForkPoint(record.event.session, record.event.seq, record.id)
        if asked.at is None:
            return None
        point = await state_at(self._engine.log, position.session, asked.at, field="session")  # name@n
        return None if point.id == position.state_id else point

    def fork_point(self) -> ForkPoint | None:
        """The state that a fork begins in; None if this is the fork. Raises NotFound."""
        return None if self.position is None and self._birth is not None else self._state()

    # --- what can be done -----------------------------------------------------------------------

    async def execute(self, command: Execute) -> None:
        """Run code, record what came of it and tell. Raises EngineError; nothing is recorded then."""
        if self.broken is not None:
            raise self.broken.with_traceback(None)  # else it would grow with each refusal
        execution, asked = command.execution, command.submission
        seq = self._next_seq()
        self._check_room(seq)
        with self._counted():
            await self._execute(execution, asked, seq)

    async def _execute(self, execution: Execution, asked: Submission, seq: int) -> None:
        for _ in range(MAX_ATTEMPTS):
            attempt, result = await self._attempt(execution, asked, seq)
            if not (isinstance(result, Abort) and result.lost) or execution.console:
                break  # else it was not the code's doing, and nobody has seen anything of it
        created = self.position is None
        session = self.position.session if self.position else _new_session()
        event = conclude(attempt, session, result, execution.console)
        began_at = attempt.start * (1_000 // TICKS_PER_MS)
        birth = [self._birth_event(session, began_at, asked.caller)] if created else []
        position = await self._record([*birth, event])
        execution.passed("appended_us")
        execution.finish(outcomes.report(event, session=self.name, heap=position.heap, created=created))
        if isinstance(event, Executed):
            self.debt.ran(event.cpu_us)

    async def begin(self, command: Fork) -> Changed:
        """Record that this fork begins. Raises TooManySessions, Conflict, StoreError."""
        session = _new_session()
        event = self._birth_event(session, now_us(), command.caller)
        try:
            with self._counted():
                await self._record([event])
        except AppendConflict as taken:
            await self.reload()
            raise Conflict(f"there is a session {self.name} already", field="into") from taken
        finally:
            self._birth = None
        return Changed(session, event.seq)

    async def close(self, command: Delete) -> Changed:
        """Record the end of the session. The name is free then. Raises NotFound."""
        session, seq = self._state().session, self._next_seq()
        if command.only_at not in (None, seq - 1):
            return Changed(session, None)
        await self._record([Closed(session=session, seq=seq, at=now_us(), caller=command.caller)])
        self._engine.owners.remove(self.owner)
        self.sleep()
        self.position = self._birth = self.broken = None
        return Changed(session, seq)

    async def tag(self, command: Tag) -> Changed:
        """Record a change of labels, if it is one. Raises NotFound, TooLarge, Conflict."""
        point = self._state()
        session = point.session
        if command.at is not None:
            point = await state_at(self._engine.log, session, command.at)
        details = await self._engine.log.details([session])
        changes = labels.changes(details[session].tags, point.seq, command.tags)
        if not changes:
            return Changed(session, None)
        seq = self._next_seq()
        self._check_room(seq)
        caller = command.caller
        await self._record(
            [Tagged(session=session, seq=seq, at=now_us(), caller=caller, target=point.seq, tags=changes)]
        )
        return Changed(session, seq)

    async def accept(self, command: Accept) -> Changed:
        """Replay everything and record the state that this gives as the session's, if it is another one.

        Raises NotFound, Conflict, ReplayFailed, Unavailable, StoreError.
        """
        point = self._state()
        with contextlib.suppress(Diverged, ReplayFailed):  # it may not be known yet what is wrong
            if self.broken is None:
                await self._ready_worker()
        if self.broken is None:
            raise Conflict(
                f"session {self.name} has not diverged: its history replays as it was recorded, and there is "
                "nothing to accept",
                field="session",
            )
        if isinstance(self.broken, ReplayFailed):
            raise Conflict(
                f"session {self.name} cannot be accepted, since replaying event {self.broken.seq} ends its "
                f"worker: fork it at its last good state, {self.name}@{self.broken.agreed.seq}",
                field="session",
            )
        seq = self._next_seq()
        self._check_room(seq)
        digests = await self._restore(point, accept=True)
        changed = Changed(point.session, seq if digests else None)
        if digests:
            engine, caller = self._engine.engine_id, command.caller
            event = Accepted(
                session=point.session, seq=seq, at=now_us(), caller=caller, engine=engine, digests=digests
            )
            await self._record([event])
        self.broken = None
        return changed

    async def bury(self, command: Bury) -> Changed:
        """Record that an execution was lost with its node, unless something is recorded of it.

        It is recorded without its idempotency key if that was sent again since, and stands for another one.
        Raises Conflict, StoreError.
        """
        asked = command.submission
        if await self._engine.log.execution(command.execution_id) is not None:
            return Changed("" if self.position is None else self.position.session, None)
        seq = self._next_seq()
        self._check_room(seq)
        key = asked.idempotency_key
        if key is not None and await self._engine.log.idempotent(self.owner, key) is not None:
            asked = replace(asked, idempotency_key=None)
        lost = Execution(
            command.execution_id, self.owner, caller=asked.caller, accepted_at=command.accepted_at
        )
        attempt = prepare(lost, asked, self._engine.policy, self._engine.engine_id, seq)
        with self._counted():
            session = self.position.session if self.position else _new_session()
            event = conclude(attempt, session, Abort("node_lost", 0), ())
            birth = [self._birth_event(session, event.at, asked.caller)] if self.position is None else []
            await self._record([*birth, event])
        return Changed(session, seq)

    async def look(self, preview_chars: int) -> StateView:
        """The variables. Raises NotFound, Diverged, ReplayFailed, TooLarge, Unavailable, StoreError."""
        if self.broken is not None:
            raise self.broken.with_traceback(None)  # else it would grow with each refusal
        point = self._state()
        worker = await self._ready_worker()
        try:
            view = await look(worker, self._engine.scheduler, self.owner, self.name, point, preview_chars)
        except BaseException:
            self.sleep()
            raise
        self._engine.nodes.check()  # as nothing is recorded, only this tells that it is the newest state
        return view

    async def keep(self, command: Keep) -> None:
        """Begin to make a checkpoint of the state; the command is answered when it is kept or given up.

        Raises NotFound, Diverged, ReplayFailed, Busy, Unavailable, StoreError.
        """
        if self.broken is not None:
            raise self.broken.with_traceback(None)  # as in ``execute``
        point = self._state()
        for known in await self._engine.log.checkpoints(point.session):
            if known.seq == point.seq and known.engine == self._engine.image_id:
                command.answer(Kept(point.seq, point.id.hex(), known.size))
                return

        def over(made: Made) -> None:
            self._over(made)
            command.answer(Kept(point.seq, point.id.hex(), made.size, made.took_us, made.declined))

        worker = await self._ready_worker()
        with trio.move_on_after(PATIENCE_SECONDS):
            if self.debt.is_being_paid and self._making is not None:
                await self._making.is_over.wait()
            try:
                self._making = await self._engine.checkpointer.begin(
                    worker, point, self.debt, wait=True, over=over
                )
            except WorkerDied:  # which was told
                self.sleep()
            return
        raise Busy(
            f"other checkpoints are being made, and no room for one of session {self.name} came within "
            f"{PATIENCE_SECONDS:g} s: try again later",
            field="session",
        )

    # --- how ------------------------------------------------------------------------------------

    async def _attempt(
        self, execution: Execution, asked: Submission, seq: int
    ) -> tuple[Attempt, Done | Abort]:
        """Restore and run. After an Abort the session sleeps."""
        worker = self._running_worker()
        if worker is None and not execution.cancel_requested:
            with execution.cancellable():
                worker = await self._ready_worker()
        execution.passed("restored_us")
        attempt = prepare(execution, asked, self._engine.policy, self._engine.engine_id, seq)
        if execution.cancel_requested or worker is None:
            return attempt, Abort("cancelled", 0)
        result = await run(worker, attempt, execution, self._engine.scheduler, self.name)
        execution.passed("ran_us")
        if isinstance(result, Abort):
            self.sleep()
        return attempt, result

    def _running_worker(self) -> Worker | None:
        """The worker, in the session's state, if it is there."""
        return self._worker if self._worker is not None and self._worker.running() else None

    async def _ready_worker(self) -> Worker:
        """The same; if it is not there, a new one is brought to that state."""
        if self._ready is not None:
            await self._go_on(self._ready)
        if (worker := self._running_worker()) is not None:
            return worker
        try:
            await self._restore(self._birth if self.position is None else self._state())
        except (Diverged, ReplayFailed) as broken:
            self.broken = broken
            raise
        assert self._worker is not None
        return self._worker

    async def _go_on(self, ready: Ready) -> None:
        """Let the worker that was made ready be the session's, if it can be brought to its state."""
        try:
            if self.position is not None and await went_on(
                self._engine, self.owner, self.name, ready, self._state()
            ):
                self._ready, self._worker = None, ready.worker
        finally:
            if self._ready is not None:
                self.sleep()

    async def _restore(self, target: ForkPoint | None, *, accept: bool = False) -> dict[int, bytes]:
        """Get a worker in that state, or with ``accept`` in the one that a replay gives instead; the digests
        that are to be accepted for that.
        """
        self.sleep()
        try:
            self._worker = await worker_at(
                self._engine,
                self.owner,
                self.name,
                target,
                self.debt,
                self._begun,
                accept=accept,
                copying=self._copying,
                over=self._over,
            )
            return {} if self.recovery is None else self.recovery.differences
        finally:
            if self.recovery is not None and self.recovery.drift is not None:
                self.drift = max(self.drift, self.recovery.drift.count)
            self.recovery = None
            self.awake_since = trio.current_time()

    def _begun(self, recovery: Recovery) -> None:
        self.recovery = recovery

    def _copying(self, making: Making) -> None:
        self._making = making

    async def _checkpoint(self, *, wait: bool = False) -> None:
        """Begin to make a checkpoint of the state, if there is room for it (or wait for that)."""
        if self._worker is None or self.position is None:
            return
        try:
            self._making = await self._engine.checkpointer.begin(
                self._worker, self._state(), self.debt, wait=wait, over=self._over
            )
        except WorkerDied as died:
            _log.warning("session %s lost its worker: %s", self.name, died.message)
            self.sleep()

    def _state(self) -> ForkPoint:
        """The state that the session is in. Raises NotFound if it has no event."""
        if self.position is None:
            raise self._not_found()
        return ForkPoint(self.position.session, self.position.state_seq, self.position.state_id)

    def _not_found(self) -> NotFound:
        return NotFound(f"there is no session {self.name}", field="session")

    def _counted(self) -> AbstractContextManager[None]:
        """If the session begins in the block, it counts from now on, unless it does not come to that. Raises
        TooManySessions.
        """
        return _AS_IT_IS if self.position is not None else self._counting()

    @contextlib.contextmanager
    def _counting(self) -> Iterator[None]:
        self._engine.owners.add(self.owner)
        try:
            yield
        finally:
            if self.position is None:
                self._engine.owners.remove(self.owner)

    def _check_room(self, seq: int) -> None:
        """Raises Conflict, StoreFull."""
        self._engine.space.check()
        if seq >= self._engine.policy.max_session_events:
            raise Conflict(
                f"session {self.name} has {seq} events, which is the limit: start a new session",
                field="session",
            )

    def _next_seq(self) -> int:
        if self.position is not None:
            return self.position.head_seq + 1
        return self._birth.seq + 2 if self._birth is not None else 1

    def _birth_event(self, session: str, at: int, caller: Caller) -> Event:
        """The first event, at ``at`` microseconds since the epoch."""
        engine = self._engine.engine_id
        if self._birth is None:
            return Created(
                session=session,
                seq=0,
                at=at,
                owner=self.owner,
                name=self.name,
                engine=engine,
                caller=caller,
            )
        return Forked(
            session=session,
            seq=self._birth.seq + 1,
            at=at,
            owner=self.owner,
            name=self.name,
            engine=engine,
            caller=caller,
            parent=self._birth.session,
        )

    async def _record(self, events: Sequence[Event]) -> Position:
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
            await self._engine.log.append(records)  # cannot be cancelled: see EventLog
        except StoreError:
            self.sleep()
            raise
        for record in records:
            position = apply(position, record)
        assert position is not None
        self.position = position
        return position


def _new_session() -> str:
    """An internal id."""
    return f"i_{secrets.token_hex(16)}"
