"""A real engine, and isolates that V8 optimizes in other ways."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import isolates
import pytest
from engines import Engine, OpenEngine

HOT = (
    "--always-sparkplug",
    "--no-lazy-feedback-allocation",
    "--invocation-count-for-maglev=20",
    "--invocation-count-for-turbofan=60",
    "--invocation-count-for-osr=20",
)
COLD = ("--no-opt", "--no-maglev", "--no-sparkplug")


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
