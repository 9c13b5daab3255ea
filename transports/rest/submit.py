"""``POST /api/exec`` as the OpenAPI document tells it; ``transports.execute`` serves it."""

from __future__ import annotations

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from transports import execute
from transports.answer import Answer
from transports.rest.routes import Content, Route

Session = Annotated[
    str,
    Meta(
        description="A session's name, made on first use, or name@n: the state after event n",
        pattern="^[A-Za-z0-9._-]{1,128}(@[0-9]{1,15})?$",
    ),
]
Heap = Annotated[str, Meta(description="A state: 64 hex digits", pattern="^[0-9a-fA-F]{64}$")]
Key = Annotated[
    str,
    Meta(
        description="The same request under the same key runs once",
        pattern="^[!-~]([ -~]{0,253}[!-~])?$",
    ),
]
Seconds = Annotated[float, Meta(description="Time limit; cut to the server's maximum", gt=0)]
Megabytes = Annotated[int, Meta(description="Limit of V8's heap, in MiB; cut to the server's maximum", ge=1)]


class ExecBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Code to run, and where. A field that is null counts as absent, but for ``input``."""

    code: Annotated[str, Meta(description="The JavaScript")]
    input: Annotated[Any, Meta(description="Bound to `input` in the code")] = None
    session: Session | None = None
    heap: Heap | None = None
    execution_timeout_secs: Seconds | None = None
    heap_memory_max_mb: Megabytes | None = None
    idempotency_key: Key | None = None


class ExecQuery(Struct, frozen=True, forbid_unknown_fields=True):
    """The fields that can be in the query string; those of a JSON body win."""

    session: Session | UnsetType = UNSET
    heap: Heap | UnsetType = UNSET
    execution_timeout_secs: Seconds | UnsetType = UNSET
    heap_memory_max_mb: Megabytes | UnsetType = UNSET
    idempotency_key: Key | UnsetType = UNSET


_PREFER = {
    "name": "Prefer",
    "in": "header",
    "description": "`wait=N` to wait N seconds (300) for the end, `respond-async` for an answer at once",
    "schema": {"type": "string"},
    "example": "wait=10",
}
_IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "The same as `idempotency_key`",
    "schema": {"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"},
}
_OF_EXECUTION = tuple(
    (name, "id", "execution_id")
    for name in ("get_execution", "get_execution_output", "follow_execution", "cancel_execution")
)
_OF_SESSION = tuple(
    (name, "name", "session")
    for name in (
        "get_session",
        "list_session_events",
        "get_session_state",
        "accept_session",
        "fork_session",
        "get_session_tags",
        "set_session_tags",
        "delete_session_tag",
        "delete_session",
    )
)


def routes() -> list[Route]:
    """The route that runs code."""
    return [
        Route(
            name="execute",
            method="POST",
            path=execute.PATH,
            group="executions",
            summary="Run JavaScript",
            text="In the session named, which remembers; in a new one if none is named. The body is JSON, or "
            "the code itself, with the other fields in the query string.",
            view=None,
            query=ExecQuery,
            headers=(_PREFER, _IDEMPOTENCY),
            body=ExecBody,
            body_example={"session": "demo", "code": "let xs = [1, 2, 3]; xs.map(x => x * x)"},
            raw_body=("text/javascript", "text/plain"),
            answers={
                200: Content("It is over, whatever came of it", Answer, links=_OF_EXECUTION + _OF_SESSION),
                202: Content("It waits or runs: ask again at `Location`", Answer, links=_OF_EXECUTION),
            },
            errors=(404, 408, 409, 413, 415, 422, 429, 503, 507),
        )
    ]
