"""``POST /api/parse``: whether code is all there, for prompts at which it is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from transports.answer import error_text
from transports.asgi import JsonAnswer
from transports.request import submission
from transports.rest.past_shapes import ParsedAnswer
from transports.rest.routes import Asked, Content, NoQuery, Route, json_answer

if TYPE_CHECKING:
    from engine.supervisor import Supervisor


class ParseBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Code."""

    code: Annotated[str, Meta(description="The JavaScript")]


def routes(engine: Supervisor) -> list[Route]:
    """The route."""

    async def parse(asked: Asked[NoQuery, ParseBody]) -> JsonAnswer:
        found = await engine.parse(submission({"code": asked.body.code}, asked.caller, owner=asked.owner))
        error = found.error
        return json_answer(
            ParsedAnswer(
                complete=found.is_complete,
                error=None if error is None else error_text(error),
                line=None if error is None else error.line,
                column=None if error is None else error.column,
            )
        )

    return [
        Route(
            name="parse",
            method="POST",
            path="/api/parse",
            group="executions",
            summary="Whether code is all there, without running it",
            text="For a prompt at which code is typed line by line: the line that follows is needed while "
            "`complete` is false. A syntax error that more code cannot heal is told, with its place.",
            view=parse,
            body=ParseBody,
            body_example={"code": "function f() {"},
            answers={200: Content("What V8 says of it", ParsedAnswer)},
            errors=(413, 415, 429, 503),
        )
    ]
