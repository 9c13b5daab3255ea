"""A real engine for tests: a supervisor and its stores, with short ways to run code."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, Literal, get_args

import pytest
from msgspec.structs import replace
from s3_memory import MemoryObjects
from stored_blobs import InBucket, InDirectory, StoredBlobs

from engine import chain
from engine.events import Caller, Executed
from engine.execution import Execution, Report, Submission
from engine.limits import LimitPolicy
from engine.opening import open_supervisor
from engine.supervisor import Stores, Supervisor
from persistence.blobstore import BlobStore
from persistence.directory_blobs import DirectoryBlobStore
from persistence.s3.blobs import S3BlobStore
from persistence.s3.log import open_s3_log
from persistence.sqlite import SqliteEventLog, open_sqlite_log

OWNER = "tester"
CALLER = Caller(transport="test", client="pytest")

StoreKind = Literal["directory", "bucket"]
both_stores = pytest.mark.parametrize("store", get_args(StoreKind))
"""A test that is run on each, whatever ``--store`` says."""
in_directory = pytest.mark.parametrize("store", ["directory"])
"""A test of what there is in a directory alone."""
buckets: dict[Path, MemoryObjects] = {}
"""By the directory that a test gives, where the index is: a bucket outlives whoever opens it."""


class Engine:
    """A supervisor and its stores, with short ways to run code."""

    def __init__(
        self, supervisor: Supervisor, log: SqliteEventLog | None = None, blobs: BlobStore | None = None
    ) -> None:
        self.supervisor = supervisor
        self.log = log
        self.blobs = blobs

    async def run(self, code: str, **options: Any) -> Report:
        """Submit and wait to the end."""
        execution = await self.supervisor.executions.submit(submission(code, **options))
        report = await execution.wait(60)
        assert report is not None, "still running after 60 s"
        return report

    async def value(self, code: str, **options: Any) -> str:
        """The result's text of code that completes."""
        report = await self.run(code, **options)
        assert report.status == "completed", report.error
        assert report.result is not None
        return report.result

    def worker_pids(self) -> list[int]:
        """Process ids of all workers, spares included."""
        zygote = self.supervisor.status()["zygote_pid"]
        return [int(pid) for pid in Path(f"/proc/{zygote}/task/{zygote}/children").read_text().split()]


OpenEngine = Callable[..., AbstractAsyncContextManager[Engine]]
"""What the fixture ``open_engine`` is."""


@asynccontextmanager
async def opened(
    directory: Path | None,
    cache_dir: Path,
    *,
    policy: LimitPolicy | None = None,
    max_workers: int = 8,
    store: StoreKind = "directory",
    **options: Any,
) -> AsyncIterator[Engine]:
    """An engine on a store (``directory`` None: stateless)."""
    common = {
        "policy": policy or LimitPolicy(),
        "cache_dir": cache_dir,
        "max_workers": max_workers,
        **options,
    }
    if directory is None:
        async with open_supervisor(stores=None, **common) as supervisor:
            yield Engine(supervisor)
    else:
        async with (
            stores_of(directory, store) as (log, blobs),
            open_supervisor(stores=Stores(log, blobs), **common) as supervisor,
        ):
            yield Engine(supervisor, log, blobs)


@asynccontextmanager
async def stores_of(directory: Path, store: StoreKind) -> AsyncIterator[tuple[SqliteEventLog, BlobStore]]:
    """Log and blobs of the store that engines are opened on with that directory."""
    if store == "directory":
        async with open_sqlite_log(directory) as log:
            yield log, DirectoryBlobStore(directory)
    else:
        bucket = buckets.setdefault(directory, MemoryObjects())
        async with open_s3_log(bucket, directory) as log:
            yield log, S3BlobStore(bucket)


def stored_blobs(directory: Path, store: StoreKind) -> StoredBlobs:
    """The blobs of that store, to harm them."""
    return InDirectory(directory) if store == "directory" else InBucket(buckets[directory])


def copy_store(directory: Path, copy: Path) -> None:
    """Make a copy of a store, of either kind, at rest."""
    shutil.copytree(directory, copy)
    if directory in buckets:
        buckets[copy] = MemoryObjects()
        buckets[copy].stored = {**buckets[directory].stored}


async def append_altered(
    engine: Engine, name: str, code: str, *, engine_id: str | None = None, **changes: Any
) -> None:
    """Run code where n is 7, then make the log of a session say that this came to something else there."""
    assert engine.log is not None
    await engine.run("let n = 7", session="scratch")
    report = await engine.run(code, session="scratch")
    record = await engine.log.execution(report.execution_id)
    row = await engine.log.session_named(OWNER, name)
    assert record is not None
    assert row is not None
    event = record.event
    assert isinstance(event, Executed)
    altered = replace(
        event,
        session=row.session,
        seq=row.head_seq + 1,
        execution_id=f"e_{name}_{row.head_seq}",
        code=code,
        outcome=replace(event.outcome, **changes),
        engine=engine_id or event.engine,
        digest=bytes(32),
    )
    await engine.log.append([chain.seal(row.head_id, altered)])


async def first_line(execution: Execution) -> str:
    """Text of the first console line, as soon as it is there."""
    async with aclosing(execution.follow()) as lines:
        async for line in lines:
            return line.text
    raise AssertionError("the execution ended without a line")


def submission(code: str, *, owner: str = OWNER, **options: Any) -> Submission:
    """A submission of the tests' caller."""
    return Submission(code=code, owner=owner, caller=CALLER, **options)
