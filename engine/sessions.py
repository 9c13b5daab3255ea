"""The sessions in use: one actor each, found by owner and name, started and ended as needed."""

from __future__ import annotations

import logging
import secrets
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager

import trio

from engine.actor import SessionActor
from engine.catalog import Catalog
from engine.checkpointer import Checkpointer
from engine.commands import Bury, Command, Execute, Fork
from engine.errors import Busy, Conflict, Elsewhere, EngineError, InvalidField, NotFound, Unavailable
from engine.execution import Execution
from engine.history import position_named
from engine.idempotency import reused
from engine.limits import LimitPolicy
from engine.nodes import Nodes
from engine.owners import Owners
from engine.places import Places
from engine.recovery import Recovered
from engine.restoring import Ready
from engine.scheduler import Scheduler
from engine.session import GIVEN_NAME, ForkPoint, check_name
from engine.space import Space
from engine.workers import Workers
from persistence.blobstore import BlobStore
from persistence.eventlog import EventLog

_log = logging.getLogger(__name__)


_LETTERS = b"abcdefghijklmnopqrstuvwxyz234567" * 8
"""Of base 32, one for each value of a byte."""


class Sessions:
    """The actors of one log, and what an actor needs (``engine.actor.Host``)."""

    def __init__(
        self,
        nursery: trio.Nursery,
        workers: Workers,
        places: Places,
        scheduler: Scheduler,
        log: EventLog,
        policy: LimitPolicy,
        blobs: BlobStore,
        checkpointer: Checkpointer,
        space: Space,
        owners: Owners,
        recovered: Callable[[Recovered], None],
        nodes: Nodes,
        *,
        idle_seconds: float,
        restore_target_seconds: float,
        max_recovery_seconds: float,
        forgets: bool,
    ) -> None:
        self.log = log
        self.blobs = blobs
        self.policy = policy
        self.places = places
        self.scheduler = scheduler
        self.checkpointer = checkpointer
        self.space = space
        self.owners = owners
        self.recovered = recovered
        self.restore_target_seconds = restore_target_seconds
        self.max_recovery_seconds = max_recovery_seconds
        self.forgets = forgets
        self.catalog = Catalog(log, self.actor, nodes.fresh, nodes.node_of)
        self._nursery = nursery
        self.nodes = nodes
        self._workers = workers
        self._idle_seconds = idle_seconds
        self._actors: dict[tuple[str, str], SessionActor] = {}
        self.ready: dict[tuple[str, str], Ready] = {}
        """Workers for sessions that are about to be this node's (``engine.handover``)."""
        self._arriving: set[tuple[str, str]] = set()
        """Owners and names of sessions that are being imported."""
        self._ended = 0
        """How many actors and imports have ended: what was read of their sessions before may be outdated."""

    @property
    def engine_id(self) -> str:
        """Names V8, its flags and the base image."""
        return self._workers.engine_id

    @property
    def image_id(self) -> str:
        """Names the engine and the bytes of the base image."""
        return self._workers.image_id

    @property
    def actors(self) -> Collection[SessionActor]:
        """The actors there are now."""
        return self._actors.values()

    async def submit(self, command: Execute, *, here: bool = False) -> None:
        """Post a submission to its session, a new one if need be; unless ``here``, to where that is.

        Raises NotFound, InvalidField, TooManySessions, Busy, Unavailable; Elsewhere if it has to be here.
        """
        try:
            await self._submit(command, here=here)
        except Elsewhere:
            if here:
                raise
            self.nodes.forward(command, command.submission.owner, command.execution.session)

    async def _submit(self, command: Execute, *, here: bool) -> None:
        asked, execution = command.submission, command.execution
        name = asked.session
        if name is None and asked.heap is None:
            if not here:
                self.nodes.place(asked)
            self.owners.check(asked.owner)
            execution.session = given_name()
            self._start(SessionActor(self, asked.owner, execution.session, None)).post(command)
            return
        if name is None:
            assert asked.heap is not None
            name = await self.catalog.session_with(asked.owner, asked.heap)
        execution.session = name
        actor = await self._actor(asked.owner, name, here=here)
        if actor is None:
            if GIVEN_NAME.fullmatch(name):
                raise NotFound(f"there is no session {name}", field="session")
            if asked.at is not None or asked.heap is not None:
                raise NotFound(f"there is no session {name} to go on from", field="session")
            self.owners.check(asked.owner)
            actor = self._start(SessionActor(self, asked.owner, name, None))
        actor.post(command)

    async def bury(self, owner: str, name: str, command: Bury) -> None:
        """Post to a session here, a new one if need be. Raises Elsewhere, Busy, Unavailable."""
        actor = await self._actor(owner, name, here=True)
        (actor or self._start(SessionActor(self, owner, name, None))).post(command)

    def under_way(self, owner: str, name: str) -> list[Execution]:
        """The executions that wait or run in a session, in their order."""
        actor = self._actors.get((owner, name))
        if actor is None:
            return []
        return [execution for execution in actor.executions.values() if not execution.done]

    async def post(self, owner: str, name: str, command: Command, *, here: bool = False) -> None:
        """Post to a session that is there; unless ``here``, to where it is.

        Raises NotFound, Busy, Unavailable; Elsewhere if it has to be here.
        """
        try:
            actor = await self._actor(owner, name, here=here)
        except Elsewhere:
            if here:
                raise
            self.nodes.forward(command, owner, name)
            return
        if actor is None:
            raise NotFound(f"there is no session {name}", field="session")
        actor.post(command)

    async def post_unused(self, owner: str, name: str, command: Command) -> bool:
        """Post to a session that is there and not in use; whether it was."""
        if (owner, name) in self._actors:
            return False
        try:
            actor = await self._actor(owner, name, here=True)
        except Elsewhere:
            return False
        if actor is None or not actor.idle or actor.awake:
            return False
        actor.post(command)
        return True

    async def at_rest(self, owner: str, name: str, point: ForkPoint) -> bool:
        """Whether the session is in that state and has nothing to do."""
        position = await position_named(self.log, owner, name)
        actor = self._actors.get((owner, name))
        return position is not None and position.state_id == point.id and (actor is None or actor.idle)

    @asynccontextmanager
    async def arriving(self, owner: str, name: str) -> AsyncIterator[None]:
        """Nobody else begins or uses a session of that name in the block, since it is being imported.

        It counts as its owner's, unless the block raises. Raises Conflict, TooManySessions, Unavailable.
        """
        token = await self._claim_free(owner, name)
        try:
            if (owner, name) in self._actors or (owner, name) in self._arriving:
                raise _being_made(name)
            self.owners.add(owner)
            self._arriving.add((owner, name))
            try:
                yield
            except BaseException:
                self.owners.remove(owner)
                raise
            finally:
                self._arriving.remove((owner, name))
                self._ended += 1
        finally:
            self.nodes.release(owner, name, token)

    async def _claim_free(self, owner: str, name: str) -> int:
        """Claim a name that no session has; one that was used a moment ago may linger at another node.

        Raises Conflict, Unavailable.
        """
        try:
            return await self.nodes.claim(owner, name, here=True)
        except Elsewhere:
            await self.nodes.fresh(owner)
            if await position_named(self.log, owner, name) is not None:
                raise Conflict(
                    f"there is another session {name} here: delete it first", field="session"
                ) from None
            await self.nodes.fetch(owner, name)
        try:
            return await self.nodes.claim(owner, name, here=True)
        except Elsewhere as other:
            raise _being_made(name) from other

    async def check_free(self, owner: str, name: str) -> None:
        """Raises InvalidField unless a client may give that name to a fork, Conflict if it is taken."""
        if GIVEN_NAME.fullmatch(check_name(name, field="into")):
            raise InvalidField("names of this form are given by the server: choose another", field="into")
        # Nothing is claimed: it may be another node that makes the fork.
        await self.nodes.fresh(owner, name)
        is_there = await position_named(self.log, owner, name) is not None
        if is_there or (owner, name) in self._actors or (owner, name) in self._arriving:
            raise _taken(name)

    def branch(self, owner: str, point: ForkPoint, command: Execute | Fork) -> None:
        """Post ``command`` to a new session that begins at ``point``. Raises TooManySessions, Conflict."""
        self.owners.check(owner)
        if isinstance(command, Fork):
            origin: str | None = command.session
            name = command.into
        else:
            origin, name = command.execution.session, given_name()
            command.execution.move(name)
        if (owner, name) in self._actors or (owner, name) in self._arriving:
            raise _taken(name)
        self._start(SessionActor(self, owner, name, None, point), origin=origin).post(command)

    def lose(self, owner: str, name: str) -> None:
        """This node has the session no more: what is done in it here comes to nothing."""
        if (actor := self._actors.get((owner, name))) is not None:
            actor.lose()

    def actor(self, owner: str, name: str) -> SessionActor | None:
        """The session's actor, if it is in use."""
        return self._actors.get((owner, name))

    async def have(self, owner: str, name: str) -> None:
        """Let the session be this node's for a while, with its worker if one is ready for it.

        Raises Elsewhere, Busy, Unavailable.
        """
        await self._actor(owner, name, here=True)

    async def was_recorded(self, command: Execute) -> bool:
        """Whether another node has recorded it, which was asked for it before or under the same idempotency
        key; it is answered with that then.
        """
        asked = command.submission
        try:
            await self.nodes.fresh(asked.owner)
            record = await self.log.execution(command.execution.id)
            if record is None and asked.idempotency_key is not None:
                record = await self.log.idempotent(asked.owner, asked.idempotency_key)
            if record is None:
                return False
            known = await self.catalog.recorded(record)
        except EngineError as failed:
            _log.warning("session %s: an execution cannot be found again: %s", asked.session, failed.message)
            return False
        if known.request_hash != asked.request_hash:
            command.fail(reused())
        else:
            assert known.report is not None
            command.execution.finish(known.report)
        return True

    async def _actor(self, owner: str, name: str, *, here: bool) -> SessionActor | None:
        """The session's actor; None if there is no such session. Raises Busy while it is being imported, and
        Elsewhere unless it is to be ``here`` also where something else is to be posted before.

        To be used before the next checkpoint: an actor with nothing to do may end there.
        """
        if not here and self.nodes.is_awaited(owner, name):
            raise Elsewhere("what was accepted before comes first")
        while (actor := self._actors.get((owner, name))) is None:
            if (owner, name) in self._arriving:
                raise Busy(f"session {name} is just being imported; try again in a moment", field="session")
            ended = self._ended
            token = await self.nodes.claim(owner, name, here=here)
            try:
                position = await position_named(self.log, owner, name)
            finally:
                self.nodes.release(owner, name, token)
            if (owner, name) not in self._actors and ended == self._ended:
                if position is None:
                    return None
                return self._start(SessionActor(self, owner, name, position), token)
        return actor

    def _start(
        self, actor: SessionActor, token: int | None = None, *, origin: str | None = None
    ) -> SessionActor:
        """``token``: of the claim under which its position was read; ``origin``: name of the session that
        it branches off from.
        """
        self._actors[actor.owner, actor.name] = actor
        self._nursery.start_soon(self._run, actor, token, origin)
        return actor

    async def _run(self, actor: SessionActor, token: int | None, origin: str | None) -> None:
        owner, name = actor.owner, actor.name
        try:
            held = await self._hold(actor, token, origin)
            if held is not None:
                if (ready := self.ready.pop((owner, name), None)) is not None:
                    actor.begin_with(ready)
                try:
                    await actor.work(self._idle_seconds)
                finally:
                    self.nodes.release(owner, name, held)
        finally:
            del self._actors[owner, name]
            self._ended += 1
            actor.ended.set()
            for command in actor.left():
                if actor.is_leaving:
                    self.nodes.forward(command, owner, _where(command, name, origin), was_queued=True)
                else:
                    command.fail(Unavailable("the server stopped before this was begun"))

    async def _hold(self, actor: SessionActor, token: int | None, origin: str | None) -> int | None:
        """Claim a session for its actor; the token of that, None if this node may not have it.

        What is to begin one that another node has, or shall have, goes there; a fork, which cannot, fails.
        """
        try:
            held = await self.nodes.claim(actor.owner, actor.name, here=True)
        except EngineError as refused:
            why = refused
            if isinstance(refused, Elsewhere):
                if token is None and origin is not None:
                    why = await self._why_not(actor.owner, actor.name)
                actor.lose()
            for command in actor.left():
                if isinstance(refused, Elsewhere) and not _begins(command, actor.name):
                    where = _where(command, actor.name, origin)
                    self.nodes.forward(command, actor.owner, where, was_queued=True)
                else:
                    command.fail(why)
            return None
        if token is not None and held != token:  # another node had it in between
            await actor.reload()
        return held

    async def _why_not(self, owner: str, name: str) -> EngineError:
        """Why a fork cannot have a name that another node has, or shall have."""
        try:
            await self.nodes.fresh(owner)
            if await position_named(self.log, owner, name) is not None:
                return _taken(name)
        except EngineError as failed:
            return failed
        return Unavailable(f"another node is just done with the name {name}: try again in a moment")


def _begins(command: Command, name: str) -> bool:
    """Whether it is the fork by that name."""
    return isinstance(command, Fork) and command.into == name


def _where(command: Command, name: str, origin: str | None) -> str:
    """Name of the session under which another node knows what to do with a command of session ``name``, which
    may have been about to branch off from ``origin``.
    """
    if isinstance(command, Fork) and command.into == name:
        return command.session
    if isinstance(command, Execute) and origin is not None and command.submission.session != name:
        return origin
    return name


def given_name() -> str:
    """A new session's name: ``s_`` and 80 random bits."""
    return f"s_{random_id()}"


def random_id() -> str:
    """16 characters, 80 bits."""
    return secrets.token_bytes(16).translate(_LETTERS).decode()


def _taken(name: str) -> Conflict:
    return Conflict(f"there is a session {name} already", field="into")


def _being_made(name: str) -> Conflict:
    return Conflict(f"a session {name} is just being made: try again in a moment", field="session")
