"""Server-sent events of an answer: https://html.spec.whatwg.org/multipage/server-sent-events.html"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator

from msgspec import Struct

from cli.target.failures import Failed

MAX_EVENT_BYTES = 64 << 20
"""Longest event that is read: an answer of ours is shorter by far."""


class ServerEvent(Struct, frozen=True):
    """One event."""

    kind: str
    """``message`` where the server says nothing else."""
    data: bytes


async def events(chunks: AsyncIterator[bytes]) -> AsyncGenerator[ServerEvent, None]:
    """The events, as they come; comments and fields of reconnecting are passed over.

    Lines end with ``\\n``, as our server ends them. Raises Failed for an event longer than
    MAX_EVENT_BYTES.
    """
    kind, data, size = b"", [], 0
    rest: list[bytes] = []
    async for chunk in chunks:
        size += len(chunk)
        rest.append(chunk)
        if b"\n" not in chunk:
            _check(size)
            continue
        *lines, last = b"".join(rest).split(b"\n")
        rest = [last]
        for line in lines:
            name, _, value = line.removesuffix(b"\r").partition(b":")
            value = value.removeprefix(b" ")
            if name == b"event":
                kind = value
            elif name == b"data":
                data.append(value)
            elif not line.strip():
                if data:
                    yield ServerEvent(kind.decode() or "message", b"\n".join(data))
                kind, data, size = b"", [], len(last)
        _check(size)


def _check(size: int) -> None:
    if size > MAX_EVENT_BYTES:
        raise Failed(f"the answer has an event of more than {MAX_EVENT_BYTES} bytes, which is none of mcp-v8")
