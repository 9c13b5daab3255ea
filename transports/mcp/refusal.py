"""A refusal in the words of JSON-RPC, which clients of MCP show; of any other body they show nothing."""

from __future__ import annotations

import msgspec

from transports import asgi
from transports.asgi import JsonAnswer
from transports.errors import ErrorBody
from transports.mcp.envelope import INTERNAL_ERROR, INVALID_REQUEST, error_body

SESSION_NOT_FOUND = -32001
"""What the official SDK for TypeScript answers with 404, and clients begin anew after."""


def as_json_rpc(refusal: JsonAnswer) -> JsonAnswer:
    """The same as a JSON-RPC error, with our code and field as its data."""
    told = msgspec.json.decode(refusal.body, type=ErrorBody)
    if refusal.status == 404:
        code = SESSION_NOT_FOUND
    else:
        code = INTERNAL_ERROR if refusal.status >= 500 else INVALID_REQUEST
    data = {"code": told.code, "field": told.field}
    return JsonAnswer(refusal.status, error_body(code, told.error, data=data), refusal.headers)


async def refuse(scope: asgi.Scope, send: asgi.Send, refusal: JsonAnswer) -> None:
    """Answer a request to a door of MCP with it."""
    await asgi.send_answer(scope, send, as_json_rpc(refusal))
