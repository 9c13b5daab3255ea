"""What clients can read without a tool: documents of the server, and the logs and states of sessions."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import metadata
from typing import TYPE_CHECKING
from urllib.parse import unquote

import msgspec
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CompleteRequestParams,
    CompleteResult,
    Completion,
    ListResourcesResult,
    ListResourceTemplatesResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    ResourceTemplateReference,
    TextResourceContents,
)
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS

from engine.errors import EngineError, NotFound, RequestError
from transports import errors
from transports.mcp.call import Context, call_of, caller_of
from transports.mcp.document import Document
from transports.mcp.text import fault_text
from transports.mcp.tools.entry import MAX_LIMIT, A, Asked
from transports.mcp.tools.sessions import LogArguments, log_text, session_log
from transports.mcp.tools.states import StateArguments, session_state

if TYPE_CHECKING:
    from engine.supervisor import Supervisor

RESOURCE_NOT_FOUND = -32002
"""What revisions with a handshake have for it; later ones call it invalid parameters."""
MAX_COMPLETIONS = 100
"""Names in one completion, as the protocol wants."""
COMPLETED_SESSIONS = 200
"""Sessions, last used first, whose names are looked at for one."""

_SESSION = re.compile(r"mcp-v8://sessions/([^/?#]+)/(log|state)")
_NAME = "`name` is a session's name, or `name@n` for what there was at event n."
TEMPLATES = (
    ResourceTemplate(
        name="session-log",
        title="Log of a session",
        uri_template="mcp-v8://sessions/{name}/log",
        description=f"A line for each of the last {MAX_LIMIT} events, latest last. {_NAME}",
        mime_type="text/plain",
    ),
    ResourceTemplate(
        name="session-state",
        title="Variables of a session",
        uri_template="mcp-v8://sessions/{name}/state",
        description=f"The variables, with types and previews. {_NAME}",
        mime_type="application/json",
    ),
)


def readme() -> str:
    """The project's README, which is part of the distribution's metadata."""
    return str(metadata("mcp-v8").json["description"])


README = Document(
    name="readme.md",
    title="README",
    description="What mcp-v8 is, how to start it and how to use it",
    media="text/markdown",
    text=readme,
)


@contextmanager
def _errors_of_the_protocol() -> Iterator[None]:
    """What fails within, as an MCPError: the SDK would tell the client the text of any other exception."""
    try:
        yield
    except MCPError:
        raise
    except EngineError as error:
        errors.engine_answer(error)  # logs what is not the client's fault
        code = INVALID_PARAMS if isinstance(error, RequestError) else INTERNAL_ERROR
        raise MCPError(code, fault_text(error)) from error
    except Exception as error:
        raise MCPError(INTERNAL_ERROR, errors.internal_sentence(error)) from error


class Resources:
    """What is done for each method about resources, on one server."""

    def __init__(self, engine: Supervisor, documents: Sequence[Document]) -> None:
        self._engine = engine
        self._documents = {one.uri: one for one in (README, *documents)}

    async def list(self, _ctx: Context, _params: PaginatedRequestParams | None) -> ListResourcesResult:
        """The documents; sessions are found by the templates, and by list_sessions."""
        return ListResourcesResult(resources=[_resource(one) for one in self._documents.values()])

    async def templates(
        self, _ctx: Context, _params: PaginatedRequestParams | None
    ) -> ListResourceTemplatesResult:
        """What there is of each session."""
        return ListResourceTemplatesResult(
            resource_templates=[] if self._engine.stateless else list(TEMPLATES)
        )

    async def read(self, ctx: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
        """The text of one resource. Raises MCPError."""
        connection = call_of(ctx).connection
        if connection is not None:
            connection.used = True
        with _errors_of_the_protocol():
            try:
                media, text = await self._contents(ctx, params.uri)
            except NotFound as missing:
                legacy = ctx.protocol_version in HANDSHAKE_PROTOCOL_VERSIONS
                code = RESOURCE_NOT_FOUND if legacy else INVALID_PARAMS
                raise MCPError(code, missing.message, {"uri": params.uri}) from missing
        contents = TextResourceContents(uri=params.uri, mime_type=media, text=text)
        return ReadResourceResult(contents=[contents])

    async def complete(self, ctx: Context, params: CompleteRequestParams) -> CompleteResult:
        """Names of the caller's sessions that begin so."""
        templates = {one.uri_template for one in TEMPLATES}
        if not isinstance(params.ref, ResourceTemplateReference) or params.ref.uri not in templates:
            raise MCPError(INVALID_PARAMS, f"there is nothing to complete but {', '.join(sorted(templates))}")
        if params.argument.name != "name" or self._engine.stateless:
            return CompleteResult(completion=Completion(values=[]))
        with _errors_of_the_protocol():
            page = await self._engine.sessions(
                call_of(ctx).owner, limit=COMPLETED_SESSIONS, after=None, tag=None
            )
        names = [info.name for info in page.items if info.name.startswith(params.argument.value)]
        shown = names[:MAX_COMPLETIONS]
        more = page.next is not None or len(shown) < len(names)
        return CompleteResult(completion=Completion(values=shown, has_more=more))

    async def _contents(self, ctx: Context, uri: str) -> tuple[str, str]:
        """Media type and text. Raises EngineError, NotFound where there is no such resource."""
        document = self._documents.get(uri)
        if document is not None:
            return document.media, document.text()
        match = _SESSION.fullmatch(uri)
        if match is None or self._engine.stateless:
            known = ", ".join(
                [*self._documents, *([] if self._engine.stateless else [t.uri_template for t in TEMPLATES])]
            )
            raise NotFound(f"there is no such resource; there are {known}")
        name, what = unquote(match[1]), match[2]
        if what == "log":
            log = await session_log(self._asked(ctx, LogArguments(session=name, limit=MAX_LIMIT)))
            return "text/plain", log_text(log)
        state = await session_state(self._asked(ctx, StateArguments(session=name)))
        return "application/json", msgspec.json.encode(state).decode()

    def _asked(self, ctx: Context, arguments: A) -> Asked[A]:
        return Asked(engine=self._engine, call=call_of(ctx), caller=caller_of(ctx), arguments=arguments)


def _resource(document: Document) -> Resource:
    """What ``resources/list`` says of a document."""
    return Resource(
        name=document.name,
        title=document.title,
        uri=document.uri,
        description=document.description,
        mime_type=document.media,
    )
