"""MCP on stdin and stdout: a line a message, and the process belongs to one client."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING

import trio

from transports.mcp.call import Call, Connection
from transports.mcp.duplex import Duplex
from transports.mcp.envelope import Malformed
from transports.mcp.server import create_server
from transports.settings import HttpSettings

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

_CHUNK = 1 << 16


async def serve(
    engine: Supervisor,
    settings: HttpSettings,
    session: str | None,
    stop: trio.Event,
    started: Callable[[], None],
) -> None:
    """Serve until stdin ends, stdout breaks or ``stop`` is set; then drain, and answer what was under way.

    ``session`` is the client's default. ``started`` is called once messages are read.
    """
    connection = Connection()
    call = Call(transport="stdio", connection=connection, default_session=session)
    with _claimed_streams() as (source, sink):
        sending = trio.Lock()

        async def send(message: bytes) -> None:
            try:
                async with sending:
                    await sink.send_all(message + b"\n")
            except trio.BrokenResourceError:  # nobody reads any more
                connection.gone = True
                stop.set()

        duplex = Duplex(create_server(engine, settings), send, settings.body_bytes)

        async def read() -> None:
            async with aclosing(_lines(source, settings.body_bytes)) as lines:
                async for line in lines:
                    await duplex.room()
                    try:
                        await duplex.receive(line, call)
                    except Malformed as malformed:
                        await send(malformed.answer)
            with trio.move_on_after(settings.drain_seconds):
                await duplex.answered()
            stop.set()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(duplex.run)
            async with trio.open_nursery() as reading:
                reading.start_soon(read)
                started()
                await stop.wait()
                reading.cancel_scope.cancel()
            await engine.drain(settings.drain_seconds)
            with trio.move_on_after(settings.drain_seconds):
                await duplex.answered()
            connection.gone = True
            nursery.cancel_scope.cancel()


@contextmanager
def _claimed_streams() -> Iterator[tuple[trio.lowlevel.FdStream, trio.lowlevel.FdStream]]:
    """stdin and stdout, which nothing else can read or write meanwhile: a stray print goes to stderr."""
    source, sink = trio.lowlevel.FdStream(os.dup(0)), trio.lowlevel.FdStream(os.dup(1))
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    try:
        yield source, sink
    finally:
        source.close()
        sink.close()


async def _lines(source: trio.lowlevel.FdStream, most: int) -> AsyncGenerator[bytes, None]:
    """The lines that are not blank; of one that is longer than ``most`` bytes, so much that it is refused."""
    waiting = bytearray()
    while chunk := await source.receive_some(_CHUNK):
        *ends, rest = bytes(chunk).split(b"\n")
        for end in ends:
            waiting += end
            if waiting.strip():
                yield bytes(waiting)
            waiting.clear()
        if len(waiting) <= most:
            waiting += rest
    if waiting.strip():
        yield bytes(waiting)
