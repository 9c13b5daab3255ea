"""A session in use: where it is in its log, and what is done with it there and in its worker.

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

from msgspec.structs import replace

from engine import chain, labels, outcomes
from engine.attempt import Attempt, conclude, prepare, run
from engine.catalog import StateView
from engine.checkpointer import Made
from engine.commands import Accept, Bury, Changed, Delete, Execute, Fork, Keep, Kept, Tag
from engine.errors import AppendConflict, Conflict, NotFound, StoreError
from engine.events import TICKS_PER_MS, Accepted, Caller, Closed, Event, Executed, Tagged
from engine.execution import Execution, Submission
from engine.history import position_named, state_at
from engine.isolate.wire import Done
from engine.limits import LimitPolicy
from engine.looking import look
from engine.nodes import Nodes
from engine.outcomes import Abort
from engine.owners import Owners
from engine.replay import Diverged, ReplayFailed
from engine.restoring import Source
from engine.session import GIVEN_NAME, ForkPoint, Position, apply, first_event
from engine.sessionworker import SessionWorker
from engine.space import Space
from engine.timestamps import now_us
from engine.workers import Worker

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
        self.worker = SessionWorker(engine, owner, name, over)
        self.broken: Diverged | ReplayFailed | None = None
        """Why its state cannot be restored."""
        self._engine = engine
        self._birth = birth

    async def pay_debt(self) -> None:
        """Between two commands: begin to make a checkpoint if one is due."""
        if self.worker.debt.is_due and self.position is not None:
            await self.worker.checkpoint(self._state())

    async def retire(self, seconds: float) -> None:
        """Give the worker up, after a checkpoint if that is worth it and takes no longer than that."""
        await self.worker.retire(seconds, None if self.position is None else self._state())

    async def reload(self) -> None:
        """Take the position from the log, where it may not be what we think."""
        self.worker.sleep()
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
            self.worker.debt.ran(event.cpu_us)

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
        self.worker.sleep()
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
        digests = await self.worker.accept(point)
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
            self.worker.sleep()
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

        def kept(made: Made) -> None:
            command.answer(Kept(point.seq, point.id.hex(), made.size, made.took_us, made.declined))

        await self.worker.keep(await self._ready_worker(), point, kept)

    # --- how ------------------------------------------------------------------------------------

    async def _attempt(
        self, execution: Execution, asked: Submission, seq: int
    ) -> tuple[Attempt, Done | Abort]:
        """Restore and run. After an Abort the session sleeps."""
        worker = self.worker.running()
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
            self.worker.sleep()
        return attempt, result

    async def _ready_worker(self) -> Worker:
        """A worker in the session's state; if there is none, one is brought there."""
        target = self._birth
        if self.position is not None:
            target = self._state()
            await self.worker.go_on(target)
        if (worker := self.worker.running()) is not None:
            return worker
        try:
            return await self.worker.restore(target)
        except (Diverged, ReplayFailed) as broken:
            self.broken = broken
            raise

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
        return first_event(session, self.owner, self.name, self._birth, at=at, engine=engine, caller=caller)

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
            self.worker.sleep()
            raise
        for record in records:
            position = apply(position, record)
        assert position is not None
        self.position = position
        return position


def _new_session() -> str:
    """An internal id."""
    return f"i_{secrets.token_hex(16)}"
