"""A server as who answers, over HTTP.

httpx2 comes with the MCP SDK, and runs on Trio by way of AnyIO.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.metadata import version

import httpx2

from cli.target.client import Body, Client, Response
from cli.target.failures import Failed

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 360.0
"""Longest time without a byte of an answer: an execution may take 300 s, and long work breaks its silence."""


class Server:
    """Asks the server at ``url``."""

    def __init__(self, client: httpx2.AsyncClient, url: str) -> None:
        self._client = client
        self.where = f"the server at {url}"

    @asynccontextmanager
    async def send(
        self, method: str, path: str, query: str, body: Body, headers: Mapping[str, str]
    ) -> AsyncIterator[Response]:
        """See ``Transport``."""
        target = f"{path}?{query}" if query else path
        answers = False
        try:
            async with self._client.stream(method, target, content=body, headers=headers) as response:
                answers = True
                yield Response(response.status_code, response.aiter_bytes())
        except (httpx2.RequestError, httpx2.InvalidURL) as error:
            why = str(error) or type(error).__name__
            if answers:
                raise Failed(f"the connection to {self.where} broke: {why}") from error
            raise Failed(f"{self.where} does not answer: {why}") from error


@asynccontextmanager
async def open_server(url: str, token: str | None) -> AsyncIterator[Client]:
    """A client of the server. It is not asked anything yet."""
    headers = {"user-agent": f"mcp-v8-cli/{version('mcp-v8')}"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    timeout = httpx2.Timeout(SILENCE_SECONDS, connect=CONNECT_SECONDS)
    async with httpx2.AsyncClient(
        base_url=url.rstrip("/"), headers=headers, timeout=timeout, verify=_trusted(url)
    ) as client:
        yield Client(Server(client, url))


def _trusted(url: str) -> ssl.SSLContext | bool:
    """Whose certificates are taken: all authorities take 30 ms to read, so where there is no TLS none are."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if url.lower().startswith("http:") else True
