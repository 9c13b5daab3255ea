"""Executions: accepted, once for each idempotency key, and found again: while under way and after that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from functools import partial
from typing import NamedTuple

from engine import acceptance
from engine.admission import Admission
from engine.catalog import ExecutionSummary, in_memory, page_size
from engine.commands import Execute
from engine.errors import Elsewhere, NodeFenced, NodeLost, NotFound, NotOwner, Unavailable
from engine.execution import Execution, Status, Submission
from engine.feed import Feed
from engine.finished import Finished
from engine.idempotency import Key, Keys
from engine.limits import LimitPolicy
from engine.looking import LooksBack
from engine.nodes import Nodes
from engine.observer import Observers
from engine.search import Search
from engine.sessions import Sessions, random_id
from engine.stateless import StatelessRuns
from engine.timestamps import now_us
from persistence.eventlog import Page


class Forwarded(NamedTuple):
    """What another node has called an execution that it hands on."""

    execution_id: str
    accepted_at: int
    """Microseconds since the epoch."""


class Executions:
    """All of one engine. They run in ``sessions``; where there are none, in ``stateless``.

    ``started`` waits until there are workers. A list that searches has the places of ``searches``.
    """

    def __init__(
        self,
        admission: Admission,
        started: Callable[[], Awaitable[None]],
        sessions: Sessions | None,
        stateless: StatelessRuns,
        searches: LooksBack,
        policy: LimitPolicy,
        nodes: Nodes,
        observers: Observers,
        feed: Feed,
    ) -> None:
        self._admission = admission
        self._started = started
        self._sessions = sessions
        self._stateless = stateless
        self._searches = searches
        self._policy = policy
        self._nodes = nodes
        self._observers = observers
        self._feed = feed
        self._keys = Keys(self._recorded_under)
        self._finished = Finished(self._keys.forget)

    async def submit(self, submission: Submission, forwarded: Forwarded | None = None) -> Execution:
        """Accept a submission and queue it; it runs whether or not anybody waits for it.

        The same owner and idempotency key give the same execution. Raises InvalidField, TooLarge,
        NotFound, KeyReused, TooManySessions, Busy, Unavailable or StoreError; nothing was accepted then.
        What another node has ``forwarded`` runs here, or raises Elsewhere.
        """
        acceptance.check(submission, self._policy)
        if self._sessions is None:
            acceptance.check_stateless(submission)
        accept = partial(self._accept, forwarded=forwarded)
        if submission.idempotency_key is None:
            return await accept(submission)
        key = (submission.owner, submission.idempotency_key)
        return await self._keys.once(submission, key, accept)

    async def take(self, command: Execute) -> None:
        """Run here what was accepted and was to be another node's. Raises Elsewhere, NotFound, Busy, ..."""
        if self._sessions is None:
            self._stateless.submit(command.submission, command.execution, here=True)
        else:
            await self._sessions.submit(command, here=True)

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
            if self._sessions is None:
                self._stateless.submit(submission, execution, here=forwarded is not None)
            else:
                await self._sessions.submit(Execute(submission, execution), here=forwarded is not None)
                self._feed.accepted(execution.session)
        except BaseException:
            self._admission.release(execution)
            raise
        if not execution.is_elsewhere:
            self._nodes.accepted(submission, execution)
        return execution

    def _when_done(self, execution: Execution) -> None:
        self._admission.release(execution)
        if self._sessions is None or (execution.failure is not None and not _goes_on(execution)):
            self._finished.add(execution)
        if self._sessions is not None or execution.failure is not None:
            self._keys.forget(execution)  # the log knows it now; what failed may be tried again
        if not execution.is_elsewhere:
            self._observers.executed(execution)
        self._feed.recorded(execution.session)

    # --- looking up ----------------------------------------------------------------------------

    async def find(self, owner: str, execution_id: str) -> Execution:
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

    async def recorded(self, execution_id: str) -> Execution | None:
        """The execution, over, of which the log here has a record. Raises StoreError."""
        if self._sessions is None:
            return None
        record = await self._sessions.log.execution(execution_id)
        return None if record is None else await self._sessions.catalog.recorded(record)

    async def _recorded_under(self, key: Key) -> Execution | None:
        if self._sessions is None:
            return None
        # Of what another node has just recorded the log may not know here: then it refuses this one.
        record = await self._sessions.log.idempotent(*key)
        return None if record is None else await self._sessions.catalog.recorded(record)

    async def promise(self, execution: Execution) -> None:
        """Before a client is told the id of an execution that is not over: let it be known by that whichever
        node is lost. Raises Unavailable.
        """
        if not execution.done:
            await self._nodes.promise(execution)

    async def cancel(self, owner: str, execution_id: str) -> Execution:
        """Ask for the end of an execution; no effect if it is over. Raises NotFound, Unavailable."""
        execution = await self.find(owner, execution_id)
        if execution.is_out_of_reach and not execution.done:
            raise Unavailable("the node that runs this does not answer now, and it goes on: try again")
        if not execution.done:
            execution.cancel()
        return execution

    # --- lists ---------------------------------------------------------------------------------

    async def page(
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
        sessions = self._sessions
        if sessions is None:
            if session is not None:
                raise acceptance.no_sessions()
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
            return await sessions.catalog.executions(owner, session, status, limit, after, search, under_way)

    def under_way(self, owner: str, name: str) -> list[Execution]:
        """The executions that wait or run in a session, in their order, as far as this node knows them."""
        if self._sessions is None:
            raise acceptance.no_sessions()
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


def _goes_on(execution: Execution) -> bool:
    """Whether what became of an execution that failed here is another node's to say."""
    if isinstance(execution.failure, NodeLost):  # by which it is yet to be recorded
        return True
    return execution.is_for_another and isinstance(execution.failure, Elsewhere | NotOwner | NodeFenced)
