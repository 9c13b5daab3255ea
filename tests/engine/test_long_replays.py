"""Long replays share workers and processors: none of them keeps others from going on."""

from __future__ import annotations

import os
import signal

import pytest
import trio
from engines import OWNER, Engine, submission

from engine import replay
from engine.copies import Copy
from engine.places import Places
from engine.restoring import LAST_COPY_SECONDS

COUNT = "globalThis.n = (globalThis.n ?? 0) + 1"
COMPUTE = f"for (let i = 0; i < 1e8; i++); {COUNT}"
"""The same, for several ticks of a processor."""
EVENTS = 6
NEVER = {"restore_target_seconds": 3_600.0}


class Replays:
    """Where replays are, and holds them at events: by code, since the sessions say there who they are."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.order: list[str] = []
        """The sessions of the events that were replayed."""
        self.pids: dict[str, int] = {}
        """The workers of the last one of each."""
        self.held: dict[tuple[str, int], trio.Event] = {}
        """What a session waits for before it replays the event of that number."""
        self._changed = trio.Event()
        original = replay._replay_event

        async def noted(worker, record, *rest):
            name = record.event.code.rpartition("//")[2]
            self.order.append(name)
            self.pids[name] = worker.pid
            self._changed.set()
            self._changed = trio.Event()
            if (name, record.event.seq) in self.held:
                await self.held[name, record.event.seq].wait()
            await original(worker, record, *rest)

        monkeypatch.setattr(replay, "_replay_event", noted)

    async def come_to(self, name: str, count: int) -> None:
        """Wait until so many events of a session have been replayed, or begun to be."""
        with trio.fail_after(30):
            while self.order.count(name) < count:
                await self._changed.wait()


async def write(engine: Engine, *names: str, code: str = COUNT) -> None:
    """Give each session a history."""
    for name in names:
        for _ in range(EVENTS):
            await engine.run(f"{code} //{name}", session=name)


async def waiting(places: Places) -> None:
    """Until somebody waits for a place."""
    with trio.fail_after(30):
        while not places._waiting:
            await trio.lowlevel.checkpoint()


async def counted(engine: Engine, name: str) -> None:
    assert await engine.value("n", session=name) == str(EVENTS)


async def test_sessions_answer_and_begin_while_a_long_history_is_replayed(open_engine, tmp_path, monkeypatch):
    async with open_engine(tmp_path, **NEVER) as engine:
        await write(engine, "long")
        await engine.run("let other = 1", session="short")
    replays = Replays(monkeypatch)
    go_on = replays.held["long", EVENTS] = trio.Event()
    async with open_engine(tmp_path, **NEVER) as engine, trio.open_nursery() as nursery:
        await engine.run("let live = 1", session="live")
        nursery.start_soon(counted, engine, "long")
        await replays.come_to("long", EVENTS)
        for _ in range(10):
            assert await engine.value("live", session="live") == "1"
        assert await engine.value("1", session="new") == "1"
        assert (await engine.supervisor.session(OWNER, "long")).recovering is not None
        go_on.set()


async def test_long_replays_share_a_processor_and_leave_room_for_live_sessions(
    open_engine, tmp_path, monkeypatch
):
    names = [f"long-{number}" for number in range(5)]
    async with open_engine(tmp_path, **NEVER) as engine:
        await write(engine, *names, code=COMPUTE)
    replays = Replays(monkeypatch)
    async with open_engine(tmp_path, processors=1, **NEVER) as engine:
        await engine.run("let live = 1", session="live")
        async with trio.open_nursery() as nursery:
            for name in names:
                nursery.start_soon(counted, engine, name)
            while len(replays.order) < 2 * len(names):
                assert await engine.value("live", session="live") == "1"
                await trio.sleep(0.01)
            assert engine.supervisor.scheduler.held
    first_end = min(map("".join(f"{name} " for name in replays.order).rindex, names))
    until_then = replays.order[: first_end // len("long-0 ") + 1]
    assert min(until_then.count(name) for name in names) >= EVENTS // 2


async def test_a_replay_that_lost_its_worker_is_in_the_way_of_nobody(open_engine, tmp_path, monkeypatch):
    async with open_engine(tmp_path, **NEVER) as engine:
        await write(engine, "a", "b")
    replays = Replays(monkeypatch)
    go_on = replays.held["a", 3] = trio.Event()
    async with open_engine(tmp_path, max_workers=1, **NEVER) as engine, trio.open_nursery() as nursery:
        nursery.start_soon(counted, engine, "a")
        await replays.come_to("a", 3)
        nursery.start_soon(counted, engine, "b")
        await waiting(engine.supervisor.places)
        with trio.fail_after(30):
            os.kill(replays.pids["a"], signal.SIGKILL)
            go_on.set()
            while "b" not in replays.order or engine.supervisor.status()["running"]:
                await trio.lowlevel.checkpoint()


async def test_a_replay_that_is_put_off_is_no_work_while_its_last_copy_ends(
    open_engine, tmp_path, monkeypatch
):
    async with open_engine(tmp_path, **NEVER) as engine:
        await write(engine, "stuck", "b")
    replays = Replays(monkeypatch)
    replays.held["stuck", 3] = trio.Event()  # never set

    async def never_made(_copy: Copy) -> bytes:
        await trio.sleep_forever()

    monkeypatch.setattr(Copy, "snapshot", never_made)
    options = {"max_recovery_seconds": 2.0, "restore_target_seconds": 0.0}
    async with open_engine(tmp_path, **options) as engine:
        stuck = await engine.supervisor.executions.submit(submission("n", session="stuck"))
        await replays.come_to("stuck", 3)
        with trio.fail_after(LAST_COPY_SECONDS / 2):
            while engine.supervisor.scheduler._works:
                await trio.lowlevel.checkpoint()
        assert not stuck.done  # it waits for the copy
        await counted(engine, "b")
