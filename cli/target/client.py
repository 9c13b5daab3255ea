"""Requests to whoever answers them, and their answers as the structs that REST documents."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from http import HTTPStatus
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import urlencode

import msgspec
from msgspec import Struct

from cli.target.failures import USAGE, Failed, Refused
from transports.errors import ErrorBody

T = TypeVar("T")
L = TypeVar("L")

Query = Mapping[str, str | int | bool | None]
"""Parameters; those that are None are left out."""


Body = bytes | AsyncIterable[bytes]
"""All of it, or as it comes."""


class Response(Struct, frozen=True):
    """An answer that is on its way."""

    status: int
    chunks: AsyncIterator[bytes]
    """The body, as it comes."""


class Transport(Protocol):
    """Whoever answers requests."""

    @property
    def where(self) -> str:
        """For a sentence: the store in …, the server at …."""
        ...

    def send(
        self, method: str, path: str, query: str, body: Body, headers: Mapping[str, str]
    ) -> AbstractAsyncContextManager[Response]:
        """Make one request; leaving the block ends it. Raises Failed where nobody answers."""
        ...


class Lines(Generic[T, L]):
    """The lines of an answer, and the one that ended them."""

    def __init__(self, chunks: AsyncIterator[bytes], kind: type[T], last: type[L]) -> None:
        self._chunks = chunks
        self._kind, self._last = kind, last
        self.end: L
        """There once all lines were read."""

    async def __aiter__(self) -> AsyncGenerator[T, None]:
        """The lines but for the last. Raises Refused where that is an error, Failed where there is none."""
        ended = False
        async with aclosing(_split(self._chunks)) as lines:
            async for line in lines:
                told = read(line, dict[str, Any])
                if "error" in told and "code" in told and "type" not in told:
                    error = read(line, ErrorBody)
                    raise Refused(500, error.error, error.code, error.field)
                try:
                    one = msgspec.convert(told, self._kind)
                except msgspec.ValidationError:
                    self.end = read(line, self._last)
                    ended = True  # and so does the answer
                    continue
                yield one
        if not ended:
            raise Failed(
                "the answer ended before it was complete: the server stopped, or the connection broke"
            )


class Client:
    """Asks ``transport``. ``owner`` is whose sessions it sees, where that is known here: in a store."""

    def __init__(self, transport: Transport, owner: str | None = None) -> None:
        self._transport = transport
        self.owner = owner

    @property
    def where(self) -> str:
        """For a sentence: the store in …, the server at …."""
        return self._transport.where

    async def ask(
        self,
        kind: type[T],
        method: str,
        path: str,
        query: Query | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> T:
        """The answer to one request. Raises Refused, Failed."""
        async with self._send(method, path, query, body, headers) as response:
            return read(await _whole(response), kind)
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def lines(
        self,
        kind: type[T],
        last: type[L],
        method: str,
        path: str,
        query: Query | None = None,
        body: object = None,
    ) -> AsyncIterator[Lines[T, L]]:
        """The lines of an answer, as they come. Raises Refused, Failed."""
        async with self._send(method, path, query, body, None) as response:
            yield Lines(response.chunks, kind, last)

    async def send_file(self, kind: type[T], method: str, path: str, file: AsyncIterable[bytes]) -> T:
        """The answer to a file that is sent as it comes. Raises Refused, Failed, and what ``file`` does."""
        async with self._send(method, path, None, None, None, file=file) as response:
            return read(await _whole(response), kind)
        raise AssertionError("unreachable")

    @asynccontextmanager
    async def stream(self, method: str, path: str, query: Query | None = None) -> AsyncIterator[Response]:
        """The body of an answer, as it comes. Raises Refused, Failed."""
        async with self._send(method, path, query, None, None) as response:
            yield response

    @asynccontextmanager
    async def _send(
        self,
        method: str,
        path: str,
        query: Query | None,
        body: object,
        headers: Mapping[str, str] | None,
        file: AsyncIterable[bytes] | None = None,
    ) -> AsyncIterator[Response]:
        try:
            data: Body = b"" if body is None else msgspec.json.encode(body)
            asked = _encode(query or {})
        except UnicodeEncodeError as wrong:  # bytes of a command line that are none
            raise Failed("what is asked for is not UTF-8", USAGE) from wrong
        data = data if file is None else file
        sent = {**({} if body is None else {"content-type": "application/json"}), **(headers or {})}
        async with self._transport.send(method, path, asked, data, sent) as response:
            if not 200 <= response.status < 300:
                raise refusal(response.status, await _whole(response))
            yield response


def _encode(query: Query) -> str:
    def text(value: str | int | bool) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    return urlencode({name: text(value) for name, value in query.items() if value is not None})


async def _whole(response: Response) -> bytes:
    return b"".join([chunk async for chunk in response.chunks])


async def _split(chunks: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Lines that are not empty."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in filter(None, lines):
            yield line
    if rest:
        yield rest


def read(data: bytes, kind: type[T]) -> T:
    """What was answered. Raises Failed where it is nothing that this command knows."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise Failed(
            f"the answer is not one of mcp-v8, or of another version ({wrong}): is the address right?"
        ) from wrong


def refusal(status: int, body: bytes) -> Failed:
    """The error that an answer with that status is."""
    try:
        told = msgspec.json.decode(body, type=ErrorBody)
    except msgspec.DecodeError:
        return Failed(f"the answer, with status {status}, is not one of mcp-v8: is the address right?")
    how = "; give one by --token, or as MCP_V8_TOKEN" if status == HTTPStatus.UNAUTHORIZED else ""
    return Refused(status, f"{told.error}{how}", told.code, told.field)
