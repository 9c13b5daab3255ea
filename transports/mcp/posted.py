"""What is wrong with a POST to ``/mcp``, as far as its headers and the form of its message tell.

Each has the status and the code that the specification of MCP's streamable HTTP names, and where it names
none those of HTTP.
"""

from __future__ import annotations

from mcp.server.streamable_http import check_accept_headers
from mcp_types import INVALID_REQUEST, PROTOCOL_VERSION_META_KEY, UNSUPPORTED_PROTOCOL_VERSION
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS
from starlette.requests import Request

from transports import asgi, errors
from transports.asgi import JsonAnswer
from transports.execute import unsupported
from transports.mcp.envelope import Envelope, Malformed, error_body, open_envelope
from transports.mcp.refusal import as_json_rpc

_BEGIN = "a session is needed: begin with `initialize`, and send the Mcp-Session-Id of its answer"
_SHOWN = 64
"""Characters that are repeated of what a client sent."""


def unfit(scope: asgi.Scope, body: bytes) -> JsonAnswer | None:
    """The refusal of a POST that is not fit for the SDK, or None."""
    if (refusal := _unfit_headers(scope)) is not None:
        return as_json_rpc(refusal)
    try:
        envelope = open_envelope(body)
    except Malformed as malformed:
        return JsonAnswer(400, malformed.answer)
    version = asgi.header(scope, b"mcp-protocol-version")
    if version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS:
        return _unknown_version(version, envelope)
    if envelope.method != "initialize" and asgi.header(scope, b"mcp-session-id") is None:
        return JsonAnswer(400, error_body(INVALID_REQUEST, _BEGIN, to=envelope))
    return None


def _unfit_headers(scope: asgi.Scope) -> JsonAnswer | None:
    kind = asgi.header(scope, b"content-type") or ""
    if kind.partition(";")[0].strip().lower() != "application/json":
        sentence = "a message is JSON: send it with Content-Type: application/json"
        return errors.answer(415, sentence, "unsupported_media_type", "Content-Type")
    if (refusal := unsupported(dict(scope["headers"]))) is not None:
        return refusal
    if not all(check_accept_headers(Request(scope))):
        sentence = "the answer is JSON or a stream: send Accept: application/json, text/event-stream"
        return errors.answer(406, sentence, "not_acceptable", "Accept")
    return None


def _unknown_version(version: str, envelope: Envelope) -> JsonAnswer | None:
    """The refusal of a revision not spoken here; where the message names one too, the SDK compares them."""
    meta = envelope.params.get("_meta") if isinstance(envelope.params, dict) else None
    if version in MODERN_PROTOCOL_VERSIONS or (meta and PROTOCOL_VERSION_META_KEY.encode() in bytes(meta)):
        return None
    supported = [*HANDSHAKE_PROTOCOL_VERSIONS, *MODERN_PROTOCOL_VERSIONS]
    sentence = f"unsupported protocol version: there are {', '.join(supported)}"
    data = {"supported": supported, "requested": version[:_SHOWN]}
    return JsonAnswer(400, error_body(UNSUPPORTED_PROTOCOL_VERSION, sentence, to=envelope, data=data))
