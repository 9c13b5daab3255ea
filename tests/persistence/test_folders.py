"""The folder of a store is as durable as what is in it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from persistence import folders
from persistence.sqlite import open_sqlite_log


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The paths of what is synced, as it happens."""
    paths: list[Path] = []
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        paths.append(Path(f"/proc/self/fd/{descriptor}").readlink())
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    return paths


async def test_every_folder_that_a_new_store_makes_is_on_the_disk(tmp_path: Path, synced: list[Path]) -> None:
    async with open_sqlite_log(tmp_path / "a" / "b" / "c"):
        pass
    assert {tmp_path, tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a" / "b" / "c"} <= set(synced)


def test_a_folder_that_somebody_else_made_a_moment_ago_is_on_the_disk_too(
    tmp_path: Path, synced: list[Path]
) -> None:
    (tmp_path / "a").mkdir()
    folders.make(tmp_path / "a")
    assert synced == [tmp_path]


def test_only_the_owner_may_look_into_it(tmp_path: Path) -> None:
    folders.make(tmp_path / "a")
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


def test_one_in_a_folder_that_may_not_be_listed_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever made it for this program saw to its name."""

    def forbidden(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    (tmp_path / "a").mkdir()
    monkeypatch.setattr(os, "open", forbidden)
    folders.make(tmp_path / "a")


def test_a_sync_that_fails_is_no_success(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(OSError, match="Input/output error"):
        folders.make(tmp_path / "a")
