"""A real server that is killed and started again on the same store, and clients that live with that."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import trio
from server_process import ServerProcess

from engine.chain import Record
from engine.events import Aborted, Executed, Forked
from persistence.place import Bucket, Directory
from persistence.stores import open_stores

OWNER = "local"
RETRY = (429, 503)
"""Statuses that ask the client to come again."""


class RestartingServer:
    """A server that comes back. Each start takes a free port. ``environment`` is added to this process's."""

    def __init__(
        self, store: Path | Bucket, *flags: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self._flags = (*_flags(store), *flags)
        self._environment = environment
        self._process: ServerProcess | None = None
        self._up = trio.Event()
        self.log = ""
        """What the processes said that have ended."""

    @property
    def process(self) -> ServerProcess:
        """The process that serves now."""
        assert self._process is not None
        return self._process

    async def url(self) -> str:
        """Where it listens, as soon as it does."""
        while self._process is None:  # again, if it was killed before this task woke up
            await self._up.wait()
        return self._process.url

    async def start(self) -> None:
        """Start it, and wait until it serves."""
        self._process = await trio.to_thread.run_sync(
            lambda: ServerProcess(*self._flags, environment=self._environment)
        )
        self._up.set()

    async def kill(self) -> None:
        """``kill -9``."""
        assert await self._end(signal.SIGKILL) == -signal.SIGKILL

    async def stop(self) -> None:
        """SIGTERM, which must end it in time and well."""
        process = self.process
        assert await self._end(signal.SIGTERM) == 0, process.log[-4000:]
        assert "Traceback" not in process.log, process.log[-4000:]

    async def kill_and_restart(self) -> None:
        """What a power cut is to it."""
        await self.kill()
        await self.start()

    async def close(self) -> None:
        """Leave nothing behind, also after a failure."""
        if self._process is not None:
            await self._end(signal.SIGKILL)

    async def _end(self, number: signal.Signals) -> int:
        self._up = trio.Event()
        process, self._process = self.process, None
        with trio.CancelScope(shield=True):
            status = await trio.to_thread.run_sync(process.terminate, number)
        self.log += process.log
        return status


@asynccontextmanager
async def restarting(
    store: Path | Bucket, *flags: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[RestartingServer]:
    """A server on the store there that can be killed and started until the end of the block."""
    server = RestartingServer(store, *flags, environment=environment)
    try:
        await server.start()
        yield server
    finally:
        await server.close()


async def execute(server: RestartingServer, **fields: object) -> dict[str, Any]:
    """One request that must be answered at once."""
    async with httpx2.AsyncClient(timeout=60) as client:
        response = await client.post(f"{await server.url()}/api/exec", json=fields)
    answer = response.json()
    assert response.status_code == 200, answer
    assert isinstance(answer, dict)
    return answer


async def insist(
    client: httpx2.AsyncClient, server: RestartingServer, key: str, **fields: object
) -> dict[str, Any]:
    """Send a request under ``key`` until it is answered, whatever happens to the server meanwhile."""
    while True:
        url = await server.url()
        try:
            response = await client.post(
                f"{url}/api/exec", json=fields, headers={"idempotency-key": key}, timeout=60
            )
        except httpx2.TransportError:
            await trio.lowlevel.checkpoint()
            continue
        if response.status_code in RETRY:
            await trio.lowlevel.checkpoint()
            continue
        assert response.status_code == 200, f"{response.text}\n{server.process.log[-8000:]}"
        answer = response.json()
        assert isinstance(answer, dict)
        return answer


def _flags(store: Path | Bucket) -> tuple[str, ...]:
    if isinstance(store, Path):
        return "--directory-path", str(store)
    cache = () if store.cache is None else ("--cache-dir", str(store.cache))
    return "--s3-bucket", store.settings.bucket, "--s3-prefix", store.settings.prefix, *cache


async def recorded(store: Path | Bucket) -> dict[str, list[Record]]:
    """Every session of a store at rest by name, its records verified on the way."""
    found = {}
    place = Directory(store) if isinstance(store, Path) else store
    async with open_stores(place) as (log, _):
        for row in (await log.sessions(OWNER, limit=100_000)).items:
            records = [record async for record in log.read(row.session)]
            first = records[0].event
            assert isinstance(first, Forked) or first.seq == 0
            assert [record.event.seq for record in records] == list(range(first.seq, row.head_seq + 1))
            assert records[-1].id == row.head_id
            found[row.name] = records
    return found


def executions(records: list[Record]) -> list[Record]:
    """Those that tell of an execution."""
    return [record for record in records if isinstance(record.event, (Executed, Aborted))]
