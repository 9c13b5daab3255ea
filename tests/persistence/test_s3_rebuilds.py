"""Whatever happens to a log in a bucket, an index that is made again from it is the one that there was."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import trio
from bucket import Bucket
from log_samples import History, checkpoint_of
from s3_memory import MemoryObjects

from engine.chain import Record
from engine.errors import StoreCorrupt, StoreError, StoreFailed
from persistence.s3 import bases, compaction, journal, segments
from persistence.s3.compaction import Compaction
from persistence.s3.log import S3EventLog, open_s3_log
from persistence.s3.objects import Refused, Unanswered
from persistence.schema import DATABASE_NAME

BEFORE = 10_000
"""Sessions are closed at 9,999 here."""


def content(directory: Path) -> dict[str, list[Any]]:
    """All rows of an index, in an order that does not depend on when they were written."""
    with closing(sqlite3.connect(directory / DATABASE_NAME)) as db:
        return {
            table: sorted(db.execute(f"SELECT * FROM {table}").fetchall(), key=repr)
            for table in ("events", "sessions", "tags", "checkpoints")
        }


@pytest.fixture
def objects() -> MemoryObjects:
    return MemoryObjects()


class Life:
    """Does at random what a server does with its log, and what an S3 that fails does to it. The seed is in the
    name of the test.
    """

    def __init__(self, objects: MemoryObjects, seed: int) -> None:
        self.random = random.Random(seed)
        self.objects = objects
        self.open: dict[str, History] = {}
        self.exported: list[list[Record]] = []
        """Whole histories of sessions that are gone."""
        self.number = 0

    async def step(self, log: S3EventLog) -> None:
        if self.random.random() < 0.15:
            self.objects.plan("put", self.random.choice(["before", "after", "refused", None]))
        kinds = [
            "create",
            "fork",
            "execute",
            "execute",
            "execute",
            "tag",
            "checkpoint",
            "close",
            "purge",
            "adopt",
        ]
        kind = self.random.choice(kinds)
        if kind == "create":
            await self._create(log)
        elif kind == "adopt" and self.exported:
            await self._adopt(log)
        elif kind == "purge":
            await self._purge(log)
        elif self.open:
            history = self.random.choice([*self.open.values()])
            if kind == "fork":
                fork = self._new()
                fork.forked(
                    self.random.choice([one for one in history.records if one.event.seq])
                    if len(history.records) > 1
                    else history.head
                )
                await self._append(log, fork, 1)
            elif kind == "execute":
                many = self.random.randrange(1, 4)
                for _ in range(many):
                    history.executed(code="x" * self.random.choice([1, 3_000]))
                await self._append(log, history, many)
            elif kind == "tag":
                history.tagged(history.records[0].event.seq, stage=self.random.choice(["raw", "fine", None]))
                await self._append(log, history, 1)
            elif kind == "checkpoint":
                await self._attempt(log.add_checkpoint(checkpoint_of(history.records[0])))
            elif kind == "close":
                history.closed()
                await self._append(log, history, 1)

    async def _create(self, log: S3EventLog) -> None:
        history = self._new()
        history.created()
        history.executed()
        await self._append(log, history, 2)

    def _new(self) -> History:
        self.number += 1
        # few names, so that a new session often has that of one that was deleted
        names = {f"n{n}" for n in range(6)} - {one.name for one in self.open.values()}
        name = self.random.choice(sorted(names)) if names else f"more{self.number}"
        return History(f"s{self.number}", name=name)

    async def _append(self, log: S3EventLog, history: History, many: int) -> None:
        if not await self._attempt(log.append(history.records[-many:])):
            del history.records[-many:]
            return
        if type(history.head.event).__name__ == "Closed":
            del self.open[history.session]
            if type(history.records[0].event).__name__ == "Created" and len(history.records) > 2:
                self.exported.append(history.records[:-1])
        else:
            self.open[history.session] = history

    async def _purge(self, log: S3EventLog) -> None:
        for session in await log.purgeable(BEFORE, limit=3):
            await self._attempt(log.purge(session, BEFORE))

    async def _adopt(self, log: S3EventLog) -> None:
        records = self.random.choice(self.exported)
        event = records[0].event
        if event.session in self.open or await log.session(event.session) is not None:
            return
        if any(one.name == event.name for one in self.open.values()):  # type: ignore[union-attr]
            return
        async with log.adoption() as adoption:
            await adoption.add(records)
            if await self._attempt(adoption.commit()):
                history = History(event.session, name=event.name)  # type: ignore[union-attr]
                history.records = [*records]
                self.open[event.session] = history

    async def _attempt(self, doing: Any) -> bool:
        try:
            await doing
        except StoreFailed:
            return False
        return True


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments after a few batches, bases of some parts, and no waiting."""
    monkeypatch.setattr(bases, "PART_BYTES", 50_000)
    monkeypatch.setattr(compaction, "DUE_BATCHES", 7)
    monkeypatch.setattr(compaction, "READ_WITHIN", timedelta())
    monkeypatch.setattr(compaction, "REWRITE_LEAST_BYTES", 1)
    monkeypatch.setattr(journal, "FIRST_PAUSE_SECONDS", 0.0)

    async def nothing(*_: object) -> None:
        """Segments are made when the test says so."""

    monkeypatch.setattr(S3EventLog, "compact", nothing)


async def compacted(log: S3EventLog, objects: MemoryObjects, chance: random.Random) -> None:
    """Some work at segments, which may fail anywhere."""
    manifest = await trio.to_thread.run_sync(segments.newest, objects)
    work = Compaction(objects, log._index, manifest, chance.choice([None, log._journal.written]))
    if chance.random() < 0.3:
        objects.plan(chance.choice(["put", "delete", "get"]), *[None] * chance.randrange(4), "before")
    try:
        if work.is_long(log._journal.position):
            await trio.to_thread.run_sync(work.extend, log._journal.position)
        elif manifest.segments and chance.random() < 0.15:
            await trio.to_thread.run_sync(work.rebase)
        elif (manifest.segments or manifest.base) and chance.random() < 0.5:
            await trio.to_thread.run_sync(work.rewrite, log._journal.position)
    except (StoreError, Refused, Unanswered) as failed:
        if "as planned" not in str(failed):
            raise
    objects._planned.clear()


@pytest.mark.parametrize(
    "seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.torture) for seed in range(3, 40))]
)
async def test_an_index_made_from_the_bucket_is_the_one_that_the_server_has(
    objects: MemoryObjects, tmp_path: Path, seed: int
) -> None:
    life = Life(objects, seed)
    for _ in range(4):
        async with open_s3_log(objects, tmp_path / "index") as log:
            for _ in range(60):
                await life.step(log)
                objects._planned.clear()
                if life.random.random() < 0.2:
                    await compacted(log, objects, life.random)
        known = content(tmp_path / "index")
        fresh = tmp_path / f"fresh{life.number}"
        async with open_s3_log(objects, fresh):
            pass
        assert content(fresh) == known
    newest = await trio.to_thread.run_sync(segments.newest, objects)
    assert newest.segments or newest.base


async def test_a_base_has_nothing_of_what_was_deleted_and_what_comes_after_it_is_added(
    objects: MemoryObjects, tmp_path: Path
) -> None:
    deleted, kept = History("s1", name="deleted"), History("s2", name="kept")
    async with open_s3_log(objects, tmp_path / "index") as log:
        await log.append([deleted.created(), deleted.executed(code="a secret" * 1_000), deleted.closed()])
        await log.append([kept.created(), kept.executed()])
        await log.purge("s1", BEFORE)
        work = Compaction(objects, log._index, segments.NONE)
        await trio.to_thread.run_sync(work.rebase)
        assert [key for key in objects.stored if key.startswith("log/")] == []
        await log.append([kept.executed()])
        await trio.to_thread.run_sync(work.extend, log._journal.position)
        assert work.manifest.base
        assert len(work.manifest.segments) == 1
        await log.append([kept.executed()])
    async with open_s3_log(objects, tmp_path / "fresh") as log:
        assert [record async for record in log.read("s2")] == kept.records
    assert content(tmp_path / "fresh") == content(tmp_path / "index")
    bases.get(objects, work.manifest.base, tmp_path / "base.db")
    assert b"a secret" not in (tmp_path / "base.db").read_bytes()


async def test_a_base_of_a_server_that_lost_the_log_takes_the_place_of_nothing_newer(
    objects: MemoryObjects, tmp_path: Path
) -> None:
    history = History("s1")
    async with open_s3_log(objects, tmp_path / "old") as old:
        await old.append([history.created(), history.executed()])
        async with open_s3_log(objects, tmp_path / "new") as new:
            await new.append([history.executed()])
            await trio.to_thread.run_sync(
                Compaction(objects, new._index, segments.NONE).extend, new._journal.position
            )
            manifest = segments.newest(objects)
            await trio.to_thread.run_sync(Compaction(objects, old._index, manifest).rebase)
            assert segments.newest(objects) == manifest
    async with open_s3_log(objects, tmp_path / "fresh") as log:
        assert [record async for record in log.read("s1")] == history.records


async def test_an_altered_event_of_the_index_gets_into_no_base(
    objects: MemoryObjects, tmp_path: Path
) -> None:
    history = History("s1")
    async with open_s3_log(objects, tmp_path / "index") as log:
        await log.append([history.created(), history.executed()])
        with closing(sqlite3.connect(tmp_path / "index" / DATABASE_NAME)) as db:
            db.execute("UPDATE events SET body = zeroblob(length(body)) WHERE seq = 1")
            db.commit()
        with pytest.raises(StoreCorrupt, match=r"session s1, event 1: .* does not hash to its name"):
            await trio.to_thread.run_sync(Compaction(objects, log._index, segments.NONE).rebase)
    assert segments.newest(objects) == segments.NONE


@pytest.mark.parametrize("hours", [0, 3])
async def test_an_import_is_kept_until_the_batch_that_names_it_is_in_a_segment(
    tmp_path: Path, hours: int
) -> None:
    """Also where the clock of the server was ahead when it wrote them."""
    bucket, long_ago = Bucket(), 2 * compaction.GRACE
    bucket.slow_by = timedelta(hours=hours)
    first, taken = History("s1"), History("s2", name="taken")
    taken.created()
    taken.executed()
    async with open_s3_log(bucket, tmp_path / "index") as log:
        await log.append([first.created()])
        end = log._journal.position
        async with log.adoption() as adoption:
            await adoption.add(taken.records)
            await adoption.commit()
        for key in bucket.stored:
            bucket.age(key, long_ago.total_seconds())
        work = Compaction(bucket, log._index, segments.NONE)
        await trio.to_thread.run_sync(work.extend, end)
        await trio.to_thread.run_sync(work.rewrite, log._journal.position)
    async with open_s3_log(bucket, tmp_path / "fresh") as log:
        assert [record async for record in log.read("s2")] == taken.records


async def test_an_import_that_comes_again_while_what_was_left_of_it_is_removed_is_kept(
    objects: MemoryObjects, tmp_path: Path
) -> None:
    """As one that was refused for a deleted session, whose parts are an hour old when it may be imported."""
    history, taken = History("s1"), History("s2", name="taken")
    taken.created()
    taken.executed()
    async with open_s3_log(objects, tmp_path / "index") as log:
        async with log.adoption() as refused:
            await refused.add(taken.records)
            await log._send(refused._lineage)
        (part,) = [key for key in objects.stored if key.startswith("imports/")]
        data, modified = objects.stored[part]
        objects.stored[part] = data, modified - 2 * compaction.GRACE

        async def take_in() -> None:
            async with log.adoption() as adoption:
                await adoption.add(taken.records)
                await adoption.commit()

        def come_again(operation: str, key: str) -> None:
            """Between the look for what is old and its removal."""
            if operation == "find" and key == "manifests/" and seen:
                objects.before_call = lambda operation, key: None
                trio.from_thread.run(take_in)
            seen.extend(key for _ in range(operation == "find" and key == "imports/"))

        seen: list[str] = []
        await log.append([history.created()])
        work = Compaction(objects, log._index, segments.NONE, sending=log._put_imports)
        objects.before_call = come_again
        await trio.to_thread.run_sync(work.extend, log._journal.position)
        assert seen
    async with open_s3_log(objects, tmp_path / "fresh") as log:
        assert [record async for record in log.read("s2")] == taken.records
