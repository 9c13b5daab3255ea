"""What a command on a store says on stderr beside its answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import trio
from checkpointing import Checkpoints
from engines import opened
from typed import environment, piped

from transports.identity import LOCAL

WITH_A_BUG = """
import sys
from engine.catalog import Catalog
from cli.main import main

async def broken(*_, **__):
    raise RuntimeError("a bug \\x1b[31m")

Catalog.session = broken
main(sys.argv[1:])
"""


@pytest.fixture
def store(tmp_path: Path, cache_dir: Path) -> Path:
    """A store with a session "a" of four events, and checkpoints whose blobs are gone."""
    directory = tmp_path / "store"

    async def make() -> None:
        made = Checkpoints()
        async with opened(directory, cache_dir, restore_target_seconds=0, observers=[made]) as engine:
            for seq in range(1, 5):
                await engine.run(f"globalThis.n = {seq}", session="a", owner=LOCAL.owner)
                await made.of(seq)

    trio.run(make)
    for blob in directory.glob("blobs/??/*"):
        blob.unlink()
    return directory


@pytest.mark.parametrize(
    "command", [("state", "a@2", "n"), ("bisect", "a", "n >= 3"), ("exec", "n", "--session", "a")]
)
def test_a_checkpoint_that_cannot_be_used_is_told_once_and_harms_nothing(
    store: Path, command: tuple[str, ...]
) -> None:
    told = piped(*command, "--directory-path", store)
    said = [line for line in told.err.splitlines() if "is not used" in line]
    assert said
    assert len(said) == len(set(said))
    assert all(line.startswith("mcp-v8: the checkpoint of ") for line in said)


def test_what_the_answer_says_is_not_said_twice(store: Path) -> None:
    (store / "events.db").write_bytes(b"x" * 10_000)
    told = piped("sessions", "--directory-path", store, status=4)
    assert len(told.err.splitlines()) == 1


def test_a_bug_is_one_traceback_and_one_sentence(store: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", WITH_A_BUG, "log", "a", "--directory-path", store],
        capture_output=True,
        text=True,
        env=environment(),
        timeout=60,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("Traceback") == 1
    assert "RuntimeError: a bug ␛[31m" in ended.stderr
    *_, last = ended.stderr.splitlines()
    assert last.startswith("mcp-v8: internal error ")
    assert last.endswith(": what was logged under this id has the details")
    assert ended.stderr.startswith(f"{last.partition(': what')[0]}\n")
