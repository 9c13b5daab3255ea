"""Sessions over REST as portable files: out of one store, and into another."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from typing import TYPE_CHECKING

from engine.portable import SUFFIX
from transports.asgi import JsonAnswer
from transports.rest.files import MEDIA
from transports.rest.routes import Asked, Content, NoQuery, Route, json_answer
from transports.rest.shapes import ImportAnswer

if TYPE_CHECKING:
    from engine.supervisor import Supervisor


class Transfer:
    """The views."""

    def __init__(self, engine: Supervisor) -> None:
        self._engine = engine

    async def export(self, asked: Asked[NoQuery, None]) -> tuple[str, AsyncGenerator[bytes, None]]:
        """A session's file."""
        from importlib.metadata import version  # which takes 10 ms, of every command if it were above

        name = asked.path["name"]
        program = f"mcp-v8 {version('mcp-v8')}"
        return name + SUFFIX, await self._engine.store.export(asked.owner, name, program)

    async def take_in(self, asked: Asked[NoQuery, None], chunks: AsyncIterator[bytes]) -> JsonAnswer:
        """Import a session."""
        told = await self._engine.store.import_session(asked.owner, chunks, asked.caller)
        position = told.position
        answer = ImportAnswer(
            session=position.name,
            owner=position.owner,
            event=position.head_seq,
            head=position.head_id.hex(),
            heap=position.heap,
            events=told.events,
            imported=told.is_new,
        )
        if not told.is_new:
            return json_answer(answer)
        return json_answer(answer, 201, ("location", f"/api/sessions/{position.name}"))


def routes(engine: Supervisor) -> list[Route]:
    """The routes of files."""
    views = Transfer(engine)
    return [
        Route(
            name="export_session",
            method="GET",
            path="/api/sessions/{name}/export",
            group="sessions",
            summary="A session as one portable file",
            text="Lines of JSON, compressed with zstd: its whole log, as another store can import it. The "
            "last line says that the file is whole.",
            view=None,
            download=views.export,
            answers={200: Content("The file", media=MEDIA)},
            errors=(404, 429),
        ),
        Route(
            name="import_session",
            method="POST",
            path="/api/import",
            group="sessions",
            summary="Take in the session of such a file, with its name and ids",
            text="The file is verified before anything of it is stored. The session must be yours, and its "
            "name free; of its parents only what it needs is kept. One that is here already, with the same "
            "events, is left as it is.",
            view=None,
            upload=views.take_in,
            raw_body=("application/octet-stream",),
            answers={
                200: Content("The session, which was here already", ImportAnswer),
                201: Content("The session", ImportAnswer),
            },
            errors=(408, 409, 413, 422, 429, 503, 507),
        ),
    ]
