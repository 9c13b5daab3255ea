"""The replay and debug commands as they are typed: a process each, from its start to its end."""

from __future__ import annotations

import os
import shutil
import sqlite3
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import trio

from benchmarks import load
from benchmarks.engines import open_engine
from benchmarks.histories import make_long
from benchmarks.load import LoadError
from benchmarks.measure import COUNT, execute
from benchmarks.processes import COMMAND, Server, mcp_v8

SCREEN_LINES = 24
"""Lines of a terminal, after which a listing has shown something."""
NEEDLE = "needle"
PATIENCE_SECONDS = 600


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much there is to look at."""

    events: int = 10_000
    """Of the session of most measurements."""
    searched: int = 100_000
    """Events that are searched."""
    sessions: int = 8
    of_session: int = 1_000
    """Events of each of those."""


QUICK = Sizes(events=100, searched=1_000, sessions=2, of_session=20)


@dataclass(frozen=True, kw_only=True)
class Bisection:
    """A search over all events."""

    seconds: float
    evaluations: int


@dataclass(frozen=True, kw_only=True)
class Measured:
    """Medians, in seconds, but for what is measured once."""

    sizes: Sizes
    processors: int
    start: float
    """A command that does nothing."""
    log_store: float
    """Until the first screen is there."""
    log_server: float
    find_last: float
    """Text that one event has, the newest."""
    find_none: float
    """Text that no event has."""
    replay: float
    """One session, once."""
    replay_all_on_one: float
    """All of several sessions, once, on one processor."""
    replay_all: float
    """On all processors."""
    kept: Bisection
    """With the checkpoints that a server made."""
    bare: Bisection
    """Without any."""
    exported: float
    imported: float
    report: float
    report_bare: float
    """Without a replay."""
    report_bytes: int


def measured(folder: Path, rounds: int, sizes: Sizes) -> Measured:
    """Measure all of it, with stores in ``folder``."""
    long, many, huge = (folder / name for name in ("long", "many", "huge"))
    with mcp_v8("--directory-path", str(long)) as server:
        _count(server, ["long"], sizes.events)
        log_server = _first_screen("log", "long", "--url", f"http://127.0.0.1:{server.port}", rounds=rounds)
    with mcp_v8("--directory-path", str(many)) as server:
        _count(server, [f"many-{i}" for i in range(sizes.sessions)], sizes.sessions * sizes.of_session)
    trio.run(_make_huge, huge, sizes.searched)
    store = ("--directory-path", str(long))
    page, file = folder / "long.html", folder / "long.file"
    report = _seconds("report", "long", "-o", str(page), *store)
    exported = _seconds("export", "long", "-o", str(file), *store)
    return Measured(
        sizes=sizes,
        processors=len(os.sched_getaffinity(0)),
        start=_median(4 * rounds, "--version"),
        log_store=_first_screen("log", "long", *store, rounds=rounds),
        log_server=log_server,
        find_last=_median(rounds, "find", NEEDLE, "--directory-path", str(huge)),
        find_none=_median(rounds, "find", "haystack", "--directory-path", str(huge), status=1),
        replay=_seconds("replay", "long", *store),
        replay_all_on_one=_on_one_processor("replay", "--all", "--directory-path", str(many)),
        replay_all=_seconds("replay", "--all", "--directory-path", str(many)),
        kept=_bisect(sizes, *store),
        bare=_bisect(sizes, "--directory-path", str(_without_checkpoints(long, folder / "bare"))),
        exported=exported,
        imported=_seconds("import", str(file), "--directory-path", str(folder / "imported")),
        report=report,
        report_bare=_seconds("report", "long", "--no-replay", "-o", str(folder / "bare.html"), *store),
        report_bytes=page.stat().st_size,
    )


def _count(server: Server, sessions: Sequence[str], events: int) -> None:
    """Let the sessions count until they have so many events together."""
    requests = [execute(COUNT, name) for name in sessions]
    load.run(load.Plan(port=server.port, requests=requests, expect='"completed"', seconds=600, most=events))


async def _make_huge(directory: Path, events: int) -> None:
    """A store with one session, in whose last event alone is the NEEDLE."""
    async with open_engine(directory) as engine:
        await make_long(engine, "huge", events - 1)
        await engine.run(f"'{NEEDLE}'", "huge")


def _without_checkpoints(store: Path, copy: Path) -> Path:
    """A copy of the store, in which events alone are left."""
    shutil.copytree(store, copy)
    shutil.rmtree(copy / "blobs")
    with closing(sqlite3.connect(copy / "events.db", isolation_level=None)) as db:
        db.execute("DELETE FROM checkpoints")
    return copy


def _bisect(sizes: Sizes, *target: str) -> Bisection:
    """Find the event from which on two thirds are counted."""
    wanted = sizes.events * 2 // 3
    with _running("bisect", "long", f"n >= {wanted}", "--json", *target) as process:
        began = time.perf_counter()
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
        seconds = time.perf_counter() - began
    told = msgspec.json.decode(out)
    if told["event"] != wanted:
        raise LoadError(f"bisect found {told['event']}, not {wanted}")
    return Bisection(seconds=seconds, evaluations=told["evaluations"])


def _first_screen(*arguments: str, rounds: int) -> float:
    """Until the first lines are there, the median of some rounds."""
    times = []
    for _ in range(4 * rounds):
        began = time.perf_counter()
        with _running(*arguments) as process:
            assert process.stdout is not None
            for _ in range(SCREEN_LINES):
                process.stdout.readline()
            times.append(time.perf_counter() - began)
            process.communicate(timeout=PATIENCE_SECONDS)
    return statistics.median(times)


def _median(rounds: int, *arguments: str, status: int = 0) -> float:
    return statistics.median(_seconds(*arguments, status=status) for _ in range(rounds))


def _on_one_processor(*arguments: str) -> float:
    """The same of a command that may use one processor, whatever there are."""
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(usable)})  # children inherit it
    try:
        return _seconds(*arguments)
    finally:
        os.sched_setaffinity(0, usable)


def _seconds(*arguments: str, status: int = 0) -> float:
    """What a command takes."""
    began = time.perf_counter()
    with _running(*arguments, status=status) as process:
        process.communicate(timeout=PATIENCE_SECONDS)
    return time.perf_counter() - began


@contextmanager
def _running(*arguments: str, status: int = 0) -> Iterator[subprocess.Popen[bytes]]:
    """A command, which must end with that status. Raises LoadError."""
    process = subprocess.Popen(
        [COMMAND, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    with process:
        yield process
    if process.returncode != status:
        raise LoadError(f"mcp-v8 {' '.join(arguments)} ended with status {process.returncode}")
