"""Sessions over REST: the list, one of them, its events, its state, its labels, forks and its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from engine import labels
from engine.errors import EngineError, NotFound
from engine.looking import MAX_PREVIEW_CHARS, PREVIEW_CHARS
from transports.asgi import JsonAnswer
from transports.rest.executions import DEFAULT_PAGE
from transports.rest.past_shapes import KeptAnswer, kept_answer
from transports.rest.routes import Asked, Content, NoQuery, Route, json_answer
from transports.rest.shapes import (
    EventAnswer,
    EventNumber,
    EventsAnswer,
    Limit,
    SessionAnswer,
    SessionName,
    SessionsAnswer,
    StateAnswer,
    TagKey,
    TagsAnswer,
    TagValue,
    event_answer,
    session_answer,
    state_answer,
    tags_by_event,
)

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

_MAX_DIGITS = 15
FIELDS = {"at": "event", "into": "name"}
"""How a request calls what are arguments to the engine."""

Cursor = Annotated[
    str, Meta(description="`next` of the page before", pattern=r"^[0-9]{1,18}\.[A-Za-z0-9_]{1,64}$")
]


class ListQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which sessions."""

    tag: (
        Annotated[
            str,
            Meta(
                description="Only those with such a label: key or key:value",
                min_length=1,
                max_length=labels.MAX_KEY_CHARS + len(":") + labels.MAX_VALUE_CHARS,
            ),
        ]
        | UnsetType
    ) = UNSET
    limit: Limit = DEFAULT_PAGE
    after: Cursor | UnsetType = UNSET
    sizes: Annotated[
        bool, Meta(description="Whether each has its `bytes`, which takes a look at its log")
    ] = False


class EventsQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which events."""

    first: EventNumber = 0
    limit: Limit = DEFAULT_PAGE
    full: Annotated[bool, Meta(description="Whether each is told in full, as by its number")] = False


class StateQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which state: that after an event, or the current one; and how much of it is told."""

    event: EventNumber | UnsetType = UNSET
    preview_chars: Annotated[
        int, Meta(description="Characters of each variable's preview", ge=1, le=MAX_PREVIEW_CHARS)
    ] = PREVIEW_CHARS


class UntagQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which label of which state."""

    key: TagKey
    event: EventNumber | UnsetType = UNSET


class ForkBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Where to fork, and what to call it."""

    event: EventNumber | None = None
    """The state after that event; null for the current one."""
    name: SessionName | None = None
    """Of the new session; null for a name that the server gives."""


class TagsBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Labels to set on a state, and to take away where the value is null."""

    tags: Annotated[dict[TagKey, TagValue | None], Meta(min_length=1, max_length=labels.MAX_OF_STATE)]
    event: EventNumber | None = None
    """The state after that event; null for the current one."""


class Sessions:
    """The views."""

    def __init__(self, engine: Supervisor) -> None:
        self._engine = engine

    async def list(self, asked: Asked[ListQuery, None]) -> JsonAnswer:
        """The owner's sessions, last used first."""
        query = asked.query
        found = await self._engine.sessions(
            asked.owner,
            limit=query.limit,
            after=query.after or None,
            tag=query.tag or None,
            sizes=query.sizes,
        )
        return json_answer(SessionsAnswer(list(map(session_answer, found.items)), found.next))

    async def show(self, asked: Asked[NoQuery, None]) -> JsonAnswer:
        """One session."""
        return json_answer(session_answer(await self._engine.session(asked.owner, asked.path["name"])))

    async def delete(self, asked: Asked[NoQuery, None]) -> JsonAnswer:
        """End a session."""
        return json_answer(
            session_answer(await self._engine.requests.delete(asked.owner, asked.path["name"], asked.caller))
        )

    async def accept(self, asked: Asked[NoQuery, None]) -> JsonAnswer:
        """Go on in the state that a replay gives."""
        return json_answer(
            session_answer(await self._engine.requests.accept(asked.owner, asked.path["name"], asked.caller))
        )

    async def checkpoint(self, asked: Asked[NoQuery, None]) -> JsonAnswer:
        """Make a checkpoint now."""
        name = asked.path["name"]
        return json_answer(kept_answer(name, await self._engine.requests.checkpoint(asked.owner, name)))

    async def events(self, asked: Asked[EventsQuery, None]) -> JsonAnswer:
        """A page of its log."""
        name, query = asked.path["name"], asked.query
        found = await self._engine.events(asked.owner, name, first=query.first, limit=query.limit)
        events = [event_answer(record, listed=not query.full) for record in found.items]
        following = None if found.next is None else int(found.next)
        return json_answer(EventsAnswer(session=name, events=events, next=following))

    async def event(self, asked: Asked[NoQuery, None]) -> JsonAnswer:
        """One event."""
        number = asked.path["event"]
        if not (number.isascii() and number.isdigit() and len(number) <= _MAX_DIGITS):
            raise NotFound("no such event: events have numbers, from 0", field="event")
        record = await self._engine.event(asked.owner, asked.path["name"], int(number))
        return json_answer(event_answer(record, listed=False))

    async def state(self, asked: Asked[StateQuery, None]) -> JsonAnswer:
        """Its variables at a point."""
        at = None if asked.query.event is UNSET else asked.query.event
        with fields_as_here():
            view = await self._engine.requests.state(
                asked.owner, asked.path["name"], at=at, preview_chars=asked.query.preview_chars
            )
        return json_answer(state_answer(view))

    async def fork(self, asked: Asked[NoQuery, ForkBody]) -> JsonAnswer:
        """A new session that goes on from a point of this one."""
        with fields_as_here():
            made = await self._engine.requests.fork(
                asked.owner,
                asked.path["name"],
                at=asked.body.event,
                into=asked.body.name,
                caller=asked.caller,
            )
        return json_answer(session_answer(made), 201, ("location", f"/api/sessions/{made.name}"))

    async def tags(self, asked: Asked[NoQuery, None]) -> JsonAnswer:
        """The labels of its states."""
        info = await self._engine.session(asked.owner, asked.path["name"])
        return json_answer(TagsAnswer(session=info.name, tags=tags_by_event(info)))

    async def tag(self, asked: Asked[NoQuery, TagsBody]) -> JsonAnswer:
        """Set and take away labels of a state."""
        return await self._tag(asked, dict(asked.body.tags), asked.body.event)

    async def untag(self, asked: Asked[UntagQuery, None]) -> JsonAnswer:
        """Take away a label of a state."""
        at = None if asked.query.event is UNSET else asked.query.event
        return await self._tag(asked, {asked.query.key: None}, at)

    async def _tag(
        self,
        asked: Asked[NoQuery, TagsBody] | Asked[UntagQuery, None],
        tags: dict[str, str | None],
        at: int | None,
    ) -> JsonAnswer:
        with fields_as_here():
            info = await self._engine.requests.tag(
                asked.owner, asked.path["name"], at=at, tags=tags, caller=asked.caller
            )
        return json_answer(TagsAnswer(session=info.name, tags=tags_by_event(info)))


@contextmanager
def fields_as_here(names: Mapping[str, str] = FIELDS) -> Iterator[None]:
    """Errors within name the fields of the request, not the engine's arguments."""
    try:
        yield
    except EngineError as error:
        error.field = names.get(error.field or "", error.field)
        raise


def routes(engine: Supervisor) -> list[Route]:
    """The routes of sessions."""
    views = Sessions(engine)
    one = "/api/sessions/{name}"

    def route(name: str, method: str, path: str, summary: str, text: str = "", **what: object) -> Route:
        return Route(
            name=name,
            method=method,
            path=path,
            group="sessions",
            summary=summary,
            text=text,
            **what,  # type: ignore[arg-type]
        )

    return [
        route(
            "list_sessions",
            "GET",
            "/api/sessions",
            "List sessions, last used first",
            view=views.list,
            query=ListQuery,
            answers={200: Content("A page of sessions", SessionsAnswer)},
        ),
        route(
            "get_session",
            "GET",
            one,
            "A session: where it is, and its labels",
            view=views.show,
            answers={200: Content("The session", SessionAnswer)},
            errors=(404,),
        ),
        route(
            "delete_session",
            "DELETE",
            one,
            "Delete a session",
            "After what waits in it is over. Its name is free again; its forks live on.",
            view=views.delete,
            answers={200: Content("The session as it was last", SessionAnswer)},
            errors=(404, 409, 429, 503),
        ),
        route(
            "list_session_events",
            "GET",
            f"{one}/events",
            "The log of a session",
            "From event 0, those before a fork included. Texts are cut to 2,000 characters; "
            "an event that is asked for by its number has them whole.",
            view=views.events,
            query=EventsQuery,
            answers={200: Content("A page of events", EventsAnswer)},
            errors=(404,),
        ),
        route(
            "get_session_event",
            "GET",
            f"{one}/events/{{event}}",
            "One event of a session",
            view=views.event,
            answers={200: Content("The event", EventAnswer)},
            errors=(404,),
        ),
        route(
            "get_session_state",
            "GET",
            f"{one}/state",
            "The variables of a session, with types and previews",
            "Now, or after event n with `?event=n`. Looking runs no code of the session and changes nothing. "
            "It takes its turn, and at most 45 s: then it is refused, and what runs goes on.",
            view=views.state,
            query=StateQuery,
            answers={200: Content("The variables", StateAnswer)},
            errors=(404, 409, 413, 429, 503),
        ),
        route(
            "fork_session",
            "POST",
            f"{one}/fork",
            "A new session that goes on from a point of this one",
            view=views.fork,
            body=ForkBody,
            body_example={"event": 1, "name": "another"},
            answers={201: Content("The new session", SessionAnswer)},
            errors=(404, 409, 413, 415, 429, 503, 507),
        ),
        route(
            "accept_session",
            "POST",
            f"{one}/accept",
            "Let a diverged session go on in the state that a replay gives",
            "Replays its whole log and records which events gave something else. The states of these and the "
            "events after them cannot be gone back to any more, unless a checkpoint holds them. 409 if the "
            "session has not diverged, or is failed.",
            view=views.accept,
            answers={200: Content("The session, with its new heap", SessionAnswer)},
            errors=(404, 409, 429, 503, 507),
        ),
        route(
            "checkpoint_session",
            "POST",
            f"{one}/checkpoint",
            "Make a checkpoint of a session's state now",
            "Whatever that costs, unless there is one of that state. It takes its turn; the session goes "
            "on, and the answer comes when the checkpoint is kept, or was declined.",
            view=views.checkpoint,
            answers={200: Content("The checkpoint, or why there is none", KeptAnswer)},
            errors=(404, 409, 429, 503, 507),
        ),
        route(
            "get_session_tags",
            "GET",
            f"{one}/tags",
            "The labels of a session's states",
            view=views.tags,
            answers={200: Content("The labels, by event", TagsAnswer)},
            errors=(404,),
        ),
        route(
            "set_session_tags",
            "PUT",
            f"{one}/tags",
            "Label a state of a session",
            "Other labels of the state stay; null takes one away. At most 64 a state.",
            view=views.tag,
            body=TagsBody,
            body_example={"event": 1, "tags": {"stage": "raw"}},
            answers={200: Content("The labels, by event", TagsAnswer)},
            errors=(404, 409, 413, 415, 429, 503, 507),
        ),
        route(
            "delete_session_tag",
            "DELETE",
            f"{one}/tags",
            "Take a label away",
            view=views.untag,
            query=UntagQuery,
            answers={200: Content("The labels that are left, by event", TagsAnswer)},
            errors=(404, 409, 429, 503, 507),
        ),
    ]
