"""What the tests' own zygotes are: forks where a start would come to the same, and ended as others are."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import httpx2
import pytest
import trio
from engines import OpenEngine, opened
from server_process import ServerProcess

from engine import zygote


def is_fork(pid: int) -> bool:
    """Whether it is, or a process that was started as one."""
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    assert (b"zygote_forks.py" in command) != (zygote.ZYGOTE[-1].encode() in command)
    return b"zygote_forks.py" in command


def exists(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def fork_of(folder: Path) -> bool:
    """Whether an engine with that cache folder has one; it must work."""
    async with opened(None, folder) as engine:
        assert await engine.value("new Map([[1, new Date(0).getTimezoneOffset()]])") == "Map(1) { 1 => 0 }"
        return is_fork(engine.supervisor.status()["zygote_pid"])


async def test_it_is_a_fork_once_the_cache_folder_is_full(cache_dir: Path) -> None:
    await fork_of(cache_dir)
    assert await fork_of(cache_dir)


@pytest.mark.own_zygote
async def test_it_is_started_where_a_test_says_so(cache_dir: Path) -> None:
    assert not await fork_of(cache_dir)


@pytest.mark.parametrize("pattern", ["base-*.image", "self-test-*.passed"])
async def test_it_is_started_where_a_file_of_the_cache_is_another_one(
    cache_dir: Path, tmp_path: Path, pattern: str
) -> None:
    await fork_of(cache_dir)
    folder = tmp_path / "cache"
    shutil.copytree(cache_dir, folder)
    assert await fork_of(folder)
    for path in folder.glob(pattern):
        path.write_bytes(path.read_bytes()[:-1] + b"?")
    assert not await fork_of(folder)
    assert await fork_of(folder), "the start has made the file again"


async def test_it_ends_with_an_engine(open_engine: OpenEngine, tmp_path: Path, cache_dir: Path) -> None:
    await fork_of(cache_dir)
    async with open_engine(tmp_path) as engine:
        pid = engine.supervisor.status()["zygote_pid"]
        assert is_fork(pid)
    assert not exists(pid)


async def test_it_ends_with_a_server_that_is_killed(tmp_path: Path, cache_dir: Path) -> None:
    await fork_of(cache_dir)
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    shutil.copytree(cache_dir, tmp_path / "mcp-v8")
    server = await trio.to_thread.run_sync(
        lambda: ServerProcess("--directory-path", str(tmp_path / "store"), environment=environment)
    )
    pid = httpx2.get(f"{server.url}/readyz").json()["zygote_pid"]
    assert is_fork(pid)
    await trio.to_thread.run_sync(server.terminate, signal.SIGKILL)
    with trio.fail_after(30):
        while exists(pid):  # noqa: ASYNC110 (nobody tells)
            await trio.sleep(0.01)
