"""What a session's past is asked for over REST: to be run again, and what code would say there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from engine.verification import Step
from transports.asgi import JsonAnswer
from transports.request import submission
from transports.rest.past_shapes import (
    EvaluatedAnswer,
    ReplayedEvent,
    ReplayEnd,
    evaluated_answer,
    replay_end,
    replayed_event,
)
from transports.rest.routes import LINES, Asked, Content, NoQuery, Route, Tell, json_answer
from transports.rest.sessions import fields_as_here
from transports.rest.shapes import EventNumber
from transports.rest.submit import Megabytes, Seconds

if TYPE_CHECKING:
    from engine.supervisor import Supervisor


class ReplayQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which events, and how they are judged."""

    first: EventNumber = 0
    """From the state before it on."""
    last: EventNumber | UnsetType = UNSET
    """Without it, to the end."""
    strict: Annotated[
        bool,
        Meta(description="Whether what another engine recorded must come out the same to the letter"),
    ] = False
    changes: Annotated[bool, Meta(description="Whether each line says what the event did to variables")] = (
        False
    )


class EvaluateBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Code, and the point at which it runs."""

    code: Annotated[str, Meta(description="The JavaScript")]
    input: Annotated[Any, Meta(description="Bound to `input` in the code")] = None
    event: EventNumber | None = None
    """In the state after that event; null for the last one that is recorded."""
    execution_timeout_secs: Seconds | None = None
    heap_memory_max_mb: Megabytes | None = None


class History:
    """The views."""

    def __init__(self, engine: Supervisor, console_bytes: int) -> None:
        self._engine = engine
        self._console_bytes = console_bytes

    async def evaluate(self, asked: Asked[NoQuery, EvaluateBody]) -> JsonAnswer:
        """Run code at a point."""
        body, name = asked.body, asked.path["name"]
        fields = msgspec.structs.asdict(body)
        at = fields.pop("event")
        wanted = submission(fields, asked.caller, owner=asked.owner)
        with fields_as_here():
            report = await self._engine.past.evaluate(
                name, msgspec.structs.replace(wanted, session=name, at=at)
            )
        assert report.event is not None
        return json_answer(evaluated_answer(report, name, report.event - 1, self._console_bytes))

    async def replay(self, asked: Asked[ReplayQuery, None], tell: Tell) -> None:
        """Run events again, a line for each."""
        query = asked.query

        async def step(one: Step) -> None:
            await tell(replayed_event(one))

        with fields_as_here({"at": "last"}):
            told = await self._engine.past.walk(
                asked.owner,
                asked.path["name"],
                step,
                first=query.first,
                last=None if query.last is UNSET else query.last,
                strict=query.strict,
                changes=query.changes,
            )
        await tell(replay_end(told))


def routes(engine: Supervisor, console_bytes: int) -> list[Route]:
    """The routes of the past."""
    views = History(engine, console_bytes)
    group, one = "sessions", "/api/sessions/{name}"
    return [
        Route(
            name="evaluate",
            method="POST",
            path=f"{one}/evaluate",
            group=group,
            summary="What code comes to at a point of a session, which stays as it is",
            text="It runs in a worker of its own, in the state after an event, and nothing is recorded. "
            "Going back and running take at most 45 s together.",
            view=views.evaluate,
            body=EvaluateBody,
            body_example={"event": 1, "code": "xs.length"},
            answers={200: Content("What it came to, whatever that is", EvaluatedAnswer)},
            errors=(404, 409, 413, 415, 429, 503),
        ),
        Route(
            name="replay_session",
            method="GET",
            path=f"{one}/replay",
            group=group,
            summary="Run a session's events again, and say of each whether it does what the log says",
            text="Lines of JSON, one for each event that is run, then one that says what it came to; an "
            "error object in its place if it could not go on. Ends when the client goes away. Nothing is "
            "recorded.",
            view=None,
            stream=views.replay,
            query=ReplayQuery,
            answers={200: Content("The lines", ReplayedEvent, media=LINES, last=ReplayEnd)},
            errors=(404, 409, 413, 429, 503),
        ),
    ]
