"""Executions over REST: the list, one of them, its console, and its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from msgspec.structs import asdict

from engine.errors import InvalidField, NotFound
from engine.execution import Status
from engine.search import MAX_CALLER_CHARS, MAX_TEXT_CHARS, Search
from transports import answer
from transports.answer import Answer, Time, microseconds
from transports.asgi import JsonAnswer
from transports.execute import MAX_WAIT
from transports.paging import page
from transports.request import EXECUTION_ID
from transports.rest.routes import Asked, Content, NoQuery, Route, json_answer
from transports.rest.shapes import (
    CancelAnswer,
    ExecutionsAnswer,
    Limit,
    OutputAnswer,
    SessionName,
    listed_execution,
)

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

CANCEL_SECONDS = 2.0
"""Time that a cancel waits for the execution to be over."""
DEFAULT_PAGE = 100
_EVENT = {
    "type": "object",
    "description": "One server-sent event",
    "properties": {
        "id": {"type": "string", "pattern": "^([0-9]+|done)$"},
        "event": {"enum": ["console", "done", "failure"]},
        "data": {"type": "string", "contentMediaType": "application/json"},
    },
}

Cursor = Annotated[
    str,
    Meta(
        description="`next` of the page before",
        pattern=r"^(r[0-9]{1,18}\.e_[A-Za-z0-9_]{1,32}|d[0-9]{0,18})$",
    ),
]


_DATE_TIME = {"format": "date-time"}
"""Of a string: one that is a number would be a time, too, if the field were of that type."""


class ListQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which executions."""

    session: SessionName | UnsetType = UNSET
    status: Status | UnsetType = UNSET
    limit: Limit = DEFAULT_PAGE
    after: Cursor | UnsetType = UNSET
    text: (
        Annotated[
            str,
            Meta(
                description="Only those with that in code, input, a console line, result or error",
                min_length=1,
                max_length=MAX_TEXT_CHARS,
            ),
        ]
        | UnsetType
    ) = UNSET
    ignore_case: Annotated[bool, Meta(description="Whether `text` may be there in other cases")] = False
    since: (
        Annotated[str, Meta(description="Only those that began then or later", extra_json_schema=_DATE_TIME)]
        | UnsetType
    ) = UNSET
    until: (
        Annotated[str, Meta(description="Only those that began before", extra_json_schema=_DATE_TIME)]
        | UnsetType
    ) = UNSET
    caller: (
        Annotated[
            str,
            Meta(
                description="Only those with that in the name of the client, or of its subject",
                min_length=1,
                max_length=MAX_CALLER_CHARS,
            ),
        ]
        | UnsetType
    ) = UNSET
    full: Annotated[bool, Meta(description="Whether each has its event, as by its number")] = False

    def search(self) -> Search | None:
        """What they are searched for, if they are. Raises InvalidField."""
        wanted = Search(
            text=self.text or None,
            ignore_case=self.ignore_case,
            since=_microseconds(self.since, "since"),
            until=_microseconds(self.until, "until"),
            caller=self.caller or None,
        )
        return None if wanted == Search(ignore_case=self.ignore_case) else wanted


class ShowQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """How long to wait."""

    wait: Annotated[float, Meta(description="Seconds to wait for the end, at most 300", ge=0)] = 0.0


class OutputQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """Which part of the console: from a line or from a byte, not both."""

    line_offset: Annotated[int, Meta(description="First line, counted from 1", ge=0)] | UnsetType = UNSET
    line_limit: Annotated[int, Meta(description="Most lines of the page", ge=1)] | UnsetType = UNSET
    byte_offset: Annotated[int, Meta(description="First byte, counted from 0", ge=0)] | UnsetType = UNSET
    byte_limit: Annotated[int, Meta(description="Most bytes of the page", ge=1)] | UnsetType = UNSET


class Executions:
    """The views."""

    def __init__(self, engine: Supervisor, console_bytes: int) -> None:
        self._engine = engine
        self._console_bytes = console_bytes

    async def list(self, asked: Asked[ListQuery, None]) -> JsonAnswer:
        """The owner's executions, newest first."""
        query = asked.query
        found = await self._engine.executions.page(
            asked.owner,
            session=query.session or None,
            status=query.status or None,
            limit=query.limit,
            after=query.after or None,
            search=query.search(),
        )
        entries = [listed_execution(one, full=query.full) for one in found.items]
        return json_answer(ExecutionsAnswer(entries, found.next))

    async def show(self, asked: Asked[ShowQuery, None]) -> JsonAnswer:
        """One execution."""
        execution = await self._engine.executions.find(asked.owner, execution_id(asked.path["id"]))
        await execution.wait(min(asked.query.wait, MAX_WAIT))
        return JsonAnswer(200, answer.encode(execution, self._console_bytes))

    async def output(self, asked: Asked[OutputQuery, None]) -> JsonAnswer:
        """A page of its console."""
        execution = await self._engine.executions.find(asked.owner, execution_id(asked.path["id"]))
        await execution.wait(0)
        query = asked.query
        lines = execution.console if execution.report is None else execution.report.console
        part = page(
            lines,
            line_offset=None if query.line_offset is UNSET else max(query.line_offset, 1),
            line_limit=query.line_limit or None,
            byte_offset=None if query.byte_offset is UNSET else query.byte_offset,
            byte_limit=query.byte_limit or None,
        )
        told = asdict(part)
        # a client that follows a running execution goes on from here, even where there is no more yet
        told["next_line_offset"] = part.next_line_offset or part.end_line + 1
        told["next_byte_offset"] = part.end_byte
        return json_answer(OutputAnswer(execution_id=execution.id, status=execution.status, **told))

    async def cancel(self, asked: Asked[NoQuery, None]) -> JsonAnswer:
        """Ask for its end."""
        name = execution_id(asked.path["id"])
        was_over = (await self._engine.executions.find(asked.owner, name)).done
        execution = await self._engine.executions.cancel(asked.owner, name)
        await execution.wait(CANCEL_SECONDS)
        told = answer.describe(execution, self._console_bytes)
        ok = not was_over and told.status in ("running", "cancelled")
        place = () if execution.report else (("location", f"/api/executions/{execution.id}"),)
        return json_answer(CancelAnswer(ok=ok, **asdict(told)), 200 if execution.report else 202, *place)


def _microseconds(text: str | UnsetType, field: str) -> int | None:
    """A time in microseconds since the epoch. Raises InvalidField."""
    if isinstance(text, UnsetType):
        return None
    try:
        return microseconds(msgspec.convert(text, Time))
    except msgspec.ValidationError:
        raise InvalidField(
            f"`{field}` must be a time with its zone, such as 2026-11-28T23:00:00Z", field=field
        ) from None


def execution_id(text: str) -> str:
    """``text`` if it can be an execution's id. Raises NotFound."""
    if EXECUTION_ID.fullmatch(text) is None:
        raise NotFound("no such execution: an id is e_ and 16 characters", field="execution_id")
    return text


def routes(engine: Supervisor, console_bytes: int) -> list[Route]:
    """The routes of executions, but for ``POST /api/exec``."""
    views = Executions(engine, console_bytes)
    group, one = "executions", "/api/executions/{id}"
    return [
        Route(
            name="list_executions",
            method="GET",
            path="/api/executions",
            group=group,
            summary="List executions, newest first",
            text="Those that wait or run come first; those of deleted sessions are left out. A page of a "
            "search (`text`, `since`, `until`, `caller`) ends after a while, whatever it has found: go on "
            "with `next`.",
            view=views.list,
            query=ListQuery,
            answers={200: Content("A page of executions", ExecutionsAnswer)},
            errors=(404, 429),
        ),
        Route(
            name="get_execution",
            method="GET",
            path=one,
            group=group,
            summary="Status and outcome of an execution",
            view=views.show,
            query=ShowQuery,
            answers={200: Content("The execution, over or not", Answer)},
            errors=(404, 503),
        ),
        Route(
            name="get_execution_output",
            method="GET",
            path=f"{one}/output",
            group=group,
            summary="A page of an execution's console",
            text="While it runs too. A page has at most 64,000 bytes and holds whole lines, unless a single "
            "line is longer: then go on from `next_byte_offset`.",
            view=views.output,
            query=OutputQuery,
            answers={200: Content("The page", OutputAnswer)},
            errors=(404, 503),
        ),
        Route(
            name="follow_execution",
            method="GET",
            path=f"{one}/events",
            group=group,
            summary="Follow an execution as server-sent events",
            text="A `console` event for each line, as it is printed, then one `done` event with the "
            "execution object, or `failure` with an error object; then the stream ends. While the execution "
            "is not over, its lines are marked `provisional`. A client that comes back with `Last-Event-ID` "
            "misses nothing; after the last event it gets 204.",
            view=None,
            answers={
                200: Content("The stream", media="text/event-stream", schema=_EVENT),
                204: Content("There is nothing after Last-Event-ID", media=None),
            },
            errors=(404, 429, 503),
        ),
        Route(
            name="cancel_execution",
            method="POST",
            path=f"{one}/cancel",
            group=group,
            summary="Stop an execution and undo it",
            text="One that is over stays as it is.",
            view=views.cancel,
            answers={
                200: Content("It is over: `ok` says whether by this", CancelAnswer),
                202: Content("It is not over within 2 s", CancelAnswer),
            },
            errors=(404, 503),
        ),
    ]
