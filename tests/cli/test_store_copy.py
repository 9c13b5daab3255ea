"""``mcp-v8 store copy``: a backup of a store that is in use, which can be served; and nothing half."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import trio
from checkpointing import Checkpoints
from engines import opened
from made_sessions import executed, make
from server_process import COMMAND, ServerProcess, running
from typed import SECONDS, environment, in_terminal, piped

from cli.entry import INTERRUPTED
from persistence.readonly import open_sqlite_reader
from persistence.schema import DATABASE_NAME

CLIENTS = 4


def copied(store: Path, to: str | Path, *flags: str, status: int = 0) -> str:
    """What the command says on stdout, if all is well, or on stderr."""
    ended = piped("store", "copy", to, *flags, "--directory-path", store, status=status)
    return ended.out or ended.err


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def run(server: ServerProcess, session: str, code: str) -> dict[str, Any]:
    answer = httpx2.post(f"{server.url}/api/exec", json={"code": code, "session": session}, timeout=SECONDS)
    told = answer.json()
    assert isinstance(told, dict)
    return told


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with "demo", whose last state has a checkpoint."""
    directory = tmp_path_factory.mktemp("sound") / "store"

    async def fill() -> None:
        seen = Checkpoints()
        cache = directory.parent / "cache"
        async with opened(directory, cache, restore_target_seconds=0, observers=[seen]) as engine:
            await engine.run("let n = 1", session="demo")
            await seen.of(1)

    trio.run(fill)
    return directory


@contextmanager
def written_to(server: ServerProcess) -> Iterator[list[tuple[str, str]]]:
    """Clients that count in sessions of their own, without a pause; session and id of each execution that was
    answered.
    """
    answered: list[tuple[str, str]] = []
    enough = threading.Event()

    def count(session: str) -> None:
        run(server, session, "let n = 0")
        while not enough.is_set():
            told = run(server, session, "n += 1")
            assert told["status"] == "completed"
            answered.append((session, told["execution_id"]))

    with ThreadPoolExecutor(CLIENTS) as threads:
        counting = [threads.submit(count, f"busy-{number}") for number in range(CLIENTS)]
        try:
            yield answered
        finally:
            enough.set()
        for one in counting:
            one.result(SECONDS)


def test_a_copy_beside_a_server_has_all_that_was_answered_and_can_be_served(
    store: Path, tmp_path: Path
) -> None:
    original, to = shutil.copytree(store, tmp_path / "store"), tmp_path / "backups" / "monday"
    with running("--directory-path", str(original)) as server, written_to(server) as answered:
        deadline = time.monotonic() + SECONDS
        while len({session for session, _ in answered}) < CLIENTS:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        before = list(answered)
        said = copied(original, to)
        assert len(answered) > len(before), "and the server went on meanwhile"
    assert "1 checkpoint: all as they were written\n" in said
    assert said.endswith(f"The copy is in {to}.\n")
    assert names(to.parent) == ["monday"]

    async def known() -> list[bool]:
        async with open_sqlite_reader(to) as log:
            return [await log.execution(execution) is not None for _, execution in before]

    assert all(trio.run(known))
    with running("--directory-path", str(to)) as restored:
        for number in range(CLIENTS):
            session = f"busy-{number}"
            counted = run(restored, session, "n")["result_json"]
            assert counted >= sum(one == session for one, _ in before)
    assert piped("state", "demo", "n", "--owner", "tester", "--directory-path", to).out == "1\n"


def test_a_copy_of_a_copy_is_how_a_store_comes_back(store: Path, tmp_path: Path) -> None:
    copied(store, tmp_path / "backup")
    told = json.loads(copied(tmp_path / "backup", tmp_path / "restored", "--json"))
    kept = {key: told[key] for key in ("to", "kept", "sessions", "events", "checkpoints", "damaged", "sound")}
    assert kept == {
        "to": str(tmp_path / "restored"),
        "kept": True,
        "sessions": 1,
        "events": 2,
        "checkpoints": 1,
        "damaged": 0,
        "sound": True,
    }
    assert piped("log", "demo", "--directory-path", tmp_path / "restored").lines[1].endswith("let n = 1")


def test_on_a_terminal_it_says_how_far_it_is(store: Path, tmp_path: Path) -> None:
    shown = in_terminal("store", "copy", tmp_path / "copy", "--directory-path", store).out
    for stage in ("copying the log: ", "copying checkpoints: 1/1 blobs", "verifying: 1/1 sessions"):
        assert stage in shown


# --- what is no whole copy --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that takes a while to be copied."""
    directory = tmp_path_factory.mktemp("large") / "store"
    make(directory, "demo", [executed(f"'{number:05}' + '{'x' * 60_000}'") for number in range(300)])
    return directory


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_a_copy_that_is_ended_in_the_middle_is_none(large: Path, tmp_path: Path, number: int) -> None:
    to = tmp_path / "copies" / "copy"
    to.parent.mkdir()
    command = [COMMAND, "store", "copy", str(to), "--directory-path", str(large)]
    process = subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + SECONDS
    while not list(to.parent.glob(f".copy.*.partial/{DATABASE_NAME}")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(number)
    out, _ = process.communicate(timeout=SECONDS)
    assert (process.returncode, out) == (-number if number == signal.SIGKILL else INTERRUPTED, b"")
    (left,) = names(to.parent) if number == signal.SIGKILL else [".copy.x.partial"]
    assert not to.exists()
    assert (left[0], left.rpartition(".")[2]) == (".", "partial")
    copied(large, to)
    assert to.exists()


@pytest.fixture
def damaged(store: Path, tmp_path: Path) -> Path:
    """The store, with an event that was altered."""
    directory = Path(shutil.copytree(store, tmp_path / "damaged"))
    with closing(sqlite3.connect(directory / DATABASE_NAME)) as db:
        db.execute("UPDATE events SET body = zeroblob(length(body)) WHERE seq = 1")
        db.commit()
    return directory


def test_of_a_damaged_store_it_says_what_is_damaged_and_keeps_nothing(damaged: Path, tmp_path: Path) -> None:
    said = copied(damaged, tmp_path / "copy", status=4)
    assert said.startswith("demo: 2 events\n  event 1  it does not hash to its name: the store was altered\n")
    assert said.endswith("No copy was kept; --keep-damaged keeps one.\n")
    assert names(tmp_path) == ["damaged"]
    told = json.loads(copied(damaged, tmp_path / "copy", "--json", status=4))
    assert (told["kept"], told["sound"], told["damaged"]) == (False, False, 1)


def test_a_damaged_store_is_copied_as_it_is_where_that_is_asked_for(damaged: Path, tmp_path: Path) -> None:
    said = copied(damaged, tmp_path / "copy", "--keep-damaged", status=4)
    assert said.endswith(f"The copy is in {tmp_path / 'copy'}.\n")
    assert (
        piped("verify", "--directory-path", tmp_path / "copy", status=4).out == said.rpartition("The copy")[0]
    )


def test_a_checkpoint_that_is_lost_is_told_of(store: Path, tmp_path: Path) -> None:
    original = Path(shutil.copytree(store, tmp_path / "store"))
    (blob,) = (path for path in (original / "blobs").rglob("*") if path.is_file())
    blob.write_bytes(b"another")
    said = copied(original, tmp_path / "copy", status=4)
    assert "checkpoint of event 1  its blob is missing" in said


@pytest.mark.parametrize(
    ("to", "flags", "status", "said"),
    [
        (
            "http://backups/monday",
            (),
            2,
            "http://backups/monday is neither a folder of this machine nor s3://",
        ),
        ("copy", ("--owner", "ann"), 2, "a copy has the whole store"),
        ("store", (), 1, "is something already: a copy gets a new folder, or an empty one"),
        ("/proc/copy", (), 1, "/proc/.copy."),
    ],
)
def test_what_cannot_be_is_one_sentence(
    store: Path, to: str, flags: tuple[str, ...], status: int, said: str
) -> None:
    where = to if "/" in to else str(store.parent / to)
    told = copied(store, where, *flags, status=status)
    assert said in told
    assert told.count("\n") == (4 if status == 2 and "usage" in told.lower() else 1)
    assert "copy" not in names(store.parent)


def test_a_store_that_is_not_there_or_elsewhere_is_not_copied(tmp_path: Path) -> None:
    told = copied(tmp_path / "nowhere", tmp_path / "copy", status=3)
    assert told.startswith(f"mcp-v8: there is no store in {tmp_path / 'nowhere'}")
    asked = piped("store", "copy", tmp_path / "copy", "--url", "http://localhost:1", status=2)
    assert asked.err.startswith("mcp-v8: a store is copied where its files are")
    assert names(tmp_path) == []
