"""Addresses of MCP resources, and the beginnings of names that are completed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, Final

import trio
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INTERNAL_ERROR,
    CompleteRequestParams,
    CompletionArgument,
    ReadResourceRequestParams,
    ResourceTemplateReference,
)

from fuzz import jsons
from fuzz.data import Data
from fuzz.stub import StubEngine
from transports.mcp.call import Call
from transports.mcp.resources import TEMPLATES, Resources

_PIECES: Final = (
    "mcp-v8://",
    "docs/",
    "readme.md",
    "sessions/",
    "demo",
    "@",
    "%401",
    "1",
    "/",
    "log",
    "state",
    "?",
)
_VERSIONS: Final = ("2025-06-18", "2026-07-28")


def resources(raw: bytes) -> None:
    """Any address is a text or an error that can be sent, and none of the server's own."""
    data = Data(raw)
    server: Any = Resources(StubEngine(data), ())  # type: ignore[arg-type]
    context = SimpleNamespace(
        request=Call(transport="mcp", connection=None, default_session=None),
        protocol_version=data.choose(_VERSIONS),
        session=SimpleNamespace(client_params=None),
        request_id=1,
    )
    if data.rarely():
        template = data.choose(TEMPLATES).uri_template
        asked = CompleteRequestParams(
            ref=ResourceTemplateReference(uri=template),
            argument=CompletionArgument(name=data.choose(("name", "x")), value=data.choose(_PIECES)),
        )
        method, params = server.complete, asked
    else:
        uri = data.choose(("mcp-v8://sessions/", ""))
        while data.byte() % 8:
            uri += data.choose((*_PIECES, chr(data.byte()), f"%{data.byte():02x}"))
        method, params = server.read, ReadResourceRequestParams(uri=uri)
    try:
        result = trio.run(method, context, params)
    except MCPError as error:
        if error.error.code == INTERNAL_ERROR:
            raise
        jsons.strict(error.error.model_dump_json())
    else:
        jsons.strict(result.model_dump_json(by_alias=True))
