"""``mcp-v8 gc``: what nobody needs is shown, and removed when that is asked for."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
import trio
from engines import CALLER, OWNER, opened
from server_process import running
from typed import environment, piped, run

from persistence.schema import DATABASE_NAME

HOUR_US = 3_600_000_000


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Path:
    """A store with "kept", "old" and "recent"; the last two are deleted, and "old" two hours ago. There is a blob
    that no checkpoint needs, as old.
    """
    directory = tmp_path_factory.mktemp("made") / "store"

    async def make() -> None:
        async with opened(directory, cache_dir) as engine:
            for name in ("kept", "old", "recent"):
                await engine.run("'x'.repeat(3000)", session=name)
            for name in ("old", "recent"):
                await engine.supervisor.requests.delete(OWNER, name, CALLER)
            await engine.supervisor._sessions.blobs.put(b"nobody's" * 512)

    trio.run(make)
    with closing(sqlite3.connect(directory / DATABASE_NAME)) as db:
        db.execute(f"UPDATE sessions SET last_at = last_at - {2 * HOUR_US} WHERE name = 'old'")
        db.commit()
    for path in directory.glob("blobs/??/*"):
        os.utime(path, (1, 1))
    return directory


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """A copy of that store."""
    return Path(shutil.copytree(made, tmp_path / "store"))


def gc(*flags: str) -> subprocess.CompletedProcess[str]:
    """What the command says; never a traceback."""
    ended = run("gc", *flags, environment=environment())
    assert "Traceback" not in ended.stderr
    return ended


def files(store: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def sessions(store: Path) -> set[str]:
    with closing(sqlite3.connect(store / DATABASE_NAME)) as db:
        return {name for (name,) in db.execute("SELECT name FROM sessions")}


def test_what_nobody_needs_is_shown_and_left(store: Path) -> None:
    before = files(store)
    ended = gc("--directory-path", str(store))
    assert (ended.returncode, ended.stderr) == (0, "")
    head, events, blobs, advice = ended.stdout.splitlines()
    assert head.split() == ["now", "within", "the", "hour"]
    assert events.startswith("events of deleted sessions      3 (")
    assert events.count("3 (") == 2
    assert blobs.split("  ")[-1].strip() == "none"
    assert "1 (4.0 KiB)" in blobs
    assert advice == "Nothing was removed: mcp-v8 gc --yes removes what is there now."
    assert files(store) == before


def test_with_yes_it_is_removed_and_what_is_needed_or_recent_stays(store: Path) -> None:
    ended = gc("--yes", "--directory-path", str(store))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("removed 3 events (")
    assert ended.stdout.endswith("KiB) of 1 deleted session, 1 blob (4.0 KiB)\n")
    assert sessions(store) == {"kept", "recent"}
    assert not list(store.glob("blobs/??/*"))
    again = gc("--directory-path", str(store))
    assert "events of deleted sessions      none      3 (" in again.stdout
    assert "Nothing was removed" not in again.stdout
    assert run("verify", "--directory-path", store).returncode == 0


def test_json_is_what_the_api_says(store: Path) -> None:
    found = json.loads(gc("--json", "--directory-path", str(store)).stdout)
    later = found.pop("later")
    assert (found["sessions"], found["events"], found["blobs"], found["blob_bytes"]) == (1, 3, 1, 4_096)
    assert (later["sessions"], later["events"], later["blobs"]) == (1, 3, 0)
    removed = json.loads(gc("--json", "--yes", "--directory-path", str(store)).stdout)
    assert removed == {"type": "end", **found}


@pytest.mark.parametrize("flags", [[], ["--yes"]])
def test_no_store_is_made_where_there_is_none(tmp_path: Path, flags: list[str]) -> None:
    ended = gc(*flags, "--directory-path", str(tmp_path / "none"))
    assert (ended.returncode, ended.stdout) == (3, "")
    assert ended.stderr.startswith(f"mcp-v8: there is no store in {tmp_path / 'none'}: give --directory-path")
    assert list(tmp_path.iterdir()) == []


def test_what_a_server_owns_is_asked_of_the_server(store: Path) -> None:
    with running("--directory-path", str(store)) as server:
        assert gc("--directory-path", str(store)).returncode == 0, "looking is free"
        refused = gc("--yes", "--directory-path", str(store))
        assert (refused.returncode, refused.stdout) == (1, "")
        assert f"in use by another mcp-v8 (process {server.process.pid})" in refused.stderr
        assert refused.stderr.rstrip().endswith("or ask that one, by --url")
        ended = gc("--yes", "--url", server.url)
        assert (ended.returncode, ended.stderr) == (0, "")
        found = gc("--url", server.url)
    assert "events of deleted sessions      none      3 (" in found.stdout, (
        "the server has done it, or was asked to"
    )
    assert sessions(store) == {"kept", "recent"}


def test_it_is_about_the_whole_store_and_so_takes_no_owner(tmp_path: Path) -> None:
    ended = piped("gc", "--owner", "ann", "--directory-path", str(tmp_path), status=2)
    assert "leave out --owner" in ended.err
