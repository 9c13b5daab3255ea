"""An execution that a command asks for: begun, followed as it prints, and stopped where it is interrupted."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import click
import msgspec
import trio
from msgspec import Struct

from cli.target.client import Client, read
from cli.target.failures import Failed, Refused
from cli.target.sse import events
from transports.answer import Answer
from transports.errors import STATUS, ErrorBody
from transports.rest.shapes import CancelAnswer
from transports.rest.stream import ConsoleEvent

Tell = Callable[[ConsoleEvent], object]
_HTTP_STATUS = {error.code: status for error, status in STATUS.items()}


class Request(Struct, frozen=True, kw_only=True):
    """What is to be run. What is None is left to whoever runs it."""

    code: str
    session: str | None = None
    """``name`` or ``name@n``."""
    input: msgspec.Raw | None = None
    """JSON."""
    timeout: float | None = None
    """Seconds."""
    heap_mb: int | None = None
    idempotency_key: str | None = None

    def body(self) -> dict[str, Any]:
        """The fields of ``POST /api/exec``."""
        fields = {
            "code": self.code,
            "input": self.input,
            "session": self.session,
            "execution_timeout_secs": self.timeout,
            "heap_memory_max_mb": self.heap_mb,
            "idempotency_key": self.idempotency_key,
        }
        return {name: value for name, value in fields.items() if value is not None}


class Run:
    """One execution of ``client``'s."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._id: str | None = None
        self._is_unwanted = False

    async def begin(self, request: Request) -> Answer:
        """Ask for it; the answer says where it waits or runs. Raises Refused, Failed."""
        headers = {"prefer": "respond-async"}
        begun = await self._client.ask(Answer, "POST", "/api/exec", body=request.body(), headers=headers)
        self._id = begun.execution_id
        if self._is_unwanted:
            await self.cancel()
        return begun

    async def end(self, tell: Tell) -> Answer:
        """What it came to, once it is begun; ``tell`` hears each line before that. Raises Refused, Failed."""
        path = f"/api/executions/{self._id}/events"
        told: Answer | ErrorBody | None = None
        try:
            async with self._client.stream("GET", path) as response:
                async for event in events(response.chunks):
                    match event.kind:
                        case "console":
                            tell(read(event.data, ConsoleEvent))
                        case "done":
                            told = read(event.data, Answer)
                        case "failure":
                            told = read(event.data, ErrorBody)
        except Refused:
            raise
        except Failed as broken:
            raise self._lost(broken.sentence) from broken
        match told:
            case Answer():
                return told
            case ErrorBody(error, code, field):
                raise Refused(_HTTP_STATUS.get(code, 500), error, code, field)
        raise self._lost(f"the connection to {self._client.where} broke")

    def _lost(self, why: str) -> Failed:
        return Failed(f"{why}; what became of {self._id} is in the session's log, if it is there")

    async def cancel(self) -> None:
        """Have it stopped, also if it is not begun yet. Raises Refused, Failed."""
        self._is_unwanted = True
        if self._id is not None:
            await self._client.ask(CancelAnswer, "POST", f"/api/executions/{self._id}/cancel")


async def run(client: Client, request: Request, tell: Tell) -> tuple[Answer, bool]:
    """Run it to its end: what it came to, and whether Ctrl-C asked for that.

    The first one has it stopped, and the next one leaves. Raises KeyboardInterrupt then, Refused, Failed.
    """
    execution = Run(client)
    is_stopped = has_left = False
    with trio.open_signal_receiver(signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:

            async def stop() -> None:
                try:
                    await execution.cancel()
                except Failed as failed:  # whoever waits for the end sees what became of it
                    click.echo(f"mcp-v8: it cannot be stopped: {failed.sentence}", err=True)

            async def watch() -> None:
                nonlocal is_stopped, has_left
                async for _ in signals:
                    if is_stopped:
                        has_left = True
                        nursery.cancel_scope.cancel()
                        return
                    is_stopped = True
                    click.echo("mcp-v8: it is being stopped; Ctrl-C again leaves at once", err=True)
                    nursery.start_soon(stop)

            nursery.start_soon(watch)
            await execution.begin(request)
            told = await execution.end(tell)
            nursery.cancel_scope.cancel()
    if has_left:
        raise KeyboardInterrupt
    return told, is_stopped
