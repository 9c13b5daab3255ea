"""How connections to etcd are made, on Trio and in threads."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import TypedDict

import httpcore2
import httpx2
import trio

from persistence.etcd.names import Connecting, Names

CONNECT_SECONDS = 1.0
ANSWER_SECONDS = 3.0
"""For one attempt at one member."""
MAX_ANSWER_BYTES = 256 << 20
"""Of one answer; as base64, a key and its value of 1.5 MB have 2 MB."""
UNSENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout)
"""There was no connection: nothing reached etcd."""
_CONNECTIONS = 100


class Settings(TypedDict):
    """Of a client of HTTP."""

    timeout: httpx2.Timeout
    limits: httpx2.Limits
    trust_env: bool
    verify: ssl.SSLContext


def settings(urls: Sequence[str], answer_seconds: float) -> Settings:
    """No proxies and passwords of the environment; the authorities of the system, or of SSL_CERT_FILE.

    They take 30 ms to read: where none of the ``urls`` is of TLS, nobody is trusted instead.
    """
    has_tls = any(url.startswith("https:") for url in urls)
    return Settings(
        timeout=httpx2.Timeout(answer_seconds, connect=min(answer_seconds, CONNECT_SECONDS)),
        # Kept however long nothing is asked: a new one may wait for a name server, in a thread for long.
        limits=httpx2.Limits(
            max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS, keepalive_expiry=None
        ),
        trust_env=False,
        verify=ssl.create_default_context() if has_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
    )


def transport(urls: Sequence[str], answer_seconds: float, names: Names) -> httpx2.HTTPTransport:
    """What a thread's client sends with: as ``settings`` say, and names are asked for within a bound."""
    chosen = settings(urls, answer_seconds)
    made = httpx2.HTTPTransport(verify=chosen["verify"], limits=chosen["limits"], trust_env=False)
    made._pool = httpcore2.ConnectionPool(
        ssl_context=chosen["verify"],
        max_connections=_CONNECTIONS,
        max_keepalive_connections=_CONNECTIONS,
        keepalive_expiry=None,
        network_backend=Connecting(names),
    )
    return made


async def body_of(response: httpx2.Response, limit: int) -> bytes:
    """All of an answer; of one that is longer than ``limit``, some more than that.

    Raises httpx2.TransportError.
    """
    body = bytearray()
    with trio.CancelScope() as scope:
        async for chunk in response.aiter_raw():
            body += chunk
            if len(body) > limit:
                # The loop is not left: what waits inside would be left over, and would not end before it is
                # collected. This ends it from within.
                scope.cancel()
    return bytes(body)


async def hang_up(chunks: AsyncIterator[bytes]) -> None:
    """End what reads an answer whose rest nobody wants, from within as above, and hang up."""
    with trio.CancelScope() as scope, suppress(httpx2.TransportError, StopAsyncIteration):
        scope.cancel()
        while True:
            await anext(chunks)
