from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from bucket import Bucket
from cluster_logs import Cluster, clustered, open_lone_log
from etcd_server import EtcdServer
from log_samples import Stranger
from s3_memory import MemoryObjects

from persistence.s3.log import open_s3_log
from persistence.schema import DATABASE_NAME
from persistence.sqlite import SqliteEventLog, open_sqlite_log


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "store"


@pytest.fixture(params=["directory", "bucket", "cluster"])
async def log(directory: Path, request: pytest.FixtureRequest) -> AsyncIterator[SqliteEventLog]:
    """Of any kind: what it does is the same."""
    if request.param == "cluster":
        server, prefix = request.getfixturevalue("etcd"), request.getfixturevalue("prefix")
        async with open_lone_log(server.urls, prefix, MemoryObjects(), directory) as log:
            yield log
        return
    async with (
        open_sqlite_log(directory)
        if request.param == "directory"
        else open_s3_log(MemoryObjects(), directory)
    ) as log:
        yield log


@pytest.fixture
def stranger(directory: Path) -> Stranger:
    """While a stranger holds the database, nothing can be committed to it."""

    @contextmanager
    def holds() -> Iterator[None]:
        with closing(sqlite3.connect(directory / DATABASE_NAME, isolation_level=None)) as db:
            db.execute("BEGIN IMMEDIATE")
            yield
            db.execute("ROLLBACK")

    return holds


@pytest.fixture
def bucket() -> Bucket:
    return Bucket()


@pytest.fixture
async def cluster(etcd: EtcdServer, prefix: bytes, bucket: Bucket, tmp_path: Path) -> AsyncIterator[Cluster]:
    """Nodes that share an etcd and a bucket, of which none is there yet."""
    async with clustered(etcd.urls, prefix, bucket, tmp_path) as cluster:
        yield cluster
