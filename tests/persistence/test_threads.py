"""A machine that has no thread to give is told from work that fails, and works again by itself."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from log_samples import History
from trio._core import _thread_cache

from engine.errors import BlobStoreFailed, StoreError
from persistence import threads
from persistence.directory_blobs import DirectoryBlobStore
from persistence.sqlite import SqliteEventLog


@contextmanager
def no_threads(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No new thread can be started, and none is left from before."""

    def refused(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refused)
        patched.setattr(_thread_cache, "THREAD_CACHE", _thread_cache.ThreadCache())
        yield


async def test_reads_and_blobs_are_refused_and_appends_go_on(
    log: SqliteEventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blobs = DirectoryBlobStore(tmp_path)
    history = History()
    with no_threads(monkeypatch):
        with pytest.raises(StoreError, match=r"no thread could be started.*try again later"):
            await log.session("s1")
        with pytest.raises(BlobStoreFailed, match="no thread could be started"):
            await blobs.put(b"x")
        await log.append([history.created()])
    assert await log.session("s1") is not None
    assert await blobs.get(await blobs.put(b"x")) == b"x"


async def test_what_the_work_raises_is_told_as_it_is() -> None:
    def fails() -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        await threads.run(fails, trio.CapacityLimiter(1))
