"""What every request passes before any door: the guard, CORS, its token, and its rate."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from ipaddress import IPv6Address, ip_network

import trio

from transports import asgi, auth, cors, errors
from transports.asgi import JsonAnswer
from transports.guard import HostGuard
from transports.identity import SCOPE_KEY
from transports.mcp.paths import PATH as MCP_PATH
from transports.mcp.refusal import as_json_rpc
from transports.ratelimit import RateLimiter
from transports.settings import HttpSettings
from transports.tokens import TokenFile

UNLIMITED_PATHS = frozenset(("/healthz", "/readyz"))
"""Whoever watches the server shall not be told that it is busy because of others behind the same address."""


class Gate:
    """An ASGI application that lets requests through to ``inner``, with their identity in the scope."""

    def __init__(
        self,
        inner: asgi.Application,
        settings: HttpSettings,
        tokens: TokenFile | None = None,
        refused: Callable[[int], None] | None = None,
    ) -> None:
        """``refused`` is told the status of each refusal."""
        self._inner = inner
        self._refused = refused
        self._guard = HostGuard(settings.allowed_hosts, settings.allowed_origins)
        self._tokens = tokens
        self._rate = settings.requests_per_second
        self._owners, self._addresses = (RateLimiter(self._rate or 1) for _ in range(2))

    async def __call__(self, scope: asgi.Scope, receive: asgi.Receive, send: asgi.Send) -> None:
        """Serve one connection scope."""
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
            return
        refusal = self._guard.refusal(scope["headers"])
        if refusal is None:
            if (origin := asgi.header(scope, b"origin")) is not None:
                if cors.is_preflight(scope):
                    await cors.answer_preflight(origin.encode("latin1"), send)
                    return
                send = cors.readable_by(origin.encode("latin1"), send)
            refusal = self._admit(scope)
        if refusal is not None:
            if self._refused is not None:
                self._refused(refusal.status)
            if scope["path"] == MCP_PATH:
                refusal = as_json_rpc(refusal)
            await asgi.send_answer(scope, send, refusal)
            return
        if scope["type"] == "websocket":
            scope, send = auth.without_token(scope, send)
        if self._tokens is None or SCOPE_KEY not in scope:
            await self._inner(scope, receive, send)
        else:
            with self._tokens.serving(scope[SCOPE_KEY]):
                await self._inner(scope, receive, send)

    def _admit(self, scope: asgi.Scope) -> JsonAnswer | None:
        """Note who the request is from; the refusal if it may not go on.

        Requests are counted by owner, and by address where that is not known: without a good token, too.
        """
        if self._tokens is not None and auth.needs_token(scope):
            who = auth.identify(scope, self._tokens)
            if isinstance(who, JsonAnswer):
                return self._too_many(self._addresses, _network(scope)) or who
            scope[SCOPE_KEY] = who
            return self._too_many(self._owners, who.owner)
        if scope["path"] in UNLIMITED_PATHS:
            return None
        return self._too_many(self._addresses, _network(scope))

    def _too_many(self, limiter: RateLimiter, client: str) -> JsonAnswer | None:
        if not self._rate or not limiter.take(client, trio.current_time()):
            return None
        sentence = (
            f"these are more than {self._rate:,} requests a second: send them more slowly, "
            "or start the server with a higher --max-requests-per-second"
        )
        return errors.answer(429, sentence, "too_many_requests")


def _network(scope: asgi.Scope) -> str:
    """The client's address; of IPv6 the /64, of which one client has all."""
    client = scope.get("client")
    return _network_of(client[0]) if client else ""


@lru_cache(maxsize=4096)
def _network_of(address: str) -> str:
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:  # IPv4, or a socket's path
        return address
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ip_network((parsed, 64), strict=False))
