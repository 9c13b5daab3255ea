"""What tells a browser that a page of another origin may call and read (CORS, as the Fetch standard has it).

Only for origins that the guard has let in. No cookies are used here, so credentials are never allowed:
a page sends its token itself.
"""

from __future__ import annotations

from typing import Any

from transports.asgi import Scope, Send, header

METHODS = "GET, HEAD, POST, PUT, DELETE, OPTIONS"
REQUEST_HEADERS = (
    "Authorization, Content-Type, Accept, Prefer, Idempotency-Key, Last-Event-ID, Mcp-Session-Id, "
    "Mcp-Protocol-Version, Mcp-Method, Mcp-Name, X-MCP-Session-Id, X-Request-Id, Traceparent, *"
)
"""The star, for what clients may add (``Mcp-Param-…``), is not understood everywhere."""
EXPOSED_HEADERS = (
    "Mcp-Session-Id, Mcp-Protocol-Version, Location, Preference-Applied, Retry-After, WWW-Authenticate, Allow"
)
"""Response headers that a page may read beside the usual ones."""
MAX_AGE_SECONDS = 600
"""Time for which a browser need not ask again."""

_PREFLIGHT = b"access-control-request-method"


def is_preflight(scope: Scope) -> bool:
    """Whether a browser asks what a page may do, before the page's own request."""
    return scope["type"] == "http" and scope["method"] == "OPTIONS" and header(scope, _PREFLIGHT) is not None


async def answer_preflight(origin: bytes, send: Send) -> None:
    """Say what a page of ``origin`` may send."""
    headers = [
        *_headers(origin),
        (b"access-control-allow-methods", METHODS.encode()),
        (b"access-control-allow-headers", REQUEST_HEADERS.encode()),
        (b"access-control-max-age", b"%d" % MAX_AGE_SECONDS),
    ]
    await send({"type": "http.response.start", "status": 204, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


def readable_by(origin: bytes, send: Send) -> Send:
    """A ``send`` whose answers a page of ``origin`` may read."""
    added = [*_headers(origin), (b"access-control-expose-headers", EXPOSED_HEADERS.encode())]

    async def send_readable(message: Any) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *added]}
        await send(message)

    return send_readable


def _headers(origin: bytes) -> list[tuple[bytes, bytes]]:
    return [(b"access-control-allow-origin", origin), (b"vary", b"Origin")]
