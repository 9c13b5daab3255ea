"""The actor of one session: a bounded mailbox, and one command at a time in order of acceptance."""

from __future__ import annotations

import logging
from typing import Protocol

import trio

from engine.catalog import Progress, SessionStatus
from engine.checkpointer import Made
from engine.commands import Accept, Bury, Command, Delete, Execute, Fork, Keep, Look, Tag
from engine.errors import (
    AppendConflict,
    Busy,
    EngineError,
    NodeFenced,
    NotOwner,
    RequestError,
    StoreFull,
    Unavailable,
)
from engine.execution import Execution
from engine.live import LiveSession, Surroundings
from engine.replay import Diverged, ReplayFailed
from engine.restoring import Ready
from engine.session import ForkPoint, Position

_log = logging.getLogger(__name__)

HAND_OVER_SECONDS = 0.05
"""What is waited for where a session that is about to sleep is to go to another node."""
RETIRE_SECONDS = 30.0
"""What a checkpoint before sleep may take; without it the session wakes by a replay."""


class Host(Surroundings, Protocol):
    """What an actor needs of its supervisor."""

    def branch(self, owner: str, point: ForkPoint, command: Execute | Fork) -> None:
        """Post ``command`` to a new session that begins at ``point``. Raises TooManySessions, Conflict."""
        ...

    async def was_recorded(self, command: Execute) -> bool:
        """Whether what was asked is recorded already; it is answered with that then."""
        ...


class SessionActor:
    """Carries out what is asked of one session; see ``LiveSession`` for ``position`` and ``birth``."""

    def __init__(
        self,
        host: Host,
        owner: str,
        name: str,
        position: Position | None,
        birth: ForkPoint | None = None,
    ) -> None:
        self.owner, self.name = owner, name
        self.busy = False
        """Whether a command is being carried out."""
        self.executions: dict[str, Execution] = {}
        """Those that wait, or run, by id, in their order."""
        self.last_used = trio.current_time()
        self.ended = trio.Event()
        """The actor is gone, and its worker with it."""
        self._host = host
        self._session = LiveSession(host, owner, name, position, birth, self._poke)
        self._worker = self._session.worker
        self._waiting = trio.CancelScope()
        self._retire_seconds: float | None = None
        """What retiring may take, once it is to retire."""
        self._poked = False
        self.is_leaving = False
        """Whether another node shall have the session, or has it: what is left in the mailbox goes there."""
        self._done_here = trio.CancelScope()
        """What is done in the session as long as it is this node's."""
        self._send, self._receive = trio.open_memory_channel[Command](host.policy.max_queue)

    # --- called by the supervisor, never waiting ------------------------------------------------

    def post(self, command: Command) -> None:
        """Put a command in the mailbox. Raises Busy if it is full."""
        try:
            self._send.send_nowait(command)
        except trio.WouldBlock:
            raise Busy(
                f"{self._host.policy.max_queue} executions wait for session {self.name}; try again later"
            ) from None
        if isinstance(command, Execute):
            self.executions[command.execution.id] = command.execution
        if self._retire_seconds == RETIRE_SECONDS:  # nobody waits for its place
            self._worker.stay()

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return self.pending == 0

    @property
    def pending(self) -> int:
        """Commands queued or being carried out."""
        return self.busy + self._receive.statistics().current_buffer_used

    @property
    def awake(self) -> bool:
        """Whether the session has a worker."""
        return self._worker.is_there

    @property
    def awake_since(self) -> float:
        """When the session got its worker."""
        return self._worker.awake_since

    @property
    def status(self) -> SessionStatus:
        """Whether the session's history could be replayed."""
        match self._session.broken:
            case None:
                return "ok"
            case Diverged():
                return "diverged"
            case ReplayFailed():
                return "failed"

    @property
    def broken(self) -> Diverged | ReplayFailed | None:
        """Why its history could not be replayed."""
        return self._session.broken

    @property
    def drift(self) -> int:
        """How many events a replay gave other texts than another engine recorded."""
        return self._worker.drift

    @property
    def checkpoint_declined(self) -> str | None:
        """Why the last attempt at a checkpoint gave none."""
        return self._worker.debt.declined

    @property
    def recovering(self) -> Progress | None:
        """How far the session is rebuilt, while that goes on."""
        recovery = self._worker.recovery
        return None if recovery is None else Progress(recovery.reached, recovery.target)

    @property
    def is_retiring(self) -> bool:
        """Whether it is about to give its worker up."""
        return self._retire_seconds is not None

    @property
    def is_costly_to_wake(self) -> bool:
        """Whether its state could not be kept, so that it would have to be replayed."""
        return self._worker.debt.is_unkeepable

    @property
    def is_worth_keeping(self) -> bool:
        """Whether it has a state that should not be given up without a checkpoint."""
        return self.awake and self._worker.debt.is_worth_it_before_sleep

    def retire(self, seconds: float = RETIRE_SECONDS) -> None:
        """Give the worker up soon; the next execution restores the state. An idle actor ends with that.

        A checkpoint may take ``seconds`` before that.
        """
        if self.awake and (self._retire_seconds is None or seconds < self._retire_seconds):
            self._retire_seconds = seconds
            self._worker.hurry(seconds)
            self._waiting.cancel()

    def begin_with(self, ready: Ready) -> None:
        """Have a worker that was made ready before the session was this node's."""
        self._worker.begin_with(ready)

    def hand_over(self) -> None:
        """Let another node have the session, after what is being done."""
        self.is_leaving = True
        self._retire_seconds = HAND_OVER_SECONDS
        self._worker.hurry(HAND_OVER_SECONDS)
        self._waiting.cancel()

    def lose(self) -> None:
        """Another node may have the session: nothing that is done here counts."""
        self.is_leaving = True
        self._done_here.cancel()

    def left(self) -> list[Command]:
        """Take what was not begun out of the mailbox."""
        left = []
        while True:
            try:
                left.append(self._receive.receive_nowait())
            except trio.WouldBlock:
                return left

    async def reload(self) -> None:
        """The log has more of the session than was known: take its position from there."""
        await self._session.reload()

    def _poke(self, _made: Made) -> None:
        """A checkpoint is made, or given up: the next may be due already."""
        self._poked = True
        self._waiting.cancel()

    # --- the task -------------------------------------------------------------------------------

    async def work(self, idle_seconds: float) -> None:
        """Work until there was nothing to do for ``idle_seconds``, or the session was to retire.

        So there are no more actors than workers and sessions with something to do. The worker is
        given up on return.
        """
        try:
            with self._done_here:
                while (command := await self._next(idle_seconds)) is not None:
                    await self._process(command)
                    await self._session.pay_debt()
        finally:
            self._worker.sleep()

    async def _next(self, idle_seconds: float) -> Command | None:
        """The next command; None when there was none for that long, or the session has gone to sleep."""
        while self.awake or self.status != "ok":
            self._poked = False
            with trio.move_on_after(idle_seconds) as self._waiting:
                if not self._shall_end:
                    return await self._receive.receive()
            if self._poked and not self._shall_end:
                await self._session.pay_debt()
                continue
            await self._leave()
            if not self.awake:
                break
        if self.is_leaving:
            return None
        try:
            return self._receive.receive_nowait()
        except trio.WouldBlock:
            return None

    @property
    def _shall_end(self) -> bool:
        return self.is_leaving or self._retire_seconds is not None

    async def _leave(self) -> None:
        """Retire, unless there is something to do again before that."""
        if self.is_leaving:  # what was worth a checkpoint has one
            self._retire_seconds = None
            self._worker.sleep()
            return
        if self._retire_seconds is None:
            self._retire_seconds = RETIRE_SECONDS
        try:
            if self._receive.statistics().current_buffer_used == 0 or self._retire_seconds < RETIRE_SECONDS:
                await self._session.retire(self._retire_seconds)
        finally:
            self._retire_seconds = None

    async def _process(self, command: Command) -> None:
        """Take a command to its end, or hand it on; no failure of it ends the actor."""
        self.busy = True
        try:
            await self._try(command)
        except trio.Cancelled:  # also where a failure was being dealt with
            command.fail(_lost() if self._done_here.cancel_called else _stopped())
            raise
        finally:
            if isinstance(command, Execute):
                del self.executions[command.execution.id]
            self.busy = False
            self.last_used = trio.current_time()
            self._host.places.done_with_a_job(self)

    async def _try(self, command: Command) -> None:
        try:
            await self._carry_out(command)
        except (NodeFenced, NotOwner) as error:
            command.fail(error)
            self.lose()
        except AppendConflict as error:
            await self._session.reload()
            if not isinstance(command, Execute) or not await self._host.was_recorded(command):
                _log.error("session %s was written to by somebody else: %s", self.name, error)
                command.fail(error)
        except (RequestError, StoreFull) as error:  # raised before anything was done: the worker is as it was
            command.fail(error)
        except EngineError as error:
            self._worker.sleep()
            command.fail(error)
        except Exception:  # noqa: BLE001 - one session's bug must not end the others
            _log.exception("%s failed inside the engine in session %s", type(command).__name__, self.name)
            await self._session.reload()
            command.fail(EngineError("the engine failed: what was logged then has the details"))

    async def _carry_out(self, command: Command) -> None:
        session = self._session
        match command:
            case Execute():
                command.execution.passed("queued_us")
                point = await session.elsewhere(command.submission)
                if point is not None:
                    self._host.branch(self.owner, point, command)
                else:
                    await session.execute(command)
            case Fork():
                point = session.fork_point()
                if point is not None:
                    self._host.branch(self.owner, point, command)
                else:
                    command.answer(await session.begin(command))
            case Delete():
                command.answer(await session.close(command))
            case Accept():
                command.answer(await session.accept(command))
            case Tag():
                command.answer(await session.tag(command))
            case Bury():
                command.answer(await session.bury(command))
            case Keep():
                await session.keep(command)
            case Look() if command.wanted:
                command.answer(await session.look(command.preview_chars))
            case Look():
                command.fail(Busy("nobody waited for the variables any more"))


def _stopped() -> EngineError:
    return Unavailable("the server stopped before this was done")


def _lost() -> EngineError:
    return NodeFenced(
        "this node of the cluster lost the session before this was done, and nothing of it was recorded: "
        "try again, with the same idempotency key if there was one"
    )
