"""Sessions that compute all the time keep the processors from nobody, and none of their workers stays stopped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import trio
from engines import Engine, first_line, submission

from engine.execution import Execution
from engine.limits import LimitPolicy, Limits
from engine.worker import Worker

BUSY, HONEST = "busy", "honest"
SPIN = "console.log('begun'); for (;;);"
COMPUTE = "let sum = 0; for (let i = 0; i < 4e8; i++) sum = (sum + i * 7) | 0; sum"
"""Some tenths of a second of a processor."""


@pytest.fixture
def stops(monkeypatch: pytest.MonkeyPatch) -> list[Worker]:
    """The workers that were stopped, as often as they were."""
    stopped: list[Worker] = []
    pause = Worker.pause

    def noted(worker: Worker) -> None:
        stopped.append(worker)
        pause(worker)

    monkeypatch.setattr(Worker, "pause", noted)
    return stopped


@pytest.fixture
def one_processor(open_engine, tmp_path: Path):
    """Opens an engine that shares out one processor."""

    def open_(**options: object):
        return open_engine(tmp_path, **{"processors": 1, "max_workers": 40, **options})

    return open_


def stopped(engine: Engine) -> list[int]:
    """Processes that are stopped now."""
    return [pid for pid in engine.worker_pids() if state(pid) == "T"]


def state(pid: int) -> str:
    """The letter for it in proc(5); empty if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


async def spin(engine: Engine, count: int, **options: object) -> list[Execution]:
    """Sessions of one owner that spin, once all have begun."""
    asked = {"owner": BUSY, "time_ms": 100_000, **options}
    spinning = [
        await engine.supervisor.executions.submit(submission(SPIN, session=f"spin-{i}", **asked))
        for i in range(count)
    ]
    for execution in spinning:
        assert await first_line(execution) == "begun"
    return spinning


async def held(engine: Engine, count: int) -> None:
    """Until so many are held."""
    with trio.fail_after(30):
        while engine.supervisor.status()["held"] < count:  # noqa: ASYNC110 (the processors are for others)
            await trio.sleep(0.01)


async def ended(executions: Sequence[Execution], status: str) -> None:
    for execution in executions:
        report = await execution.wait(30)
        assert report is not None
        assert report.status == status


async def test_an_honest_owner_is_answered_while_the_sessions_of_another_spin(one_processor) -> None:
    async with one_processor() as engine:
        spinning = await spin(engine, 24)
        await held(engine, 20)
        for number in range(20):
            value = await engine.value(f"{number} + 1", owner=HONEST, session="calls")
            assert value == str(number + 1)
        used = engine.supervisor.scheduler.cpu_seconds
        before = used["execution"]
        computing = await engine.supervisor.executions.submit(
            submission(COMPUTE, owner=HONEST, session="computes", time_ms=60_000)
        )
        await ended([computing], "completed")
        assert computing.cpu_us / 1e6 > (used["execution"] - before) / 4  # and not a twenty-fifth
        assert not any(execution.done for execution in spinning)
        for execution in spinning:
            execution.cancel()
        await ended(spinning, "cancelled")


async def test_busy_sessions_run_in_turns_and_all_get_to_their_end(
    one_processor, stops: list[Worker]
) -> None:
    async with one_processor() as engine, trio.open_nursery() as nursery:
        reports = []

        async def compute(session: str) -> None:
            reports.append(await engine.run(COMPUTE, session=session))

        for number in range(6):
            nursery.start_soon(compute, f"s{number}")
        await held(engine, 4)
        with trio.fail_after(10):
            while len(stopped(engine)) < 4:  # noqa: ASYNC110 (the processors are for others)
                await trio.sleep(0.01)
    assert [report.status for report in reports] == ["completed"] * 6
    assert len(set(stops)) >= 4


async def test_what_is_held_can_be_cancelled_at_once(one_processor) -> None:
    async with one_processor() as engine:
        spinning = await spin(engine, 5)
        await held(engine, 3)
        for execution in spinning:
            execution.cancel()
        with trio.fail_after(5):
            await ended(spinning, "cancelled")
        assert await engine.value("1", session="spin-0", owner=BUSY) == "1"


async def test_no_worker_stays_stopped_after_a_drain(one_processor) -> None:
    async with one_processor() as engine:
        spinning = await spin(engine, 5)
        await held(engine, 3)
        pids = engine.worker_pids()
        await engine.supervisor.drain(0.1)
        await ended(spinning, "cancelled")
        assert stopped(engine) == []
        assert engine.supervisor.status()["held"] == 0
    assert [pid for pid in pids if state(pid) not in ("", "Z")] == []


async def test_workers_that_are_stopped_end_with_the_engine(one_processor) -> None:
    async with one_processor() as engine:
        await spin(engine, 5)
        await held(engine, 3)
        pids = engine.worker_pids()
    assert [pid for pid in pids if state(pid) not in ("", "Z")] == []


async def test_a_worker_that_is_killed_while_it_is_stopped_is_missed_by_nobody(one_processor, stops) -> None:
    async with one_processor() as engine:
        spinning = await spin(engine, 5)
        await held(engine, 3)
        stops[-1].kill()
        with trio.fail_after(30):
            while not any(execution.done for execution in spinning):  # noqa: ASYNC110
                await trio.sleep(0.01)
        for execution in spinning:
            execution.cancel()
        for execution in spinning:
            await execution.wait(30)
        assert engine.supervisor.scheduler.held == 0


async def test_a_session_that_was_stopped_in_a_timer_goes_on_waiting(
    one_processor,
) -> None:
    async with one_processor() as engine:
        began = await engine.supervisor.executions.submit(
            submission("console.log('begun'); await new Promise((done) => setTimeout(done, 400)); 'rung'")
        )
        assert await first_line(began) == "begun"
        (work,) = engine.supervisor.scheduler._works.values()
        assert work._worker is not None
        for _ in range(5):
            work._worker.pause()
            work._worker.resume()
        report = await began.wait(30)
        assert report.result == "'rung'"


@pytest.mark.parametrize("kept", [True, False], ids=["in a session", "stateless"])
async def test_code_that_used_its_cpu_time_is_ended_and_undone(
    open_engine, tmp_path: Path, kept: bool
) -> None:
    policy = LimitPolicy(default=Limits(cpu_ms=200))
    async with open_engine(tmp_path if kept else None, policy=policy) as engine:
        session = {"session": "s"} if kept else {}
        report = await engine.run("globalThis.n = 1; for (;;);", time_ms=30_000, **session)
        assert report.status == "timed_out"
        assert report.error.message == "timed out after 0.2 s of CPU time"
        assert report.error.undone
        if kept:
            assert await engine.value("typeof n", **session) == "'undefined'"


async def test_code_that_waits_uses_no_cpu_time(open_engine, tmp_path: Path) -> None:
    async with open_engine(tmp_path, policy=LimitPolicy(default=Limits(cpu_ms=200))) as engine:
        code = "await new Promise((done) => setTimeout(done, 1_000)); 'rung'"
        assert await engine.value(code) == "'rung'"
