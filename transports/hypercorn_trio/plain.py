"""Plain requests for the hot routes: answered where they are read, past h11 and Hypercorn's streams.

These cost several times what the rest of such a request does. So that there is one judge of what a request
is, only what nobody could read in two ways is taken: a complete head in one piece, of HTTP/1.1, with nothing
but headers that are listed here, each once. All else, also what is wrong, is left to h11, and so is every
request that comes while h11 is in the middle of something.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from hypercorn.utils import build_and_validate_headers
from msgspec import Struct

from transports.asgi import WHOLE_BODY, Application, Scope
from transports.hypercorn_trio import limits
from transports.hypercorn_trio.config import ServerConfig

logger = logging.getLogger(__name__)

Read = Callable[[], Awaitable[bytes]]
"""The next bytes of the connection; none at its end."""

_REQUEST_LINE = re.compile(rb"(GET|POST) (/[A-Za-z0-9/_.~-]*)(?:\?([!-~]*))? HTTP/1\.1")
_UNUSUAL = re.compile(rb"[^\t\r\n -~]")
"""What h11 would refuse, or take as Latin-1."""
_NAMES = frozenset(
    (
        b"accept accept-encoding accept-language authorization cache-control connection content-length "
        b"content-type cookie dnt forwarded host idempotency-key if-none-match origin pragma prefer "
        b"priority referer sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode "
        b"sec-fetch-site traceparent tracestate user-agent via x-forwarded-for x-forwarded-host "
        b"x-forwarded-port x-forwarded-proto x-real-ip x-request-id"
    ).split()
)
"""Headers that say nothing about where the request ends, nor about what follows it."""
_CLOSE = (b"connection", b"close")
_DISCONNECT = {"type": "http.disconnect"}
_END_OF_LINE = re.compile(rb"[\r\n\0]")
_LENGTH = re.compile(rb"[0-9]{1,15}")


class Hot(Struct, frozen=True):
    """The routes that are worth it."""

    application: Application
    """Answers at once: it sends nothing before it knows all of the answer."""
    serves: Callable[[str, str], bool]
    """Whether a method and a path are of such a route."""


class Plain(Struct, frozen=True):
    """A request whose head is complete."""

    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    length: int
    """Bytes of its body."""
    begun: bytes
    """What came after the head."""


def recognized(data: bytes, serves: Callable[[str, str], bool]) -> Plain | None:
    """The request that ``data`` begins with, if it is a plain one for a route that is served."""
    end = data.find(b"\r\n\r\n", 0, limits.MAX_HEAD_BYTES)
    if end < 0 or _UNUSUAL.search(data, 0, end) is not None:
        return None
    first, *lines = data[:end].split(b"\r\n")
    asked = _REQUEST_LINE.fullmatch(first)
    if asked is None or not serves(method := asked[1].decode(), path := asked[2].decode()):
        return None
    headers: dict[bytes, bytes] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        name = name.lower()
        if not colon or name not in _NAMES or name in headers or b"\n" in value or b"\r" in value:
            return None
        headers[name] = value.strip(b" \t")
    length = headers.get(b"content-length", b"0" if method == "GET" else b"")
    if (
        b"host" not in headers
        or _LENGTH.fullmatch(length) is None
        or headers.get(b"connection", b"keep-alive").lower() != b"keep-alive"
    ):
        return None
    return Plain(method, path, asked[3] or b"", list(headers.items()), int(length), data[end + 4 :])


class Answering:
    """One plain request on its way through the application, which reads the connection meanwhile."""

    def __init__(
        self,
        plain: Plain,
        read: Read,
        config: ServerConfig,
        client: tuple[str, int] | None,
        server: tuple[str, int] | None,
        state: Any,
    ) -> None:
        self._plain = plain
        self._read = read
        self._config = config
        self._client, self._server, self._state = client, server, state
        self._left = plain.length
        """Bytes of the body that the application has not got."""
        self._waiting = plain.begun
        """What came and is not the application's yet, or not for this request."""
        self._has_body = False
        """Whether the application has got all of it."""
        self._status = 0
        self._headers: list[tuple[bytes, bytes]] = []
        self._body = b""
        self._is_complete = False
        self._is_alone = False
        """Whether the application knows that its client has left."""

    @property
    def _is_coming(self) -> bool:
        """Whether a part of the body has yet to come."""
        return len(self._waiting) < self._left

    @property
    def must_close(self) -> bool:
        """Whether the connection is of no use after the answer."""
        return not self._is_complete or self._is_coming

    @property
    def rest(self) -> bytes:
        """What came after the request."""
        return self._waiting[self._left :]

    async def run(self, application: Application) -> None:
        """Let the application answer."""
        try:
            await application(self._scope(), self._receive, self._send)
        except Exception:
            logger.exception("the application failed")
            self._is_complete = False

    def answer(self, *, closes: bool) -> bytes:
        """The answer, which says whether the connection ends with it; nothing where the application has none
        since its client has left.
        """
        if not self._is_complete:
            if self._is_alone:
                return b""
            return _head(500, [(b"content-length", b"0"), _CLOSE, *self._config.response_headers("h11")])
        headers = [*self._headers, *self._config.response_headers("h11")]
        if closes:
            headers.append(_CLOSE)
        return _head(self._status, headers) + self._body

    def _scope(self) -> Scope:
        """As Hypercorn makes it."""
        plain = self._plain
        return {
            "type": "http",
            "http_version": "1.1",
            "asgi": {"spec_version": "2.1", "version": "3.0"},
            "method": plain.method,
            "scheme": "http",
            "path": plain.path,
            "raw_path": plain.path.encode(),
            "query_string": plain.query,
            "root_path": self._config.root_path,
            "headers": plain.headers,
            "client": self._client,
            "server": self._server,
            "state": self._state.copy(),
            "extensions": {WHOLE_BODY: plain.begun[: plain.length]} if not self._is_coming else {},
        }

    async def _receive(self) -> Any:
        """The body, then that the client has left. Nobody sees it leave once it has sent another request."""
        if self._has_body:
            if not self._waiting and not await self._has_more():
                return _DISCONNECT
            await trio.sleep_forever()
        if self._left and not self._waiting and not await self._has_more():
            return _DISCONNECT
        part, self._waiting = self._waiting[: self._left], self._waiting[self._left :]
        self._left -= len(part)
        self._has_body = self._left == 0
        return {"type": "http.request", "body": part, "more_body": not self._has_body}

    async def _has_more(self) -> bool:
        """Whether more comes of the connection, which is read."""
        self._waiting = await self._read()
        self._is_alone = not self._waiting
        return not self._is_alone

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self._status, self._headers = message["status"], build_and_validate_headers(message["headers"])
            if any(_END_OF_LINE.search(part) for header in self._headers for part in header):
                raise ValueError("a header of the answer has an end of line in it")
        elif not self._is_complete:
            self._body += message.get("body", b"")
            self._is_complete = not message.get("more_body", False)


def _head(status: int, headers: list[tuple[bytes, bytes]]) -> bytes:
    """The head of an answer, as h11 writes it."""
    return b"HTTP/1.1 %d \r\n%b\r\n" % (status, b"".join([b"%b: %b\r\n" % header for header in headers]))
