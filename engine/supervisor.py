"""The supervisor: accepts submissions, owns the actors, and shares out the workers.

``engine.opening`` puts it together.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import trio

from engine import acceptance, labels, looking, stateless
from engine.actor import SessionActor
from engine.admission import Admission
from engine.catalog import ExecutionSummary, SessionInfo, StateView, in_memory, page_size
from engine.chain import Record
from engine.checkpointer import Checkpointer
from engine.commands import (
    Accept,
    Bury,
    Change,
    Command,
    Delete,
    Execute,
    Fork,
    Keep,
    Kept,
    Look,
    Request,
    Tag,
)
from engine.errors import (
    Busy,
    Elsewhere,
    EngineError,
    NodeFenced,
    NodeLost,
    NotFound,
    NotOwner,
    Unavailable,
)
from engine.events import Caller
from engine.execution import Execution, Status, Submission
from engine.feed import Feed
from engine.handover import HandOver
from engine.idempotency import Key, Keys
from engine.keptworkers import Isolation, KeptWorkers
from engine.limits import LimitPolicy
from engine.looking import LooksBack
from engine.nodes import Nodes
from engine.observer import Observers
from engine.owners import Owners
from engine.parsing import Parsed, parse
from engine.places import Holder, Places
from engine.scheduler import Scheduler
from engine.search import Search
from engine.sessions import Sessions, given_name, random_id
from engine.space import Space
from engine.storecare import StoreCare
from engine.timestamps import now_us
from engine.timetravel import TimeTravel
from engine.upkeep import Upkeep
from engine.workers import Workers
from persistence.blobstore import BlobStore
from persistence.eventlog import EventLog, Page

if TYPE_CHECKING:
    from cluster.status import Clustering

_log = logging.getLogger(__name__)

_CANCEL_SECONDS = 5.0
"""What a drain gives executions that it cancelled."""


C = TypeVar("C", bound=Accept | Bury | Delete | Fork | Keep | Look | Tag)


class Stores(NamedTuple):
    """Where sessions are kept."""

    log: EventLog
    blobs: BlobStore


class Forwarded(NamedTuple):
    """What another node has called an execution that it hands on."""

    execution_id: str
    accepted_at: int
    """Microseconds since the epoch."""


class Supervisor:
    """The engine's front: everything that transports and the CLI ask of it."""

    def __init__(
        self,
        nursery: trio.Nursery,
        workers: Workers,
        stores: Stores | None,
        policy: LimitPolicy,
        *,
        max_workers: int,
        processors: int,
        max_executions: int,
        idle_seconds: float,
        restore_target_seconds: float,
        max_recovery_seconds: float,
        max_store_bytes: int,
        session_ttl_seconds: float,
        open_sessions: Mapping[str, int],
        looks_back: LooksBack,
        walks: LooksBack,
        searches: LooksBack,
        parses: LooksBack,
        for_command: bool,
        isolation: Isolation,
        observers: Observers,
        nodes: Nodes,
    ) -> None:
        self.policy = policy
        self._nodes = nodes
        self._nursery = nursery
        self._workers = workers
        self.places = Places(workers, nursery, max_workers, self._holders)
        self.scheduler = Scheduler(processors)
        nursery.start_soon(self.scheduler.serve)
        self._registry: Sessions | None = None
        self._checkpointer: Checkpointer | None = None
        self._space = None if stores is None else Space(stores.log, stores.blobs, max_store_bytes)
        self._admission = Admission(max_executions, self._space)
        self._past: TimeTravel | None = None
        self._store: StoreCare | None = None
        self._handing: HandOver | None = None
        self._upkeep: Upkeep | None = None
        self._upkept = trio.CancelScope()
        if stores is not None and self._space is not None:
            log, blobs = stores
            self._checkpointer = Checkpointer(
                nursery, workers, log, blobs, self._space, observers.checkpointed
            )
            self._registry = Sessions(
                nursery,
                workers,
                self.places,
                self.scheduler,
                log,
                policy,
                blobs,
                self._checkpointer,
                self._space,
                Owners(open_sessions, policy.max_owner_sessions),
                observers.recovered,
                nodes,
                idle_seconds=idle_seconds,
                restore_target_seconds=restore_target_seconds,
                max_recovery_seconds=max_recovery_seconds,
                forgets=not for_command,
            )
            self._handing = HandOver(self._registry, self._open_and_started)
            self._past = TimeTravel(self._registry, looks_back, walks, self._open_and_started)
            self._upkeep = Upkeep(
                self._registry,
                log,
                blobs,
                self._space,
                ttl_seconds=session_ttl_seconds,
                is_mine=lambda: nodes.leads,
            )
            self._store = StoreCare(
                self._registry,
                self._upkeep,
                self._admission,
                walks,
                observers.changed,
                for_command=for_command,
            )
            if not for_command:
                nursery.start_soon(self._keep_up, self._upkeep)
        self._keys = Keys(self._recorded_under)
        self._searches, self._parses = searches, parses
        self._finished = stateless.Finished(self._keys.forget)
        self._kept: KeptWorkers | None = None
        if isolation == "context":
            self._kept = KeptWorkers(self.places, nursery)
            nursery.start_soon(self._kept.serve)
        self._observers = observers
        self.feed = Feed()
        self.cluster: Clustering | None = None
        """What the node that this is has joined."""

    # --- what users ask ------------------------------------------------------------------------

    @property
    def stateless(self) -> bool:
        """Whether there are no sessions."""
        return self._registry is None

    @property
    def _sessions(self) -> Sessions:
        if self._registry is None:
            raise acceptance.no_sessions()
        return self._registry

    @property
    def past(self) -> TimeTravel:
        """What can be asked of a session's past. Raises InvalidField where there are no sessions."""
        if self._past is None:
            raise acceptance.no_sessions()
        return self._past

    @property
    def store(self) -> StoreCare:
        """What is done with a store as a whole. Raises InvalidField where there is none."""
        if self._store is None:
            raise acceptance.no_sessions()
        return self._store

    @property
    def engine_id(self) -> str:
        """Names V8, its flags and the base image."""
        return self._workers.engine_id

    async def submit(self, submission: Submission, forwarded: Forwarded | None = None) -> Execution:
        """Accept a submission and queue it; it runs whether or not anybody waits for it.

        The same owner and idempotency key give the same execution. Raises InvalidField, TooLarge,
        NotFound, KeyReused, TooManySessions, Busy, Unavailable or StoreError; nothing was accepted then.
        What another node has ``forwarded`` runs here, or raises Elsewhere.
        """
        acceptance.check(submission, self.policy)
        if self.stateless:
            acceptance.check_stateless(submission)
        accept = partial(self._accept, forwarded=forwarded)
        if submission.idempotency_key is None:
            return await accept(submission)
        key = (submission.owner, submission.idempotency_key)
        return await self._keys.once(submission, key, accept)

    async def execution(self, owner: str, execution_id: str) -> Execution:
        """A running or recorded execution. Raises NotFound; Unavailable where another node may have it."""
        execution = self.held(execution_id) or await self.recorded(execution_id)
        if execution is None:
            execution = await self._nodes.execution(owner, execution_id)
        if execution is None or execution.owner != owner:
            raise NotFound(f"there is no execution {execution_id!r}", field="execution_id")
        return execution

    def held(self, execution_id: str) -> Execution | None:
        """An execution that is under way, or is over and in memory."""
        return self._admission.executions.get(execution_id) or self._finished.get(execution_id)

    async def promise(self, execution: Execution) -> None:
        """Before a client is told the id of an execution that is not over: let it be known by that whichever
        node is lost. Raises Unavailable.
        """
        if not execution.done:
            await self._nodes.promise(execution)

    async def cancel(self, owner: str, execution_id: str) -> Execution:
        """Ask for the end of an execution; no effect if it is over. Raises NotFound, Unavailable."""
        execution = await self.execution(owner, execution_id)
        if execution.is_out_of_reach and not execution.done:
            raise Unavailable("the node that runs this does not answer now, and it goes on: try again")
        if not execution.done:
            execution.cancel()
        return execution

    async def sessions(
        self,
        owner: str,
        *,
        limit: int = 100,
        after: str | None = None,
        tag: str | None = None,
        sizes: bool = False,
    ) -> Page[SessionInfo]:
        """An owner's sessions, last used first; with ``tag`` (key, for any value, or key:value)
        only those with a state so labelled. ``after`` is a page's ``next``. With ``sizes`` each
        says how many bytes its events take. Raises InvalidField.
        """
        if self.stateless:
            return Page(())
        return await self._sessions.catalog.sessions(owner, limit, after, tag, sizes=sizes)

    async def session(self, owner: str, name: str) -> SessionInfo:
        """One session. Raises NotFound."""
        if (info := await self._nodes.session(owner, name)) is not None:
            return info
        return await self._sessions.catalog.session(owner, name)

    async def events(self, owner: str, name: str, *, first: int = 0, limit: int = 100) -> Page[Record]:
        """A session's events from number ``first`` on, those before a fork included. Raises NotFound.

        A page's ``next`` is the number to go on with, in decimal.
        """
        return await self._sessions.catalog.events(owner, name, first, limit)

    async def event(self, owner: str, name: str, seq: int) -> Record:
        """One event of a session or of those that it was forked from. Raises NotFound."""
        return await self._sessions.catalog.event(owner, name, seq)

    async def executions(
        self,
        owner: str,
        *,
        session: str | None = None,
        status: Status | None = None,
        limit: int = 100,
        after: str | None = None,
        search: Search | None = None,
    ) -> Page[ExecutionSummary]:
        """Executions of an owner's sessions, or of one: those under way, then the others, newest first.

        With a ``search``, those that are like that; a page of it may have less than ``limit``, or nothing,
        and a ``next`` all the same.

        Raises NotFound, or InvalidField for an ``after`` that is no page's ``next``; Busy where searches of
        others, or of the owner, go before it for long.
        """
        if self.stateless and session is None:
            held = [*self._admission.executions.values(), *self._finished.reported()]
            mine = (execution for execution in held if execution.owner == owner)
            return in_memory(mine, status, page_size(limit), after, search)
        if session is None:
            under_way = [held for held in self._admission.executions.values() if held.owner == owner]
        else:
            under_way = self.under_way(owner, session)
        if after is None or after.startswith("r"):
            known = {execution.id for execution in under_way}
            others = await self._nodes.under_way(owner, session)
            under_way += [execution for execution in others if execution.id not in known]
        async with nullcontext() if search is None else self._searches.place(owner):
            return await self._sessions.catalog.executions(
                owner, session, status, limit, after, search, under_way
            )

    def under_way(self, owner: str, name: str) -> list[Execution]:
        """The executions that wait or run in a session, in their order, as far as this node knows them."""
        here = self._sessions.under_way(owner, name)
        others = [
            execution
            for execution in self._admission.executions.values()
            if execution.is_elsewhere and (execution.owner, execution.session) == (owner, name)
        ]
        return [*here, *others]

    @property
    def taken(self) -> int:
        """How many executions are under way, or wait, those included that others run for this node."""
        return len(self._admission.executions)

    def running_here(self, owner: str) -> list[Execution]:
        """What an owner has under way on this node."""
        mine = (held for held in self._admission.executions.values() if held.owner == owner)
        return [execution for execution in mine if not execution.is_elsewhere]

    async def delete(self, owner: str, name: str, caller: Caller) -> SessionInfo:
        """End a session after what is queued in it; its name is free then. Its forks live on.

        Like ``accept``, ``fork``, ``tag`` and ``state`` it waits for its turn in the session, is done
        whether or not anybody waits, and raises NotFound, Busy, Unavailable or StoreError.
        """
        return await self._ask(owner, name, Delete(name, caller, self._answered))

    async def accept(self, owner: str, name: str, caller: Caller) -> SessionInfo:
        """Let a diverged session go on in the state that replaying its log gives, which takes a whole replay.

        Raises Conflict if it has not diverged, or its log cannot be replayed.
        """
        return await self._ask(owner, name, Accept(name, caller, self._answered))

    async def fork(
        self, owner: str, name: str, *, at: int | None, into: str | None, caller: Caller
    ) -> SessionInfo:
        """Begin a session, called ``into`` or by a new name, in the state of ``name@at``.

        A point of the past needs no turn. Raises InvalidField, or Conflict if the name is taken.
        """
        if into is not None:
            await self._sessions.check_free(owner, into)
        command = Fork(name, into or given_name(), caller, self._answered)
        if at is None:
            return await self._ask(owner, name, command)
        point = await self._sessions.catalog.state(owner, name, at)
        await self._started()
        with self._admission.asked(command):
            self._sessions.branch(owner, point, command)
        return await self._sessions.catalog.info((await command.result()).session)

    async def point(self, owner: str, heap: str) -> tuple[str, int]:
        """Name of the session in which a state came about, and number of its event.

        Raises InvalidField, NotFound.
        """
        return await self._sessions.catalog.point_of(owner, heap)

    async def tag(
        self, owner: str, name: str, *, at: int | None, tags: dict[str, str | None], caller: Caller
    ) -> SessionInfo:
        """Label the state of ``name@at``; None takes a label away.

        Raises InvalidField, TooLarge, Conflict.
        """
        labels.check(tags)
        return await self._ask(owner, name, Tag(name, at, tags, caller, self._answered))

    async def checkpoint(self, owner: str, name: str) -> Kept:
        """Make a checkpoint of a session's state now, whatever it costs, unless there is one.

        It is begun in its turn in the session, which goes on meanwhile. Raises what ``accept`` does, and
        Conflict where the state cannot be restored.
        """
        command = Keep(self._answered)
        with self._admission.asked(command):
            await self._started()
            await self._sessions.post(owner, name, command)
        return await command.result()

    async def parse(self, submission: Submission) -> Parsed:
        """Whether code is all there, without running it. Raises InvalidField, TooLarge, Busy, Unavailable."""
        acceptance.check(submission, self.policy)
        self._admission.check()
        await self._started()
        async with self._parses.place(
            submission.owner
        ):  # each has a worker, for which a session may go to sleep
            return await parse(self.places, self.scheduler, self.policy, self.engine_id, submission)

    async def state(
        self, owner: str, name: str, *, at: int | None, preview_chars: int = looking.PREVIEW_CHARS
    ) -> StateView:
        """The variables at ``name@at``, with previews of so many characters, at most ``MAX_PREVIEW_CHARS``.

        Nothing of it is recorded. A point of the past needs no turn.

        Raises Conflict where the state cannot be restored, TooLarge where there is too much to describe, or
        to replay for a point of the past, Busy where the session, or a place, does not come to it soon.
        """
        sessions = self._sessions
        preview_chars = min(preview_chars, looking.MAX_PREVIEW_CHARS)
        point = None if at is None else await sessions.catalog.state(owner, name, at)
        if point is None or await sessions.at_rest(owner, name, point):
            view = await self._look(owner, name, preview_chars)
            if point is None or view.heap == point.id.hex():  # else it has moved on meanwhile
                return view
        return await self.past.state(owner, name, point, preview_chars)

    def status(self) -> dict[str, Any]:
        """What ``/readyz`` shows."""
        return {
            "ready": not self._admission.is_closed,
            "status": "draining" if self._admission.is_closed else "ready",
            "engine": self._workers.engine_id,
            "sandbox": self._workers.sandbox,
            "workers": self._workers.live,
            "zygote_pid": self._workers.zygote_pid,
            "sessions": len(self._actors),
            "awake": sum(actor.awake for actor in self._actors),
            "running": len(self._admission.executions),
            "queued": len(self._admission.executions) - self._under_way(),
            "store_bytes": None if self._space is None else self._space.used,
            "max_store_bytes": None if self._space is None else self._space.limit,
            "held": self.scheduler.held,
        }

    @property
    def _actors(self) -> Collection[SessionActor]:
        return () if self._registry is None else self._registry.actors

    def _holders(self) -> Iterable[Holder]:
        return self._actors if self._kept is None else self._kept.unused

    def _under_way(self) -> int:
        """Executions that have left their queue."""
        if self.stateless:
            unused = 0 if self._kept is None else len(self._kept.unused)
            return min(self.places.taken - unused, len(self._admission.executions))
        return min(sum(actor.busy for actor in self._actors), len(self._admission.executions))

    @property
    def is_stopping(self) -> bool:
        """Whether nothing more is accepted."""
        return self._admission.is_closed

    async def drain(self, seconds: float) -> None:
        """Accept nothing more; let what runs end within ``seconds``, cancel and record the rest.

        What is left of the time is for checkpoints.
        """
        deadline = trio.current_time() + seconds
        self._upkept.cancel()
        self._admission.close()
        await self._admission.wait_idle(seconds)
        for execution in list(self._admission.executions.values()):
            execution.cancel()
        await self._admission.wait_idle(_CANCEL_SECONDS)
        if self._checkpointer is not None:
            with trio.move_on_at(deadline):
                await self._put_to_sleep(self._checkpointer)

    async def _put_to_sleep(self, checkpointer: Checkpointer) -> None:
        """Let every session retire, with a checkpoint where that is worth it."""
        awake = [actor for actor in self._actors if actor.awake]
        for actor in awake:
            actor.retire()
        for actor in awake:
            await actor.ended.wait()
        await checkpointer.idle()

    async def _open_and_started(self) -> None:
        self._admission.check()
        await self._started()

    async def _started(self) -> None:
        if not self._workers.has_started:
            await self._workers.start()

    # --- what other nodes ask ------------------------------------------------------------------

    async def take(self, owner: str, name: str | None, command: Command) -> None:
        """Post here what was to be another node's, and was accepted. Raises Elsewhere, NotFound, Busy, ..."""
        if not isinstance(command, Execute):
            assert name is not None  # as of all that is asked of a session
            await self._sessions.post(owner, name, command, here=True)
        elif self._registry is None:
            self._begin_stateless(command.submission, command.execution, here=True)
        else:
            await self._registry.submit(command, here=True)

    async def post(self, owner: str, name: str, make: Callable[[Callable[[Request[Any]], None]], C]) -> C:
        """Post here what another node accepted; the command, which is made with what it tells when it is
        done.

        Raises Elsewhere, NotFound, Busy, Unavailable.
        """
        command = make(self._answered)
        with self._admission.asked(command):
            await self._started()
            if isinstance(command, Bury):
                await self._sessions.bury(owner, name, command)
            else:
                await self._sessions.post(owner, name, command, here=True)
        return command

    async def session_here(self, owner: str, name: str) -> SessionInfo:
        """A session as this node knows it. Raises NotFound."""
        return await self._sessions.catalog.session(owner, name)

    def counted(self, owner: str, change: int) -> None:
        """Another node has begun or closed a session of that owner."""
        self._sessions.owners.note(owner, change)

    def lose(self, owner: str, name: str) -> None:
        """Another node may have the session now."""
        self._sessions.lose(owner, name)

    @property
    def handing(self) -> HandOver:
        """What is done with sessions that go to another node, or come here. Raises InvalidField where there
        are none.
        """
        if self._handing is None:
            raise acceptance.no_sessions()
        return self._handing

    # --- accepting -----------------------------------------------------------------------------

    async def _keep_up(self, upkeep: Upkeep) -> None:
        with self._upkept:
            await upkeep.run()

    async def _accept(self, submission: Submission, *, forwarded: Forwarded | None) -> Execution:
        self._admission.check_to_store()
        await self._started()
        execution = Execution(
            f"e_{random_id()}" if forwarded is None else forwarded.execution_id,
            submission.owner,
            caller=submission.caller,
            accepted_at=now_us() if forwarded is None else forwarded.accepted_at,
            code=submission.code,
            idempotency_key=submission.idempotency_key,
            request_hash=submission.request_hash,
            when_done=self._when_done,
        )
        execution.is_for_another = forwarded is not None
        execution.size = len(submission.code) + len(submission.input or "")
        self._admission.take(execution)
        try:
            if self._registry is None:
                self._begin_stateless(submission, execution, here=forwarded is not None)
            else:
                await self._registry.submit(Execute(submission, execution), here=forwarded is not None)
                self.feed.accepted(execution.session)
        except BaseException:
            self._admission.release(execution)
            raise
        if not execution.is_elsewhere:
            self._nodes.accepted(submission, execution)
        return execution

    def _begin_stateless(self, submission: Submission, execution: Execution, *, here: bool) -> None:
        try:
            if not here:
                self._nodes.place(submission)
        except Elsewhere:
            self._nodes.forward(Execute(submission, execution), submission.owner, None)
        else:
            self._nursery.start_soon(self._run_stateless, submission, execution)

    async def _ask(self, owner: str, name: str, command: Delete | Accept | Fork | Tag) -> SessionInfo:
        """Post a command and wait for it; the session that it made or changed."""
        with self._admission.asked(command):
            await self._started()
            await self._sessions.post(owner, name, command)
        return await self._sessions.catalog.info((await command.result()).session)

    async def _look(self, owner: str, name: str, preview_chars: int) -> StateView:
        """Let the session show its variables, as long as somebody waits for that."""
        look = Look(preview_chars, self._answered)
        with self._admission.asked(look):
            await self._started()
            await self._sessions.post(owner, name, look)
        try:
            with trio.move_on_after(looking.PATIENCE_SECONDS):
                return await look.result()
        finally:
            look.wanted = False
        raise Busy(
            f"session {name} did not come to show its variables within {looking.PATIENCE_SECONDS:g} s, since "
            "it runs code or is being rebuilt: try again later",
            field="session",
        )

    def _answered(self, command: Request[Any]) -> None:
        self._admission.forget(command)
        if isinstance(command, Change):
            if not command.is_elsewhere:
                self._observers.changed(command)
            self.feed.recorded(command.session)
        if isinstance(command, Delete) and self._upkeep is not None:
            self._upkeep.deleted()

    async def _run_stateless(self, submission: Submission, execution: Execution) -> None:
        try:
            await stateless.execute(
                self.places,
                self._kept,
                self.scheduler,
                self.policy,
                self.engine_id,
                submission,
                execution,
            )
        except EngineError as error:
            execution.fail(error)
        except Exception:  # noqa: BLE001 - one execution's bug must not end the server
            _log.exception("execution %s failed inside the engine", execution.id)
            execution.fail(EngineError("the engine failed: what was logged then has the details"))
        finally:
            if not execution.done:
                execution.fail(Unavailable("the server stopped before the execution was over"))

    def _when_done(self, execution: Execution) -> None:
        self._admission.release(execution)
        if self.stateless or (execution.failure is not None and not _goes_on(execution)):
            self._finished.add(execution)
        if not self.stateless or execution.failure is not None:
            self._keys.forget(execution)  # the log knows it now; what failed may be tried again
        if not execution.is_elsewhere:
            self._observers.executed(execution)
        self.feed.recorded(execution.session)

    async def recorded(self, execution_id: str) -> Execution | None:
        """The execution, over, of which the log here has a record. Raises StoreError."""
        record = None if self._registry is None else await self._registry.log.execution(execution_id)
        return None if record is None else await self._sessions.catalog.recorded(record)

    async def _recorded_under(self, key: Key) -> Execution | None:
        # Of what another node has just recorded the log may not know here: then it refuses this one.
        record = None if self._registry is None else await self._registry.log.idempotent(*key)
        return None if record is None else await self._sessions.catalog.recorded(record)


def _goes_on(execution: Execution) -> bool:
    """Whether what became of an execution that failed here is another node's to say."""
    if isinstance(execution.failure, NodeLost):  # by which it is yet to be recorded
        return True
    return execution.is_for_another and isinstance(execution.failure, Elsewhere | NotOwner | NodeFenced)
