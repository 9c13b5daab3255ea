"""The sessions in use: one actor each, found by owner and name, started and ended as needed."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

import trio

from engine.actor import SessionActor
from engine.catalog import Catalog
from engine.checkpointer import Checkpointer
from engine.commands import Command, Execute, Fork
from engine.errors import Busy, Conflict, InvalidField, NotFound
from engine.execution import Execution
from engine.history import position_named
from engine.limits import LimitPolicy
from engine.owners import Owners
from engine.places import Places
from engine.recovery import Recovered
from engine.scheduler import Scheduler
from engine.session import GIVEN_NAME, ForkPoint, check_name
from engine.space import Space
from engine.workers import Workers
from persistence.blobstore import BlobStore
from persistence.eventlog import EventLog


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
        self.catalog = Catalog(log, lambda owner, name: self._actors.get((owner, name)))
        self._nursery = nursery
        self._workers = workers
        self._idle_seconds = idle_seconds
        self._actors: dict[tuple[str, str], SessionActor] = {}
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

    async def submit(self, command: Execute) -> None:
        """Post a submission to its session, a new one if need be.

        Raises NotFound, InvalidField, TooManySessions, Busy.
        """
        asked, execution = command.submission, command.execution
        name = asked.session
        if name is None and asked.heap is None:
            self.owners.check(asked.owner)
            execution.session = given_name()
            self._start(SessionActor(self, asked.owner, execution.session, None)).post(command)
            return
        if name is None:
            assert asked.heap is not None
            name = await self.catalog.session_with(asked.owner, asked.heap)
        execution.session = name
        actor = await self._actor(asked.owner, name)
        if actor is None:
            if GIVEN_NAME.fullmatch(name):
                raise NotFound(f"there is no session {name}", field="session")
            if asked.at is not None or asked.heap is not None:
                raise NotFound(f"there is no session {name} to go on from", field="session")
            self.owners.check(asked.owner)
            actor = self._start(SessionActor(self, asked.owner, name, None))
        actor.post(command)

    def under_way(self, owner: str, name: str) -> list[Execution]:
        """The executions that wait or run in a session, in their order."""
        actor = self._actors.get((owner, name))
        if actor is None:
            return []
        return [execution for execution in actor.executions.values() if not execution.done]

    async def post(self, owner: str, name: str, command: Command) -> None:
        """Post to a session that is there. Raises NotFound, Busy."""
        actor = await self._actor(owner, name)
        if actor is None:
            raise NotFound(f"there is no session {name}", field="session")
        actor.post(command)

    async def post_unused(self, owner: str, name: str, command: Command) -> bool:
        """Post to a session that is there and not in use; whether it was."""
        if (owner, name) in self._actors:
            return False
        actor = await self._actor(owner, name)
        if actor is None or not actor.idle or actor.awake:
            return False
        actor.post(command)
        return True

    async def at_rest(self, owner: str, name: str, point: ForkPoint) -> bool:
        """Whether the session is in that state and has nothing to do."""
        position = await position_named(self.log, owner, name)
        actor = self._actors.get((owner, name))
        return position is not None and position.state_id == point.id and (actor is None or actor.idle)

    @contextmanager
    def arriving(self, owner: str, name: str) -> Iterator[None]:
        """Nobody else begins or uses a session of that name in the block, since it is being imported.

        It counts as its owner's, unless the block raises. Raises Conflict, TooManySessions.
        """
        if (owner, name) in self._actors or (owner, name) in self._arriving:
            raise Conflict(f"a session {name} is just being made here", field="session")
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

    async def check_free(self, owner: str, name: str) -> None:
        """Raises InvalidField unless a client may give that name to a fork, Conflict if it is taken."""
        if GIVEN_NAME.fullmatch(check_name(name, field="into")):
            raise InvalidField("names of this form are given by the server: choose another", field="into")
        if await self._actor(owner, name) is not None:
            raise _taken(name)

    def branch(self, owner: str, point: ForkPoint, command: Execute | Fork) -> None:
        """Post ``command`` to a new session that begins at ``point``. Raises TooManySessions, Conflict."""
        self.owners.check(owner)
        if isinstance(command, Fork):
            name = command.into
        else:
            name = given_name()
            command.execution.move(name)
        if (owner, name) in self._actors or (owner, name) in self._arriving:
            raise _taken(name)
        self._start(SessionActor(self, owner, name, None, point)).post(command)

    async def _actor(self, owner: str, name: str) -> SessionActor | None:
        """The session's actor; None if there is no such session. Raises Busy while it is being imported.

        To be used before the next checkpoint: an actor with nothing to do may end there.
        """
        while (actor := self._actors.get((owner, name))) is None:
            if (owner, name) in self._arriving:
                raise Busy(f"session {name} is just being imported; try again in a moment", field="session")
            ended = self._ended
            position = await position_named(self.log, owner, name)
            if (owner, name) not in self._actors and ended == self._ended:
                return None if position is None else self._start(SessionActor(self, owner, name, position))
        return actor

    def _start(self, actor: SessionActor) -> SessionActor:
        self._actors[actor.owner, actor.name] = actor
        self._nursery.start_soon(self._run, actor)
        return actor

    async def _run(self, actor: SessionActor) -> None:
        try:
            await actor.work(self._idle_seconds)
        finally:
            del self._actors[actor.owner, actor.name]
            self._ended += 1


def given_name() -> str:
    """A new session's name: ``s_`` and 80 random bits."""
    return f"s_{random_id()}"


def random_id() -> str:
    """16 characters, 80 bits."""
    return base64.b32encode(secrets.token_bytes(10)).decode().lower()


def _taken(name: str) -> Conflict:
    return Conflict(f"there is a session {name} already", field="into")
