"""Runs a workload once for each write point, with a fault there, and checks what is left.

A program of its own, with the shim preloaded: ``points.py kind seed stride directory``. It forks, for every
``stride``-th point, a process that works with the fault and one that looks at what it left; so nothing of Trio
may run before. The last line that it prints is a JSON object: what was swept, or what was wrong.
"""

from __future__ import annotations

import ctypes
import gc
import json
import logging
import os
import random
import shutil
import signal
import sqlite3
import sys
import traceback
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import trio
from log_samples import History, checkpoint_of, collect

from engine.chain import Record
from engine.errors import BlobError, BlobMissing, BlobStoreFailed, StoreError, StoreFailed
from engine.events import Closed
from persistence import purge, schema, writer
from persistence.directory_blobs import DirectoryBlobStore
from persistence.sqlite import SqliteEventLog, open_sqlite_log

KINDS = (
    "none",
    "full",
    "broken",
    "reported",
    "short",
    "short_full",
    "stays_full",
    "stays_broken",
    "dropped",
    "all_dropped",
    "bad_while",
    "torn",
    "power",
    "lost",
)
"""The same order as in shim.c, where they are explained."""
LASTING = ("stays_full", "stays_broken", "all_dropped", "bad_while")
DIED = 86
ENDINGS = (
    "closed",
    "cut",
    "closed, cut",
    "cut when something failed",
    "cut when something was done after the fault",
    "killed when something failed",
)
"""How a run ends that its fault has not ended: a power cut, or a kill, which loses nothing but the process."""
RUN_SECONDS = 20
"""A process that takes longer hangs."""
LATER = 1 << 60
"""When all that was deleted may be removed."""
SESSIONS = ("a", "b", "c", "fork", "late")
BLOBS = {name: name.encode() * size for name, size in (("x", 3_000), ("y", 70_001), ("z", 10), ("w", 900))}

Say = Callable[..., None]


class Shim:
    """The library that is preloaded."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._library.faults_place.restype = ctypes.c_char_p

    def arm(self, directory: Path, kind: str, point: int, seed: int) -> None:
        graves = directory.with_name(f"{directory.name}.{os.getpid()}.graves")
        graves.mkdir()
        paths = (os.fsencode(directory), os.fsencode(graves))
        self._library.faults_arm(*paths, KINDS.index(kind), ctypes.c_long(point), ctypes.c_ulong(seed))

    def trace(self, descriptor: int) -> None:
        self._library.faults_trace(descriptor)

    @property
    def place(self) -> str:
        """The path of the write point; empty if it was not reached."""
        return os.fsdecode(self._library.faults_place())

    def power_cut(self) -> None:
        """Does not return."""
        self._library.faults_power_cut()


# --- the process that works -----------------------------------------------------------------------


class Client:
    """Appends, puts, sweeps and purges, and says before what it wants and after what came of it."""

    def __init__(self, log: SqliteEventLog, blobs: DirectoryBlobStore, say: Say, tries: int) -> None:
        self._log = log
        self._blobs = blobs
        self._say = say
        self._tries = tries

    async def append(self, history: History, *make: Callable[[], Record]) -> None:
        """Append what ``make`` makes, unless the history has not begun because that failed."""
        if not history.records and make[0].__name__ not in ("created", "forked_here"):
            return
        records = [one() for one in make]
        for _ in range(self._tries):
            if await self._answered("event", list(map(named, records)), self._log.append, records):
                return
        for _ in records:
            history.undo()

    async def remember(self, record: Record, blob: str, *forget: tuple[Record, str]) -> None:
        new = checkpoint_of(record, blob=sha256(BLOBS[blob]).hexdigest())
        old = [checkpoint_of(one, blob=sha256(BLOBS[name]).hexdigest()) for one, name in forget]
        await self._answered("pointer", [new.blob], self._log.add_checkpoint, new, old)

    async def put(self, blob: str) -> None:
        await self._answered("blob", [blob], self._blobs.put, BLOBS[blob])

    async def sweep(self) -> None:
        needed: set[str] = set()

        async def find() -> None:
            needed.update(await self._log.checkpoint_blobs())

        if not await self._answered("pointer", ["needed"], find):
            return
        for name, data in BLOBS.items():
            if sha256(data).hexdigest() not in needed:
                self._say("swept", "blob", [name])
        await self._answered("sweep", [], self._sweep, needed)

    async def _sweep(self, needed: set[str]) -> None:
        await self._blobs.sweep(needed, older_than=-60)

    async def purge(self, history: History, kept: int) -> None:
        """Remove the events of a closed session one by one, but for the first ones, which a fork needs."""
        if not history.records or not isinstance(history.head.event, Closed):
            return  # it could not be closed
        for record in reversed(history.records[kept:]):
            if not await self._answered("purge", [named(record)], self._log.purge, history.session, LATER):
                return

    async def _answered(
        self, what: str, names: list[str], work: Callable[..., Awaitable[object]], *arguments: object
    ) -> bool:
        self._say("try", what, names)
        try:
            await work(*arguments)
        except (StoreFailed, BlobStoreFailed) as failed:
            self._say("failed", what, names, failed.message)
            return False
        except StoreError as unknown:
            self._say("unknown", what, names, unknown.message)
            return False
        self._say("done", what, names)
        return True


def named(record: Record) -> str:
    return f"{record.event.session}@{record.event.seq}:{record.id.hex()[:12]}"


async def work(client: Client) -> None:
    a, b, c, fork, late = map(History, SESSIONS)
    await client.append(a, a.created, a.executed)
    await client.append(b, b.created)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.append, a, lambda: a.executed(code="x" * 9_000))
        nursery.start_soon(client.append, b, b.executed, b.executed)
        nursery.start_soon(client.append, c, c.created)
    await client.put("x")
    if a.records:
        await client.remember(a.head, "x")

        def forked_here() -> Record:
            return fork.forked(a.head)

        await client.append(fork, forked_here)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.put, "y")
        nursery.start_soon(client.append, b, lambda: b.tagged(0, v="1"))
    if a.records:
        await client.append(a, lambda: a.executed(code="y" * 20_000))
        await client.remember(a.head, "y", *[(one, "x") for one in a.records[:-1]])
    await client.put("z")
    await client.put("x")
    if b.records:
        await client.remember(b.head, "z")
    await client.append(b, b.closed)
    await client.sweep()
    await client.append(c, lambda: c.executed(code="z" * 6_000), lambda: c.aborted())
    begun = len(b.records) > 1 and not isinstance(b.records[1].event, Closed)

    def forked_there() -> Record:
        return late.forked(b.records[1])

    forked_there.__name__ = "forked_here"
    await client.append(late, forked_there if begun else late.created)
    await client.purge(b, 2 if begun and late.records else 0)
    await client.append(c, c.closed)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(client.purge, c, 0)
        nursery.start_soon(client.append, a, a.executed)
    await client.put("w")
    await client.append(fork, fork.executed)
    await client.append(a, a.executed)


def tables_are_small(path: Path) -> sqlite3.Connection:
    """So that the write-ahead log is moved to the database, and begun anew, within a short run."""
    db = schema.connect(path)
    db.execute("PRAGMA wal_autocheckpoint = 12")
    return db


def run(shim: Shim, base: Path, kind: str, point: int, seed: int, ending: str, say: Say) -> None:
    """Work with a fault at a write point."""

    def told(*words: object) -> None:
        say(*words, shim.place.removeprefix(f"{base}/"))
        if words[0] == "failed" and ending == "cut when something failed":
            shim.power_cut()
        if words[0] == "done" and shim.place and ending == "cut when something was done after the fault":
            shim.power_cut()
        if words[0] == "failed" and ending == "killed when something failed":
            os._exit(DIED)

    async def main() -> None:
        try:
            async with open_sqlite_log(base / "store") as log:
                told("opened")
                await work(Client(log, DirectoryBlobStore(base / "store"), told, 1 + point % 2))
                await look(log, told)
                if ending == "cut":
                    told("ended")
                    shim.power_cut()
        except* (StoreError, OSError) as failed:
            told("stopped", [f"{type(one).__name__}: {one}" for one in leaves(failed)])
        except* sqlite3.Error as failed:
            told("stopped", [f"sqlite3: {one}" for one in leaves(failed)])

    writer.RETRY_SECONDS = (0.0, 0.0)  # type: ignore[assignment]
    writer.connect = tables_are_small
    purge.STEP_EVENTS = 1
    base.mkdir()
    shim.arm(base, kind, point, seed)
    trio.run(main)
    told("ended")
    if ending == "closed, cut":
        shim.power_cut()


def leaves(group: BaseExceptionGroup[Any]) -> list[BaseException]:
    found: list[BaseException] = []
    for one in group.exceptions:
        found += leaves(one) if isinstance(one, BaseExceptionGroup) else [one]
    return found


async def look(log: SqliteEventLog, say: Say) -> None:
    """Say what is in the log."""
    try:
        for session in SESSIONS:
            say("read", session, list(map(named, await collect(log.read(session)))))
    except StoreError as failed:
        say("unread", failed.message)


# --- the process that looks -----------------------------------------------------------------------


def inspect(shim: Shim, base: Path, say: Say) -> None:
    """Open what was left, say what is in it, and go on with it."""

    async def main() -> None:
        try:
            async with open_sqlite_log(base / "store") as log:
                await look(log, say)
                store = DirectoryBlobStore(base / "store")
                for session in SESSIONS:
                    say("pointers", [one.blob for one in await log.checkpoints(session)])
                for name, data in BLOBS.items():
                    say("blob", name, await had(store, data))
                await go_on(log)
                say("goes on")
        except* (StoreError, OSError) as failed:
            say("refused", [f"{type(one).__name__}: {one}" for one in leaves(failed)])

    shim.arm(base, "none", 0, 0)
    trio.run(main)


async def had(store: DirectoryBlobStore, data: bytes) -> str:
    try:
        found = await store.get(sha256(data).hexdigest())
    except BlobMissing:
        return "missing"
    except BlobError as failed:
        return failed.code
    return "intact" if found == data else "ALTERED"


async def go_on(log: SqliteEventLog) -> None:
    """Another event for each open session, another session."""
    for session in SESSIONS:
        row = await log.session(session)
        if row is not None and not row.closed:
            history = History(session)
            async with aclosing(log.read(session)) as records:
                history.records = [record async for record in records]
            await log.append([history.executed(execution_id=f"e_after_{session}")])
            assert (await collect(log.read(session))) == history.records
    await log.append([History("after").created()])


# --- the judge ------------------------------------------------------------------------------------


class Wrong(Exception):
    """What was left is not as it was said to be."""


def judge(kind: str, told: list[list[Any]], status: int, found: list[list[Any]], looked: int) -> None:
    """Whether what is found agrees with what was told. Raises Wrong."""
    if looked:
        raise Wrong(f"the process that looks ended with status {looked}")
    fate: dict[tuple[str, str], str] = {}
    groups: list[list[str]] = []
    for word, *rest in told:
        if word in ("try", "done", "failed", "unknown", "swept"):
            for name in rest[1]:
                # Whatever came of another attempt, one that nobody knows about may have been stored.
                if word == "done" or fate.get((rest[0], name)) != "unknown":
                    fate[rest[0], name] = word
            if word == "try" and rest[0] == "event":
                groups.append(rest[1])
    cut = status == DIED
    if not cut and (status or told[-1][0] != "ended"):
        raise Wrong(f"the process ended with status {status}")
    if kind == "none" and any(word in ("failed", "unknown", "stopped") for word, *_ in told):
        raise Wrong("something failed without a fault")
    only_beside(kind, told)
    if not cut:
        agree(kind, fate, groups, [one for one in told if one[0] == "read"], "before the end")
    lied = kind == "lost" and cut
    refused = [one for one in found if one[0] in ("refused", "unread")]
    if refused and not lied:
        raise Wrong(f"the store is refused: {refused}")
    if refused:
        return
    if found[-1] != ["goes on"]:
        raise Wrong("the store cannot be gone on with")
    agree("lost" if lied else kind, fate, groups, [one for one in found if one[0] == "read"], "afterwards")
    for _, name, what in (one for one in found if one[0] == "blob"):
        done = fate.get(("blob", name)) == "done"
        if what == "ALTERED" or (what != "intact" and done and not lied):
            raise Wrong(f"blob {name}, {fate.get(('blob', name))}, is {what}")
        if what not in ("intact", "missing") and not lied:
            raise Wrong(f"blob {name} is {what}")


def agree(
    kind: str, fate: dict[tuple[str, str], str], groups: list[list[str]], reads: list[list[Any]], when: str
) -> None:
    """Whether the events are those that were acknowledged, and whole appends of those with no answer."""
    if not reads:
        return
    there = {event for _, _, events, *_ in reads for event in events}
    answers = {name: word for (what, name), word in fate.items() if what == "event"}
    done = {name for name, word in answers.items() if word == "done"}
    failed = {name for name, word in answers.items() if word == "failed"}
    # what was purged is gone; a purge that failed may as well come back after a crash, and be there then
    purged = {name: word for (what, name), word in fate.items() if what == "purge"}
    if kind != "lost" and there & {name for name, word in purged.items() if word == "done"}:
        raise Wrong(f"events that were removed are there, {when}: {there & purged.keys()}")
    done -= purged.keys()
    if there - answers.keys():
        raise Wrong(f"events that nobody appended, {when}: {there - answers.keys()}")
    if kind != "lost" and done - there:
        raise Wrong(f"acknowledged events are lost, {when}: {done - there}")
    if kind != "lost" and failed & there:
        raise Wrong(f"events that failed are there, {when}: {failed & there}")
    for group in groups:
        if not purged.keys() & set(group) and 0 < len(there & set(group)) < len(group):
            raise Wrong(f"a half of an append is there, {when}: {group}")


def only_beside(kind: str, told: list[list[Any]]) -> None:
    """Whether no event failed for a fault that was not in an append, and stayed nowhere."""
    if kind in LASTING:
        return
    beside = False
    running: list[str] = []
    for word, *rest in told:
        place = rest[-1]
        if word == "try":
            running.append(rest[0])
        if place and not beside:
            hit = set(running) if "/blobs" not in place else {"blob"}
            beside = bool(hit) and "event" not in hit
            if not beside:
                return
        if word in ("failed", "unknown") and rest[0] == "event":
            raise Wrong(f"a fault in {place} made an event fail: {rest}")
        if word in ("done", "failed", "unknown") and rest[0] in running:
            running.remove(rest[0])


# --- the sweep ------------------------------------------------------------------------------------


def forked(work: Callable[[Say], None]) -> tuple[int, list[list[Any]]]:
    """Do something in a process of its own: its status, and what it said."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.alarm(RUN_SECONDS)
            os.close(reading)
            work(partial(told_to, writing))
            os._exit(0)
        except BaseException:  # noqa: BLE001 - nothing of it goes on as the parent
            traceback.print_exc()
            os._exit(1)
    os.close(writing)
    with open(reading, "rb") as said:  # noqa: PTH123
        lines = [json.loads(line) for line in said]
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), lines


def told_to(descriptor: int, *words: object) -> None:
    os.write(descriptor, json.dumps(words).encode() + b"\n")


def sweep(kind: str, seed: int, stride: int, directory: Path) -> dict[str, Any]:
    """Faults at every ``stride``-th point, until one is not reached."""
    shim = Shim()
    chance = random.Random(seed)
    first = chance.randrange(1, stride + 1)
    swept = 0
    acknowledged = 0
    point = 0 if kind == "none" else first
    while True:
        base = directory / str(point)
        shape = chance.choice([0, chance.getrandbits(63) | 1])
        ending = chance.choice(ENDINGS)
        status, told = forked(partial(run, shim, base, kind, point, shape, ending))
        looked, found = forked(partial(inspect, shim, base))
        here = {
            "kind": kind,
            "seed": seed,
            "stride": stride,
            "point": point,
            "shape": shape,
            "ending": ending,
        }
        try:
            judge(kind, told, status, found, looked)
        except Wrong as wrong:
            return {**here, "wrong": str(wrong), "status": status, "told": told, "found": found}
        acknowledged += sum(1 for word, *_ in told if word == "done")
        for left in directory.iterdir():
            shutil.rmtree(left)
        if kind == "none" or (told and told[-1][0] == "ended" and not told[-1][-1]):
            return {
                "kind": kind,
                "seed": seed,
                "stride": stride,
                "points": point - 1,
                "swept": swept,
                "acknowledged": acknowledged,
            }
        swept += 1
        point += stride


if __name__ == "__main__":
    logging.disable()
    gc.freeze()
    report = sweep(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
    sys.stdout.write(json.dumps(report) + "\n")
