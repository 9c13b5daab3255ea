"""Folders for indexes that processes have left, which the next one removes, and nothing else."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from bucket import Bucket as MemoryBucket

from persistence import stores
from persistence.copysources import from_bucket
from persistence.place import Bucket
from persistence.s3.log import open_s3_log
from persistence.s3.settings import Settings
from persistence.stores import index_folder

PLACE = Bucket(Settings(bucket="mine"))
PRECIOUS = "what somebody else keeps here"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setattr(stores, "_NEW_SECONDS", -1)
    yield folder
    assert not list(folder.glob("mcp-v8-index-*/index"))


def test_what_a_killed_process_has_left_is_removed(temporary: Path) -> None:
    left = temporary / "mcp-v8-index-left"
    left.mkdir(mode=0o700)
    (left / "lock").write_text("1 here\n")
    with index_folder(PLACE) as index:
        assert index.parent.parent == temporary
        assert not left.exists()
        with index_folder(PLACE):
            assert index.parent.exists(), "one that is in use stays"


async def test_what_a_copy_reads_a_bucket_in_is_such_a_folder_too(temporary: Path, tmp_path: Path) -> None:
    bucket = MemoryBucket()
    async with open_s3_log(bucket, tmp_path / "index"):
        pass
    found: list[str] = []
    bucket.before_call = lambda operation, key: found.extend(path.name for path in temporary.iterdir())
    async with from_bucket(bucket) as source:
        assert await source.known_blobs() == set()
    assert found
    assert all(name.startswith("mcp-v8-index-") for name in found)


def test_nothing_is_written_through_a_link_that_somebody_has_put_there(
    temporary: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").write_text(PRECIOUS)
    (temporary / "mcp-v8-index-link").symlink_to(elsewhere)
    with index_folder(PLACE):
        assert (elsewhere / "lock").read_text() == PRECIOUS


def test_nothing_is_written_in_a_folder_of_another_user(
    temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    precious = tmp_path / "precious"
    precious.write_text(PRECIOUS)
    trap = temporary / "mcp-v8-index-trap"
    trap.mkdir()
    (trap / "lock").symlink_to(precious)
    another = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: another)
    with index_folder(PLACE):
        assert precious.read_text() == PRECIOUS
        assert trap.exists()
