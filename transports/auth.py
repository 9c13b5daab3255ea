"""Who a request is from: bearer tokens (RFC 6750) in ``Authorization``, or among a WebSocket's subprotocols.

Browsers let a page set no header of a WebSocket. What it can choose are subprotocols: ``mcp-v8`` and
``bearer.TOKEN``, of which the answer names the first.
"""

from __future__ import annotations

import re
from typing import Any

from transports import asgi, errors
from transports.asgi import JsonAnswer
from transports.identity import Identity
from transports.tokens import MAX_TOKEN_CHARS, TOKEN, TokenFile

OPEN_PATHS = frozenset(
    ("/", "/healthz", "/readyz", "/docs", "/openapi.json", "/api-doc/openapi.json", "/llms.txt")
)
"""What needs no token: whether the server lives, and how it is used. None of it tells of sessions."""
WELL_KNOWN = "/.well-known/"
"""Where clients look for another way to be let in: they shall find that there is none."""
SUBPROTOCOL = "mcp-v8"
"""What a WebSocket's client offers beside the one that carries a token."""

_SUBPROTOCOL_TOKEN = "bearer."  # noqa: S105 (a prefix)
_BEARER = re.compile(rf"[Bb][Ee][Aa][Rr][Ee][Rr] +({TOKEN.pattern})", re.ASCII)
_REALM = 'Bearer realm="mcp-v8"'


def identify(scope: asgi.Scope, tokens: TokenFile) -> Identity | JsonAnswer:
    """Who makes a request or opens a WebSocket; the refusal, if that is nobody."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if not given and scope["type"] == "websocket":
        given = [
            f"bearer {offered.removeprefix(_SUBPROTOCOL_TOKEN)}".encode()
            for offered in scope.get("subprotocols", ())
            if offered.startswith(_SUBPROTOCOL_TOKEN)
        ]
    if not given:
        return _answer(401, "a token is needed: send it as 'Authorization: Bearer TOKEN'", "unauthorized")
    if len(given) > 1:
        return _answer(400, "there are several tokens: send one", "bad_request", "invalid_request")
    match = _BEARER.fullmatch(given[0].decode("latin1").strip())
    if match is None or len(match[1]) > MAX_TOKEN_CHARS:
        sentence = "the token has not the form of one: send it as 'Authorization: Bearer TOKEN'"
        return _answer(401, sentence, "unauthorized", "invalid_token")
    return tokens.identity(match[1]) or _answer(
        401, "the token is not one of this server's, or not any more", "unauthorized", "invalid_token"
    )


def needs_token(scope: asgi.Scope) -> bool:
    """Whether a path is for those alone who have a token."""
    path: str = scope["path"]
    return path not in OPEN_PATHS and not path.startswith(WELL_KNOWN)


def without_token(scope: asgi.Scope, send: asgi.Send) -> tuple[asgi.Scope, asgi.Send]:
    """A WebSocket's scope without the subprotocol that is a token, and a ``send`` that accepts another."""
    offered = scope.get("subprotocols", ())
    left = [name for name in offered if not name.startswith(_SUBPROTOCOL_TOKEN)]
    if len(left) == len(offered):
        return scope, send

    async def accept(message: Any) -> None:
        if message["type"] == "websocket.accept" and not message.get("subprotocol") and SUBPROTOCOL in left:
            message = {**message, "subprotocol": SUBPROTOCOL}
        await send(message)

    return {**scope, "subprotocols": left}, accept


def _answer(status: int, sentence: str, code: str, error: str | None = None) -> JsonAnswer:
    """The answer with its challenge; ``error`` is RFC 6750's word, absent where no token was given."""
    challenge = _REALM if error is None else f'{_REALM}, error="{error}", error_description="{sentence}"'
    told = errors.answer(status, sentence, code, "Authorization")
    return JsonAnswer(told.status, told.body, (("www-authenticate", challenge),))
