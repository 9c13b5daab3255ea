"""A real engine: real workers, a real store."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import isolates
import pytest
import trio
from engines import Engine

from engine.limits import LimitPolicy
from engine.supervisor import Stores, open_supervisor
from persistence.directory_blobs import DirectoryBlobStore
from persistence.sqlite import open_sqlite_log

HOT = (
    "--always-sparkplug",
    "--no-lazy-feedback-allocation",
    "--interrupt-budget=300",
    "--interrupt-budget-for-maglev=100",
)
COLD = ("--no-opt", "--no-maglev", "--no-sparkplug")

OpenEngine = Callable[..., AbstractAsyncContextManager[Engine]]


@pytest.fixture
def open_engine(cache_dir: Path) -> OpenEngine:
    """Opens an engine on a store (``directory`` None: stateless)."""

    @asynccontextmanager
    async def open_(
        directory: Path | None, *, policy: LimitPolicy | None = None, max_workers: int = 8, **options: Any
    ) -> AsyncIterator[Engine]:
        policy = policy or LimitPolicy()
        common = {"policy": policy, "cache_dir": cache_dir, "max_workers": max_workers, **options}
        with trio.fail_after(120):
            if directory is None:
                async with open_supervisor(stores=None, **common) as supervisor:
                    yield Engine(supervisor, None)
            else:
                async with (
                    open_sqlite_log(directory) as log,
                    open_supervisor(
                        stores=Stores(log, DirectoryBlobStore(directory)), **common
                    ) as supervisor,
                ):
                    yield Engine(supervisor, log)

    return open_


@pytest.fixture
async def engine(open_engine: OpenEngine, tmp_path: Path) -> AsyncIterator[Engine]:
    """An engine on a store of its own."""
    async with open_engine(tmp_path / "store") as engine:
        yield engine


@pytest.fixture(scope="module", params=[HOT, COLD], ids=["hot", "cold"])
def other_host(cache_dir: Path, request: pytest.FixtureRequest) -> Iterator[isolates.Host]:
    """Forks isolates that optimize at once, or never."""
    host = isolates.Host(cache_dir, *request.param)
    yield host
    host.close()
