"""Server-sent events as they are read from an answer."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest

from cli.target import sse
from cli.target.failures import Failed
from cli.target.sse import ServerEvent, events

STREAM = (
    b'retry: 1000\n\n: a comment\n\nid: 1\nevent: console\ndata: {"a":1}\n\n'
    b"data: first\ndata: second\n\nevent: nothing\n\nevent: done\r\ndata:bare\r\n\r\ndata: unfinished\n"
)
TOLD = [
    ServerEvent("console", b'{"a":1}'),
    ServerEvent("message", b"first\nsecond"),
    ServerEvent("done", b"bare"),
]


async def read(data: bytes, size: int) -> list[ServerEvent]:
    async def chunks() -> AsyncGenerator[bytes, None]:
        for at in range(0, len(data), size):
            yield data[at : at + size]

    async with aclosing(chunks()) as source, aclosing(events(source)) as told:
        return [event async for event in told]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50, 10_000])
async def test_events_are_the_same_however_they_are_cut(size: int) -> None:
    assert await read(STREAM, size) == TOLD


async def test_an_event_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1_000)
    assert len(await read(STREAM * 100, 64)) == 399
    for line in (b"data: " + b"x" * 2_000, b"data: xxxxxxxx\n" * 200):
        with pytest.raises(Failed, match="more than 1000 bytes"):
            await read(line, 64)
