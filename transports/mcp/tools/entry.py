"""A tool beside ``run_js`` as data: a struct of arguments, one of results, and what makes these of those.

A result is structured content, and the same JSON as text, since a client may show its model either.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

import msgspec
from mcp_types import CallToolResult, TextContent, Tool, ToolAnnotations
from msgspec import UNSET, Meta, Struct, UnsetType

from engine.errors import InvalidField
from engine.events import Caller
from transports.mcp.call import Call, bare
from transports.mcp.text import handle
from transports.mcp.tools.arguments import EXAMPLE, FORM, decode
from transports.request import EXECUTION_ID, session_point

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

A = TypeVar("A", bound=Struct)

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
"""Entries of one result, whatever a model asks for."""

ExecutionId = Annotated[
    str,
    Meta(
        pattern=f"^{EXECUTION_ID.pattern}$",
        extra={FORM: "the id of an execution, e_ and 16 characters", EXAMPLE: "e_0123456789abcdef"},
    ),
]
Point = Annotated[str, Meta(description="`name` or `name@n`; default: your own", extra={EXAMPLE: "demo@12"})]
"""A session, or a point in it."""
Positive = Annotated[int, Meta(ge=1, extra={EXAMPLE: 20})]
Limit = Annotated[
    int, Meta(ge=1, description=f"default {DEFAULT_LIMIT}, at most {MAX_LIMIT}", extra={EXAMPLE: 50})
]
Cursor = Annotated[
    str,
    Meta(
        description="`next` of the page before",
        pattern=r"^[A-Za-z0-9_.]{1,64}$",
        extra={FORM: "what the page before gave as `next`"},
    ),
]


class Asked(Struct, Generic[A], frozen=True, kw_only=True):
    """One call of a tool, its arguments checked."""

    engine: Supervisor
    call: Call
    caller: Caller
    arguments: A

    @property
    def owner(self) -> str:
        """Whose sessions and executions there are."""
        return self.call.owner

    def point(self, given: str | UnsetType, *, field: str = "session") -> tuple[str, int | None]:
        """The session that was given, or else the client's own; and the event, where a point was named.

        Raises InvalidField where there is neither, or a wrong form.
        """
        named = given or self.call.default_session
        if named is None and self.call.connection is not None:
            named = self.call.connection.home.name
        if named is None:
            raise InvalidField(
                f"`{field}` is missing, and you have no session of your own yet: list_sessions names those "
                "that there are",
                field=field,
            )
        return session_point(bare(named), field=field)


class Hints(Struct, frozen=True, kw_only=True):
    """What a client may tell its user of a tool before it is called."""

    reads: bool = False
    """It changes nothing."""
    destroys: bool = False
    """It may take away what was there."""
    repeatable: bool = False
    """A second call with the same arguments changes nothing more."""

    @property
    def annotations(self) -> ToolAnnotations:
        """The same as MCP has it; what follows from something else is left out."""
        if self.reads:
            return ToolAnnotations(read_only_hint=True, open_world_hint=False)
        return ToolAnnotations(
            read_only_hint=False,
            destructive_hint=self.destroys,
            idempotent_hint=self.repeatable,
            open_world_hint=False,
        )


class Entry(Struct, Generic[A], frozen=True, kw_only=True):
    """A tool."""

    name: str
    title: str
    description: str
    arguments: type[A]
    result: type[Struct]
    run: Callable[[Asked[A]], Awaitable[Struct]]
    hints: Hints
    text: Callable[[Any], str] = lambda told: msgspec.json.encode(told).decode()
    """The result as text."""
    listed: bool = False
    """Whether it is listed where not all are."""
    without_sessions: bool = False
    """Whether it is of use where there are no sessions."""

    def definition(self, *, with_output: bool) -> Tool:
        """What ``tools/list`` says of it, with the shape of its results or without."""
        return Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=_schema(self.arguments),
            output_schema=_schema(self.result) if with_output else None,
            annotations=self.hints.annotations,
        )

    async def call(
        self, engine: Supervisor, call: Call, caller: Caller, arguments: Mapping[str, object]
    ) -> CallToolResult:
        """Run it. Raises EngineError, for arguments too."""
        asked = decode(self.name, self.arguments, arguments)
        told = await self.run(Asked(engine=engine, call=call, caller=caller, arguments=asked))
        return CallToolResult(
            content=[TextContent(text=self.text(told))], structured_content=msgspec.to_builtins(told)
        )


def optional_handle(session: str | None, event: int | None) -> str | UnsetType:
    """``[name@n]``, left out where there is no session."""
    return handle(session, event) or UNSET


def page_limit(given: int | UnsetType) -> int:
    """Entries of a result for which ``given`` was asked."""
    return DEFAULT_LIMIT if given is UNSET else min(given, MAX_LIMIT)


def _schema(kind: type[Struct]) -> dict[str, Any]:
    """The struct's JSON schema; of its title and description a model learns nothing."""
    (reference,), parts = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    schema = dict(parts.pop(reference["$ref"].rpartition("/")[2]))
    for name in ("title", "description"):
        schema.pop(name, None)
    if not schema["required"]:
        del schema["required"]
    return {**schema, "$defs": parts} if parts else schema
