"""A process of its own that has a store open and writes to it, as a server does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import trio

_WRITER = """
import sys, trio
from pathlib import Path
from log_samples import History
from persistence.sqlite import open_sqlite_log

async def main():
    async with open_sqlite_log(Path(sys.argv[1])) as log:
        history = History(sys.argv[2])
        await log.append([history.created()])
        print(0, flush=True)
        for line in sys.stdin:
            await log.append([history.executed(code="x" * int(line))])
            print(history.head.event.seq, flush=True)

trio.run(main)
"""
START_SECONDS = 30


class Writer:
    """Writes to a session, which it begins, one event at a time."""

    def __init__(self, process: trio.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    async def append(self, size: int = 10) -> int:
        """Write an event with so much code; its number, once it is durable."""
        assert self._process.stdin is not None
        await self._process.stdin.send_all(b"%d\n" % size)
        return await self._told()

    async def close(self) -> None:
        """Let it end as a server does that is stopped."""
        assert self._process.stdin is not None
        await self._process.stdin.aclose()
        assert await self._process.wait() == 0

    async def kill(self) -> None:
        """``kill -9``."""
        self._process.kill()
        await self._process.wait()

    async def _told(self) -> int:
        assert self._process.stdout is not None
        told = b""
        with trio.fail_after(START_SECONDS):
            while not told.endswith(b"\n"):
                chunk = await self._process.stdout.receive_some()
                assert chunk, "the writer ended by itself"
                told += chunk
        return int(told)


@asynccontextmanager
async def writing(directory: Path, session: str) -> AsyncIterator[Writer]:
    """A process that owns the store until the block is left, at the latest, and then is killed."""
    process = await trio.lowlevel.open_process(
        [sys.executable, "-c", _WRITER, str(directory), session],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent)},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    writer = Writer(process)
    async with process.stdin, process.stdout:
        try:
            await writer._told()
            yield writer
        finally:
            with trio.CancelScope(shield=True):
                await writer.kill()
