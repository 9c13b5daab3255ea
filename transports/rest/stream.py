"""``GET /api/executions/{id}/events``: an execution as server-sent events.

An ASGI application of its own, in front of Quart: a stream has no response timeout, sees its client
leave, and is counted from its first byte to its last.

Each stream reads the console that the execution keeps anyway, at its client's own pace, so that a slow
one holds up nobody; the connection bounds how long a send may take. The id of an event is the number of
console lines up to and with it; that of the last event is ``done``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

import msgspec
import trio
from msgspec import Struct

from engine.errors import InvalidField
from engine.events import Level, Line
from engine.execution import Execution
from transports import answer, errors
from transports.asgi import JsonAnswer, Receive, Scope, Send, cancel_when_gone, header, send_answer
from transports.identity import identity
from transports.rest.executions import execution_id
from transports.rest.routes import NoQuery, decode_query
from transports.settings import DEFAULTS, HttpSettings
from transports.streamplaces import StreamPlaces

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

PATH = re.compile(r"/api/executions/([^/]+)/events")
MAX_STREAMS = 256
"""Streams at once."""
KEEP_ALIVE_SECONDS = 15.0
"""Silence after which a comment is sent."""
_CHUNK = 1 << 16
_RETRY_MS = 1_000
_LAST = "done"
_ALLOWED = "GET, HEAD"
_LINE_ID = re.compile(r"[0-9]{1,9}")
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
]


class ConsoleEvent(Struct, frozen=True):
    """One console line."""

    line: int
    """Its number among the execution's console lines, from 1."""
    level: Level
    text: str
    provisional: bool
    """Whether the execution was not over yet: what it did may still be undone."""


class EventsDoor:
    """Serves the streams of all executions."""

    def __init__(self, engine: Supervisor, settings: HttpSettings = DEFAULTS) -> None:
        self._engine = engine
        self._settings = settings
        self.places = StreamPlaces("event streams")
        self._recorded: WeakValueDictionary[str, Execution] = WeakValueDictionary()
        """Executions that were read from the log, shared by those who follow the same one."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request for a path that PATH matches."""
        who = identity(scope)
        if (full := self.places.refusal(who, MAX_STREAMS)) is not None:
            await send_answer(scope, send, errors.answer(429, full, "busy"))
            return
        with self.places.taken(who):
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] not in ("GET", "HEAD"):
                refusal = errors.method_answer(scope["method"], scope["path"][:200], _ALLOWED)
                await send_answer(scope, send, refusal)
                return
            execution, after = await self._find(scope)
        except Exception as error:  # noqa: BLE001 (the boundary: what is no refusal is logged, and a 500)
            await send_answer(scope, send, errors.failure_answer(error))
            return
        status = 204 if after is None else 200
        headers = [] if after is None else _HEADERS
        await send({"type": "http.response.start", "status": status, "headers": headers})
        if after is not None and scope["method"] == "GET":
            async with trio.open_nursery() as nursery:
                nursery.start_soon(cancel_when_gone, receive, nursery.cancel_scope)
                await _stream(execution, after, send, self._settings.answer_console_bytes)
                nursery.cancel_scope.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _find(self, scope: Scope) -> tuple[Execution, int | None]:
        """The execution, and how many console lines the client has; None if it has everything.

        Raises EngineError.
        """
        match = PATH.fullmatch(scope["path"])
        assert match is not None
        decode_query(NoQuery, scope["query_string"])
        execution = await self._engine.executions.find(identity(scope).owner, execution_id(match[1]))
        if execution.done:
            execution = self._recorded.setdefault(execution.id, execution)
        last = header(scope, b"last-event-id")
        if last == _LAST:
            return execution, None
        if last and _LINE_ID.fullmatch(last) is None:
            raise InvalidField(
                "Last-Event-ID must be the id of an event of this stream", field="Last-Event-ID"
            )
        return execution, int(last or 0)


async def _stream(execution: Execution, after: int, send: Send, console_bytes: int) -> None:
    """Send the events behind line ``after``, up to the last."""
    data = b"retry: %d\n\n" % _RETRY_MS
    while True:
        over = execution.done  # first: what it prints last is there when it is over
        for number in range(after, len(execution.console)):
            data += _line(number + 1, execution.console[number], provisional=not over)
            after = number + 1
            if len(data) >= _CHUNK:
                break
        if data:
            await send({"type": "http.response.body", "body": data, "more_body": True})
        elif over:
            break
        data = b""
        if not over and after >= len(execution.console):
            with trio.move_on_after(KEEP_ALIVE_SECONDS) as quiet:
                await execution.wait_for_line(after)
            if quiet.cancelled_caught:
                data = b": still running\n\n"
    await send({"type": "http.response.body", "body": _end(execution, console_bytes), "more_body": True})


def _line(number: int, line: Line, *, provisional: bool) -> bytes:
    told = ConsoleEvent(number, line.level, line.text, provisional)
    return b"id: %d\nevent: console\ndata: %b\n\n" % (number, msgspec.json.encode(told))


def _end(execution: Execution, console_bytes: int) -> bytes:
    if execution.report is not None:
        return b"id: %b\nevent: done\ndata: %b\n\n" % (
            _LAST.encode(),
            answer.encode(execution, console_bytes),
        )
    return b"id: %b\nevent: failure\ndata: %b\n\n" % (_LAST.encode(), _failure(execution).body)


def _failure(execution: Execution) -> JsonAnswer:
    failure = execution.failure
    assert failure is not None
    return errors.failure_answer(failure)
