"""Where statements run: in a session, or in a copy of a point of its past that is thrown away."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import BinaryIO

import click
import trio
from msgspec import Struct

from cli.output.text import visible
from cli.target.client import Client
from cli.target.failures import NOT_FOUND, Failed, Refused
from cli.target.options import Target
from cli.target.point import Point
from transports.rest.shapes import ImportAnswer, SessionAnswer

_PIECE_BYTES = 1 << 18
DELETE_SECONDS = 10.0
"""What deleting a fork on a server may take when the prompt is left."""


class Place(Struct):
    """A session, and how far it is."""

    client: Client
    session: str
    """Its name."""
    event: int | None
    """Number of its last event; None if it has none yet."""
    origin: Point | None = None
    """The point that it is a throwaway copy of."""
    begins: int = 0
    """Number of the copy's own first event."""

    @property
    def name(self) -> str:
        """What the prompt says: ``demo@12``, or in a copy ``demo@12+3`` after three statements."""
        if self.origin is None:
            return self.session if self.event is None else f"{self.session}@{self.event}"
        further = (self.event or self.begins) - self.begins
        return f"{self.origin}+{further}" if further else str(self.origin)


@asynccontextmanager
async def opened(target: Target, point: Point) -> AsyncIterator[Place]:
    """The place that ``point`` means, as long as the block lasts. Raises Refused, Failed, EngineError."""
    if point.event is None:
        async with target.client("write") as client:
            yield Place(client, point.session, await _last_event(client, point.session))
    elif target.url is not None:
        async with target.client() as client, _forked(client, point) as place:
            try:
                yield place
            finally:
                await _delete(place)
    else:
        async with _copied(target, point) as client, _forked(client, point) as place:
            yield place


async def _last_event(client: Client, session: str) -> int | None:
    try:
        return (await client.ask(SessionAnswer, "GET", f"/api/sessions/{session}")).event
    except Refused as refused:
        if refused.status == NOT_FOUND:
            return None
        raise


@asynccontextmanager
async def _forked(client: Client, point: Point) -> AsyncIterator[Place]:
    made = await client.ask(
        SessionAnswer, "POST", f"/api/sessions/{point.session}/fork", body={"event": point.event}
    )
    yield Place(client, made.session, made.event, origin=point, begins=made.event)


async def _delete(place: Place) -> None:
    """Throw a fork on a server away; say so where that does not work."""
    with trio.move_on_after(DELETE_SECONDS, shield=True) as time:
        try:
            await place.client.ask(SessionAnswer, "DELETE", f"/api/sessions/{place.session}")
        except Failed as failed:
            _warn(place, failed.sentence)
    if time.cancelled_caught:
        _warn(place, "it takes too long")


def _warn(place: Place, why: str) -> None:
    click.echo(f"mcp-v8: the copy, {place.session}, could not be deleted: {visible(why)}", err=True)


@asynccontextmanager
async def _copied(target: Target, point: Point) -> AsyncIterator[Client]:
    """A client of a store of its own, in a temporary folder, that has the session."""
    from cli.target.store import open_store
    from persistence.place import Directory

    with (
        tempfile.TemporaryDirectory(prefix="mcp-v8-") as folder,
        (Path(folder) / "session").open("w+b") as file,
    ):
        async with target.client() as original:
            owner = original.owner
            async with original.stream("GET", f"/api/sessions/{point.session}/export") as exported:
                async for chunk in exported.chunks:
                    file.write(chunk)
        file.seek(0)
        async with open_store(Directory(Path(folder)), owner=owner, use="play") as (client,):
            await client.send_file(ImportAnswer, "POST", "/api/import", _pieces(file))
            yield client


async def _pieces(file: BinaryIO) -> AsyncIterator[bytes]:
    while piece := file.read(_PIECE_BYTES):
        yield piece
