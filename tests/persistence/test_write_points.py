"""Wherever a write, a sync or a change of a name fails, is torn or lost: the store is as it was said to be.

The programs under test are SQLite and Python as they are; what fails are their calls of the system (see
``faults/shim.c``). What is swept: the making of a store, appends to several sessions, in groups and alone, forks
of sessions, pointers to checkpoints, blobs that are put and collected, purges of deleted sessions, the write-ahead log moved to the database
and begun anew, and the closing. A run of every ``stride``-th point begins with a seeded one: many runs sweep all.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from faults.shim import compiled, environment, program
from sampling import each

SECONDS = {"short": 180, "torture": 1_800}
"""Bounds against what hangs; on a quiet machine a kind takes 2 s, or 40."""
KINDS = {
    "none": (1, 1),
    "full": (20, 15),
    "broken": (20, 15),
    "reported": (6, 12),
    "short": (40, 4),
    "short_full": (25, 8),
    "stays_full": (40, 6),
    "stays_broken": (30, 8),
    "dropped": (5, 8),
    "all_dropped": (1, 40),
    "bad_while": (15, 20),
    "torn": (20, 15),
    "power": (9, 35),
    "lost": (6, 6),
}
"""What a fault is, of how many points the short run takes one, and how many points it must at least have had."""


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("shim"))


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Path]:
    """A folder that costs no disk: what would be on one is the shim's business."""
    try:
        folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    except OSError:
        yield tmp_path
        return
    yield folder
    shutil.rmtree(folder)


async def sweep(
    shim: Path, directory: Path, kind: str, seed: int, stride: int, seconds: float
) -> dict[str, Any]:
    command = program("points.py", kind, seed, stride, directory)
    with trio.fail_after(seconds):
        ran = await trio.run_process(
            command, env=environment(shim), capture_stdout=True, capture_stderr=True, check=False
        )
    assert ran.returncode == 0, ran.stderr.decode()
    report: dict[str, Any] = json.loads(ran.stdout.splitlines()[-1])
    assert "wrong" not in report, f"{report['wrong']}\n{json.dumps(report, indent=1)}\n{ran.stderr.decode()}"
    print("swept:", report)  # noqa: T201 (pytest shows it with a failure, and with -rP)
    return report


@pytest.mark.parametrize("kind", each(3, KINDS))
async def test_wherever_a_call_fails_what_was_said_is_true(shim: Path, memory: Path, kind: str) -> None:
    """The environment variable ``SEED`` repeats the choices of an earlier run."""
    seed = int(os.environ.get("SEED") or secrets.randbits(32))
    stride, least = KINDS[kind]
    report = await sweep(shim, memory, kind, seed, stride, SECONDS["short"])
    assert report["acknowledged"] > 20
    assert report["swept"] >= least - 1


@pytest.mark.torture
@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "none"])
async def test_at_every_point_where_a_call_fails_what_was_said_is_true(
    shim: Path, memory: Path, kind: str
) -> None:
    seed = int(os.environ.get("SEED") or secrets.randbits(32))
    report = await sweep(shim, memory, kind, seed, 1, SECONDS["torture"])
    assert report["swept"] == report["points"] > 40
