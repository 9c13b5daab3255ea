"""The supervisor: an engine as a whole, its parts put together, how it stands and how it ends.

``engine.opening`` opens one. What becomes of an execution is told from ``engine.executions`` on.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import trio

from engine import acceptance
from engine.actor import SessionActor
from engine.admission import Admission
from engine.catalog import SessionInfo
from engine.chain import Record
from engine.checkpointer import Checkpointer
from engine.execution import Submission
from engine.executions import Executions
from engine.feed import Feed
from engine.handover import HandOver
from engine.keptworkers import Isolation, KeptWorkers
from engine.limits import LimitPolicy
from engine.looking import LooksBack
from engine.nodes import Nodes
from engine.observer import Observers
from engine.owners import Owners
from engine.parsing import Parsed, parse
from engine.peers import Peers
from engine.places import Holder, Places
from engine.requests import Requests
from engine.scheduler import Scheduler
from engine.sessions import Sessions
from engine.space import Space
from engine.stateless import StatelessRuns
from engine.storecare import StoreCare
from engine.timetravel import TimeTravel
from engine.upkeep import Upkeep
from engine.workers import Workers
from persistence.blobstore import BlobStore
from persistence.eventlog import EventLog, Page

if TYPE_CHECKING:
    from cluster.status import Clustering

_CANCEL_SECONDS = 5.0
"""What a drain gives executions that it cancelled."""


class Stores(NamedTuple):
    """Where sessions are kept."""

    log: EventLog
    blobs: BlobStore


class Supervisor:
    """The engine's front: everything that transports and the CLI ask of it, or the part that they ask.

    ``executions`` accepts and knows what runs; ``requests``, ``past``, ``store`` and ``peers`` are about
    sessions, and raise InvalidField where there are none.
    """

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
        self._requests: Requests | None = None
        self._peers: Peers | None = None
        self._handing: HandOver | None = None
        self._upkept = trio.CancelScope()
        self.feed = Feed()
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
            upkeep = Upkeep(
                self._registry,
                log,
                blobs,
                self._space,
                ttl_seconds=session_ttl_seconds,
                is_mine=lambda: nodes.leads,
            )
            self._store = StoreCare(
                self._registry,
                upkeep,
                self._admission,
                walks,
                observers.changed,
                for_command=for_command,
            )
            self._requests = Requests(
                self._admission, self._started, self._registry, self._past, upkeep, observers, self.feed
            )
            self._peers = Peers(self._admission, self._started, self._registry, self._requests.answered)
            if not for_command:
                nursery.start_soon(self._keep_up, upkeep)
        self._parses = parses
        self._kept: KeptWorkers | None = None
        if isolation == "context":
            self._kept = KeptWorkers(self.places, nursery)
            nursery.start_soon(self._kept.serve)
        self.executions = Executions(
            self._admission,
            self._started,
            self._registry,
            StatelessRuns(nursery, workers, self.places, self._kept, self.scheduler, policy, nodes),
            searches,
            policy,
            nodes,
            observers,
            self.feed,
        )
        self.cluster: Clustering | None = None
        """What the node that this is has joined."""

    # --- parts ---------------------------------------------------------------------------------

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
    def requests(self) -> Requests:
        """What is asked of sessions beside running code."""
        if self._requests is None:
            raise acceptance.no_sessions()
        return self._requests

    @property
    def past(self) -> TimeTravel:
        """What can be asked of a session's past."""
        if self._past is None:
            raise acceptance.no_sessions()
        return self._past

    @property
    def store(self) -> StoreCare:
        """What is done with a store as a whole."""
        if self._store is None:
            raise acceptance.no_sessions()
        return self._store

    @property
    def peers(self) -> Peers:
        """What other nodes ask about sessions."""
        if self._peers is None:
            raise acceptance.no_sessions()
        return self._peers

    @property
    def handing(self) -> HandOver:
        """What is done with sessions that go to another node, or come here."""
        if self._handing is None:
            raise acceptance.no_sessions()
        return self._handing

    @property
    def engine_id(self) -> str:
        """Names V8, its flags and the base image."""
        return self._workers.engine_id

    # --- what is only read ----------------------------------------------------------------------

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

    async def point(self, owner: str, heap: str) -> tuple[str, int]:
        """Name of the session in which a state came about, and number of its event.

        Raises InvalidField, NotFound.
        """
        return await self._sessions.catalog.point_of(owner, heap)

    async def parse(self, submission: Submission) -> Parsed:
        """Whether code is all there, without running it. Raises InvalidField, TooLarge, Busy, Unavailable."""
        acceptance.check(submission, self.policy)
        self._admission.check()
        await self._started()
        # each has a worker, for which a session may go to sleep
        async with self._parses.place(submission.owner):
            return await parse(self.places, self.scheduler, self.policy, self.engine_id, submission)

    # --- as a whole -----------------------------------------------------------------------------

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

    async def _keep_up(self, upkeep: Upkeep) -> None:
        with self._upkept:
            await upkeep.run()
