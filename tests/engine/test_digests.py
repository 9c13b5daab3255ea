"""The digests of files are those of their content, and made again once one of them is another one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from engine.isolate import digests


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    made = tmp_path / "library", tmp_path / "data"
    for path in made:
        path.write_bytes(path.name.encode())
    return made


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Which files were read."""
    paths: list[Path] = []
    whole = digests._digest

    def digest(path: Path) -> bytes:
        paths.append(path)
        return whole(path)

    monkeypatch.setattr(digests, "_digest", digest)
    return paths


def expected(files: tuple[Path, Path]) -> list[bytes]:
    return [hashlib.sha256(path.read_bytes()).digest() for path in files]


def test_files_are_read_once_as_long_as_they_stay(
    files: tuple[Path, Path], read: list[Path], tmp_path: Path
) -> None:
    for _ in range(3):
        assert digests.of(files, tmp_path / "cache") == expected(files)
    assert read == list(files)


def test_a_file_that_was_replaced_is_read_again(
    files: tuple[Path, Path], read: list[Path], tmp_path: Path
) -> None:
    digests.of(files, tmp_path / "cache")
    files[0].write_bytes(b"longer than it was")
    assert digests.of(files, tmp_path / "cache") == expected(files)
    files[1].write_bytes(files[1].read_bytes().upper())
    os.utime(files[1], (1, 1))
    assert digests.of(files, tmp_path / "cache") == expected(files)
    assert len(read) == 6


@pytest.mark.parametrize("left", [b"", b"torn", 64, -1])
def test_a_record_that_is_torn_or_altered_says_nothing(
    files: tuple[Path, Path], tmp_path: Path, left: bytes | int
) -> None:
    digests.of(files, tmp_path / "cache")
    (record,) = (tmp_path / "cache").iterdir()
    data = record.read_bytes()
    record.write_bytes(left if isinstance(left, bytes) else data[:left])
    assert digests.of(files, tmp_path / "cache") == expected(files)
    for at in range(len(data)):
        record.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert digests.of(files, tmp_path / "cache") == expected(files)


def test_without_a_cache_or_with_one_that_cannot_be_written_they_are_made_each_time(
    files: tuple[Path, Path], read: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("no folder")
    for folder in (None, tmp_path / "file" / "cache"):
        assert digests.of(files, folder) == expected(files)
    assert len(read) == 4


def test_few_records_are_kept(files: tuple[Path, Path], tmp_path: Path) -> None:
    for turn in range(2 * digests.KEPT):
        os.utime(files[0], (turn, turn))
        digests.of(files, tmp_path / "cache")
    assert len(list((tmp_path / "cache").iterdir())) == digests.KEPT
