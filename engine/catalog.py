"""What can be asked about sessions, their events and executions without running anything."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from contextlib import aclosing
from typing import Literal, Protocol

from msgspec import Struct
from msgspec.structs import replace

from engine import labels, outcomes
from engine.chain import Record
from engine.checkpoints import Checkpoint
from engine.errors import InvalidField, NotFound, StoreCorrupt
from engine.events import STATE_EVENTS, Aborted, ErrorDetail, Executed
from engine.execution import Execution, Status, first_line
from engine.history import history, lineage, state_at
from engine.isolate.wire import Global
from engine.replay import Diverged, Divergence, ReplayFailed
from engine.search import Search
from engine.session import ForkPoint, check_heap
from persistence.eventlog import EventLog, Page, SessionRow

MAX_PAGE = 1_000
"""Entries of a page, whatever a client asks for."""
PAGE_BYTES = 4 << 20
"""A page of events ends after the one that brings its size to this."""
ERROR_CHARS = 200

SessionStatus = Literal["ok", "diverged", "failed"]
"""Whether a session's history can be replayed."""


class Progress(Struct, frozen=True):
    """How far a recovery is."""

    event: int
    """The event whose state was reached."""
    target: int
    """The one whose state is wanted."""


class SessionInfo(Struct, frozen=True, kw_only=True):
    """A session as its owner sees it."""

    name: str
    head_seq: int
    """Number of its last event of any kind."""
    state_seq: int
    """Number of the event that made its state."""
    heap: str
    """64 hex digits: that state."""
    created_at: int
    """Microseconds since the epoch."""
    last_at: int
    """When its last event began, microseconds since the epoch."""
    events: int
    """How many events led here, those before a fork included."""
    awake: bool
    """Whether it has a worker now."""
    running: int
    """Requests that wait for their turn in it or have it now."""
    tags: dict[int, dict[str, str]]
    """Labels, by the number of the state event that they are on; in a list at most ``labels.LISTED``."""
    more_tags: bool
    """Whether there are more labels."""
    forked_from: str | None
    """``name@n`` of its parent, as that was called."""
    status: SessionStatus
    """Whether its history can be replayed, as far as was found out since it was last idle for long."""
    divergence: Divergence | None
    """Where it diverged."""
    failed_event: int | None
    """Number of the event whose replay kills workers."""
    drift: int
    """Events recorded by other engines whose texts a replay gave otherwise, as far as was found out."""
    checkpoint: Checkpoint | None
    """Its newest; a fork has none of its own until one is made."""
    checkpoint_declined: str | None
    """Why there was none at the last attempt, as long as the session is in use."""
    recovering: Progress | None
    """How far it is rebuilt, while that goes on."""
    size: int | None = None
    """Bytes of its own events, where that was asked for."""
    node: str | None = None
    """The node that has it, as far as this one has seen; None: none has, or there is no cluster."""


class ExecutionSummary(Struct, frozen=True, kw_only=True):
    """An execution in a list."""

    execution_id: str
    session: str | None
    """The session's name; None in stateless mode."""
    event: int | None
    """Number of its event, once there is one."""
    status: Status
    started_at: int
    """Microseconds since the epoch; while it is not over, when it was accepted."""
    duration_us: int | None
    code: str
    """Its first line that is not blank, at most 120 characters."""
    error: str | None
    """Name and message, at most ERROR_CHARS."""
    record: Record | None = None
    """What the log has of it, once it has."""


class StateView(Struct, frozen=True, kw_only=True):
    """The variables of a session at some point."""

    session: str
    """The session's name."""
    event: int
    """Number of the event that made this state."""
    heap: str
    globals: tuple[Global, ...]
    more: int
    """How many variables were left out."""


class Presence(Protocol):
    """What the engine knows of a session that is in use (engine.actor.SessionActor)."""

    @property
    def awake(self) -> bool:
        """Whether it has a worker."""
        ...

    @property
    def pending(self) -> int:
        """Requests queued or being worked on."""
        ...

    @property
    def status(self) -> SessionStatus:
        """Whether its history could be replayed."""
        ...

    @property
    def broken(self) -> Diverged | ReplayFailed | None:
        """Why not."""
        ...

    @property
    def drift(self) -> int:
        """Events whose texts a replay gave otherwise."""
        ...

    @property
    def checkpoint_declined(self) -> str | None:
        """Why the last attempt at a checkpoint gave none."""
        ...

    @property
    def recovering(self) -> Progress | None:
        """How far it is rebuilt, while that goes on."""
        ...


class Catalog:
    """Answers from the log, with what is known of the sessions in use. Raises StoreError, too.

    A session that is not there, or is somebody else's, is NotFound.
    """

    def __init__(
        self,
        log: EventLog,
        present: Callable[[str, str], Presence | None],
        fresh: Callable[[str, str | None], Awaitable[None]],
        node_of: Callable[[str, str], str | None],
    ) -> None:
        self._log = log
        self._node_of = node_of
        self._present = present
        self._fresh = fresh

    async def sessions(
        self, owner: str, limit: int, after: str | None, tag: str | None, *, sizes: bool
    ) -> Page[SessionInfo]:
        """An owner's sessions, last used first."""
        page = await self._log.sessions(owner, limit=page_size(limit), after=after, tag=tag)
        infos = await self._describe(page.items, most_tags=labels.LISTED)
        if sizes:
            pairs = zip(page.items, infos, strict=True)
            infos = tuple([replace(info, size=await self._log.size(row.session)) for row, info in pairs])
        return Page(infos, page.next)

    async def session(self, owner: str, name: str) -> SessionInfo:
        """The session of that name."""
        return (await self._describe([await self.row(owner, name)]))[0]

    async def info(self, session: str) -> SessionInfo:
        """The session with that internal id, open or closed."""
        return (await self._describe([await self._entry(session)]))[0]

    async def events(self, owner: str, name: str, first: int, limit: int) -> Page[Record]:
        """Events from number ``first`` on, those before a fork included.

        A page ends before one that is damaged; a page that would begin with that raises StoreCorrupt.
        """
        row = await self.row(owner, name)
        last = min(row.head_seq, max(first, 0) + page_size(limit) - 1)
        records: list[Record] = []
        size = 0
        try:
            async with aclosing(history(self._log, row.session, last, max(first, 0))) as found:
                async for record in found:
                    records.append(record)
                    size += len(record.body) + sum(map(len, record.large.values()))
                    if size >= PAGE_BYTES:
                        break
        except StoreCorrupt:
            if not records:
                raise
        more = bool(records) and records[-1].event.seq < row.head_seq
        return Page(tuple(records), str(records[-1].event.seq + 1) if more else None)

    async def event(self, owner: str, name: str, seq: int) -> Record:
        """One event, whatever may be wrong with others."""
        row = await self.row(owner, name)
        if not 0 <= seq <= row.head_seq:
            raise NotFound(f"session {name} has no event {seq}", field="event")
        if (record := await self._log.at(row.session, seq)) is not None:
            return record
        for session, *_ in await lineage(self._log, row.session, seq, seq):  # it is of before a fork
            if (record := await self._log.at(session, seq)) is not None:
                return record
        raise StoreCorrupt(f"session {row.session}, event {seq}: it is missing; the store was altered")

    async def state(self, owner: str, name: str, at: int) -> ForkPoint:
        """The state event that ``name@at`` stands for."""
        return await state_at(self._log, (await self.row(owner, name)).session, at)

    async def session_with(self, owner: str, heap: str) -> str:
        """Name of the session in which a state came about. Raises InvalidField, NotFound."""
        return (await self.point_of(owner, heap))[0]

    async def point_of(self, owner: str, heap: str) -> tuple[str, int]:
        """The same, and number of the event that made the state."""
        key = check_heap(heap)
        if (record := await self._log.event(key)) is None:
            await self._fresh(owner, None)
            record = await self._log.event(key)
        row = None
        if record is not None and isinstance(record.event, STATE_EVENTS):
            row = await self._log.session(record.event.session)
        if record is None or row is None or row.closed or row.owner != owner:
            raise NotFound(f"there is no state {heap}", field="heap")
        return row.name, record.event.seq

    async def executions(
        self,
        owner: str,
        session: str | None,
        status: Status | None,
        limit: int,
        after: str | None,
        search: Search | None,
        under_way: Collection[Execution],
    ) -> Page[ExecutionSummary]:
        """Executions, newest first: those of ``under_way``, then what the log has of open sessions.

        One that ends while a client turns pages may be listed twice, but none is missed.
        """
        await self._fresh(owner, session)
        row = None if session is None else await self._log.session_named(owner, session)
        if session is not None and row is None and not under_way:
            raise NotFound(f"there is no session {session}", field="session")
        limit, given = page_size(limit), Page[ExecutionSummary](())
        if after is None or not after.startswith("d"):
            given = in_memory(under_way, status, limit, after, search)
            if given.next is not None:
                return given
            after = "d"
        if status == "running" or (session is not None and row is None):
            return given
        room = limit - len(given.items)
        if room == 0:
            return Page(given.items, "d")
        page = await self._log.executions(
            owner,
            session=None if row is None else row.session,
            status=status,
            limit=room,
            after=after[1:] or None,
            search=search,
        )
        known = {execution.id for execution in under_way}
        recorded = [
            summary for summary in await self._summaries(page.items) if summary.execution_id not in known
        ]
        return Page((*given.items, *recorded), None if page.next is None else f"d{page.next}")

    async def recorded(self, record: Record) -> Execution:
        """The finished execution that a record tells of."""
        event = record.event
        assert isinstance(event, (Executed, Aborted))
        row = await self._entry(event.session)
        heap = record.id
        if isinstance(event, Aborted):
            heap = (await state_at(self._log, event.session, event.seq)).id
        execution = Execution(
            event.execution_id,
            event.owner,
            caller=event.caller,
            accepted_at=event.accepted_at,
            code=event.code,
            idempotency_key=event.idempotency_key,
            request_hash=event.request_hash,
        )
        execution.console.extend(event.console)
        created = await self._began_with(record)
        execution.finish(outcomes.report(event, session=row.name, heap=heap.hex(), created=created))
        return execution

    async def _began_with(self, record: Record) -> bool:
        """Whether the session's first event is just before this one."""
        first = await self._log.first(record.event.session)
        return first is not None and first.event.seq == record.event.seq - 1

    async def _entry(self, session: str) -> SessionRow:
        """The session with that internal id. NotFound if it was deleted so long ago that nothing is left."""
        row = await self._log.session(session)
        if row is None:
            raise NotFound("that session was deleted", field="session")
        return row

    async def row(self, owner: str, name: str) -> SessionRow:
        """What the log knows of the session of that name."""
        await self._fresh(owner, name)
        row = await self._log.session_named(owner, name)
        if row is None:
            raise NotFound(f"there is no session {name}", field="session")
        return row

    async def _describe(
        self, rows: Sequence[SessionRow], *, most_tags: int = labels.MAX_OF_SESSION
    ) -> tuple[SessionInfo, ...]:
        details = await self._log.details([row.session for row in rows], most_tags=most_tags)
        infos = []
        for row in rows:
            origin = details[row.session].forked_from
            present = None if row.closed else self._present(row.owner, row.name)
            broken = None if present is None else present.broken
            infos.append(
                SessionInfo(
                    name=row.name,
                    head_seq=row.head_seq,
                    state_seq=row.state_seq,
                    heap=row.state_id.hex(),
                    created_at=row.created_at,
                    last_at=row.last_at,
                    events=row.head_seq + 1,
                    awake=present is not None and present.awake,
                    running=0 if present is None else present.pending,
                    tags=details[row.session].tags,
                    more_tags=details[row.session].more_tags,
                    forked_from=None if origin is None else f"{origin[0]}@{origin[1]}",
                    status="ok" if present is None else present.status,
                    divergence=broken.divergence if isinstance(broken, Diverged) else None,
                    failed_event=broken.seq if isinstance(broken, ReplayFailed) else None,
                    drift=0 if present is None else present.drift,
                    checkpoint=details[row.session].checkpoint,
                    checkpoint_declined=None if present is None else present.checkpoint_declined,
                    recovering=None if present is None else present.recovering,
                    node=None if row.closed else self._node_of(row.owner, row.name),
                )
            )
        return tuple(infos)

    async def _summaries(self, records: Iterable[Record]) -> list[ExecutionSummary]:
        names: dict[str, str] = {}
        summaries = []
        for record in records:
            event = record.event
            assert isinstance(event, (Executed, Aborted))
            if event.session not in names:
                names[event.session] = (await self._entry(event.session)).name
            summaries.append(
                ExecutionSummary(
                    execution_id=event.execution_id,
                    session=names[event.session],
                    event=event.seq,
                    status=outcomes.status_of(event),
                    started_at=event.at,
                    duration_us=event.duration_us,
                    code=first_line(event.code),
                    error=_short(event.error if isinstance(event, Aborted) else event.outcome.error),
                    record=record,
                )
            )
        return summaries


def page_size(limit: int) -> int:
    """Entries of a page for which ``limit`` was asked. Raises InvalidField."""
    if limit < 1:
        raise InvalidField("`limit` must be at least 1", field="limit")
    return min(limit, MAX_PAGE)


def in_memory(
    executions: Iterable[Execution],
    status: Status | None,
    limit: int,
    after: str | None,
    search: Search | None,
) -> Page[ExecutionSummary]:
    """A page of executions that are held in memory, last accepted first. Raises InvalidField."""
    place = None if after is None else re.fullmatch(r"r(\d{1,18})\.(e_\w+)", after, re.ASCII)
    if after is not None and place is None:
        raise InvalidField("`after` is not what a page gave as `next`", field="after")
    before = None if place is None else (int(place[1]), place[2])
    found = [
        execution
        for execution in executions
        if (status is None or execution.status == status)
        and (search is None or search.finds_held(execution))
        and (before is None or (execution.accepted_at, execution.id) < before)
    ]
    found.sort(key=lambda execution: (execution.accepted_at, execution.id), reverse=True)
    last = found[limit - 1] if len(found) > limit else None
    return Page(
        tuple(map(_summary, found[:limit])), None if last is None else f"r{last.accepted_at}.{last.id}"
    )


def _summary(execution: Execution) -> ExecutionSummary:
    report = execution.report
    return ExecutionSummary(
        execution_id=execution.id,
        session=execution.session,
        event=None if report is None else report.event,
        status=execution.status,
        started_at=execution.accepted_at if report is None else report.started_at,
        duration_us=None if report is None else report.duration_us,
        code=execution.first_line,
        error=None if report is None else _short(report.error),
    )


def _short(error: ErrorDetail | None) -> str | None:
    return None if error is None else f"{error.name}: {error.message}"[:ERROR_CHARS]
