"""What is asked of the store itself over REST: whether it holds what was written, and what nobody needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from engine.soundness import CheckedSession, CheckedStore
from engine.upkeep import Garbage
from persistence.eventlog import FaultKind
from transports.asgi import JsonAnswer
from transports.rest.routes import LINES, Asked, Content, NoQuery, Route, Tell, json_answer

if TYPE_CHECKING:
    from engine.supervisor import Supervisor


class VerifyBody(Struct, frozen=True, forbid_unknown_fields=True):
    """What is looked at."""

    store: Annotated[
        bool,
        Meta(description="The whole store, with all owners' sessions, if asked by a command on a store"),
    ] = False


class FaultAnswer(Struct, frozen=True, kw_only=True):
    """Something that is not as it was written."""

    kind: FaultKind
    what: str
    first: int | None
    """Number of the first event that it is about; null where it is about the session."""
    last: int | None


class VerifiedSession(Struct, frozen=True, kw_only=True, tag_field="type", tag="session"):
    """A session that was looked at."""

    session: str | None
    """Its name; null if nothing is left that says it."""
    id: str
    """Its internal id: a name can be used again after a deletion."""
    owner: str | None
    deleted: bool
    has_entry: bool
    """Whether there is what it is found by."""
    events: int
    """How many of its own there are."""
    bytes: int
    """Of these."""
    head: int | None
    """Number of its last event."""
    faults: list[FaultAnswer]
    more_faults: int
    """How many are left out."""
    sound_to: int | None
    """Number of the last event whose state a replay can give; null if it can give none."""
    restorable_from: int | None
    """Number of the event from whose checkpoint on states can be had where a replay cannot get there."""
    number: int
    """Which of the sessions it is, from 1."""
    of: int
    """How many there are to look at."""


class VerifyEnd(Struct, frozen=True, kw_only=True, tag_field="type", tag="end"):
    """The last line."""

    sessions: int
    damaged: int
    """Sessions with faults."""
    events: int
    bytes: int
    checkpoints: int
    faults: int
    store_faults: list[str]
    """What is wrong with the store's files as such."""
    sound: bool


class GarbageAnswer(Struct, frozen=True, kw_only=True):
    """What the store has that nobody needs."""

    sessions: int
    """Deleted sessions with events that no other session needs."""
    events: int
    event_bytes: int
    blobs: int
    blob_bytes: int


class GarbageFound(GarbageAnswer, frozen=True, kw_only=True):
    """The same, and what comes to it when the grace period is over."""

    later: GarbageAnswer


class GarbageRemoved(GarbageAnswer, frozen=True, kw_only=True, tag_field="type", tag="removed"):
    """What has been removed so far."""


class GarbageEnd(GarbageAnswer, frozen=True, kw_only=True, tag_field="type", tag="end"):
    """What was removed."""


class Storage:
    """The views."""

    def __init__(self, engine: Supervisor) -> None:
        self._engine = engine

    async def verify(self, asked: Asked[NoQuery, VerifyBody], tell: Tell) -> None:
        """Look at everything, a line for each session."""

        async def one(checked: CheckedSession) -> None:
            await tell(_session(checked))

        await tell(_end(await self._engine.store.check(asked.owner, one, whole=asked.body.store)))

    async def garbage(self, asked: Asked[NoQuery, None]) -> JsonAnswer:
        """What there is to remove."""
        found = await self._engine.store.garbage(asked.owner)
        later = GarbageAnswer(**_amounts(found.later or found))
        return json_answer(GarbageFound(**_amounts(found), later=later))

    async def collect(self, asked: Asked[NoQuery, None], tell: Tell) -> None:
        """Remove it, a line for each step."""

        async def step(removed: Garbage) -> None:
            await tell(GarbageRemoved(**_amounts(removed)))

        await tell(GarbageEnd(**_amounts(await self._engine.store.collect_garbage(asked.owner, step))))


def _amounts(found: Garbage) -> dict[str, int]:
    names = GarbageAnswer.__struct_fields__
    return {name: getattr(found, name) for name in names}


def _session(checked: CheckedSession) -> VerifiedSession:
    audited = checked.audited
    return VerifiedSession(
        session=audited.name,
        id=audited.session,
        owner=audited.owner,
        deleted=audited.closed,
        has_entry=audited.has_entry,
        events=audited.events,
        bytes=audited.size,
        head=audited.head,
        faults=[
            FaultAnswer(kind=fault.kind, what=fault.what, first=fault.first, last=fault.last)
            for fault in checked.faults
        ],
        more_faults=audited.more_faults,
        sound_to=checked.sound_to,
        restorable_from=checked.restorable_from,
        number=checked.number,
        of=checked.of,
    )


def _end(checked: CheckedStore) -> VerifyEnd:
    return VerifyEnd(
        sessions=checked.sessions,
        damaged=checked.damaged,
        events=checked.events,
        bytes=checked.size,
        checkpoints=checked.checkpoints,
        faults=checked.faults,
        store_faults=list(checked.store_faults),
        sound=not checked.faults and not checked.store_faults,
    )


def routes(engine: Supervisor) -> list[Route]:
    """The routes of the store."""
    views = Storage(engine)
    return [
        Route(
            name="verify",
            method="POST",
            path="/api/verify",
            group="store",
            summary="Whether your sessions are stored as they were written",
            text="The hashes of all events and their chains, what is derived from them, and the blobs of "
            "checkpoints. Lines of JSON, one for each session with all that is wrong with it, then one that "
            "says what it came to. Ends when the client goes away. Nothing is run or changed.",
            view=None,
            stream=views.verify,
            body=VerifyBody,
            body_example={},
            answers={200: Content("The lines", VerifiedSession, media=LINES, last=VerifyEnd)},
            errors=(413, 415, 429, 503),
        ),
        Route(
            name="garbage",
            method="GET",
            path="/api/garbage",
            group="store",
            summary="What the store has that nobody needs",
            text="Events of deleted sessions, and blobs that no checkpoint needs. The server removes them by "
            "itself, an hour after the deletion.",
            view=views.garbage,
            answers={200: Content("How much there is", GarbageFound)},
            errors=(429, 503),
        ),
        Route(
            name="collect_garbage",
            method="POST",
            path="/api/gc",
            group="store",
            summary="Remove what nobody needs now",
            text="Lines of JSON that say how much has been removed so far, then one with all of it. What was "
            "deleted less than an hour ago stays. A client that goes away ends it between two steps.",
            view=None,
            stream=views.collect,
            answers={200: Content("The lines", GarbageRemoved, media=LINES, last=GarbageEnd)},
            errors=(429, 503),
        ),
    ]
