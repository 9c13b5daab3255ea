"""Fixtures that all tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import isolates
import pytest
import trio
from engines import Engine, OpenEngine, opened

from engine.events import Line, Outcome


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the base image of this test run is kept."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def open_engine(cache_dir: Path) -> OpenEngine:
    """Opens an engine on a store (a directory; None: stateless)."""

    @asynccontextmanager
    async def open_(directory: Path | None, **options: Any) -> AsyncIterator[Engine]:
        with trio.fail_after(120):
            async with opened(directory, cache_dir, **options) as engine:
                yield engine

    return open_


@pytest.fixture(scope="session")
def isolate_host(cache_dir: Path) -> Iterator[isolates.Host]:
    """The process that forks isolates."""
    host = isolates.Host(cache_dir)
    yield host
    host.close()


@pytest.fixture(scope="module")
def Session(isolate_host: isolates.Host) -> Iterator[Callable[..., isolates.Session]]:  # noqa: N802
    """Makes isolates, new or from a snapshot; they end with the module."""
    made: list[isolates.Session] = []

    def make(snapshot: bytes | None = None) -> isolates.Session:
        made.append(isolates.Session(isolate_host, snapshot))
        return made[-1]

    yield make
    for session in made:
        session.close()


@pytest.fixture
def run(Session: Callable[..., isolates.Session]) -> Callable[[str], tuple[Outcome, tuple[Line, ...]]]:  # noqa: N803
    """Runs code in a fresh isolate: (outcome, console lines)."""

    def run(code: str) -> tuple[Outcome, tuple[Line, ...]]:
        session = Session()
        return session.run(code).outcome, session.lines

    return run


@pytest.fixture
def evaluate(Session: Callable[..., isolates.Session]) -> Callable[[str], str]:  # noqa: N803
    """Runs code in a fresh isolate: the text of its result."""
    return lambda code: Session().value(code)
