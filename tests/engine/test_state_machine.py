"""Whatever happens to a session, in whatever order: it is in the state that a simple model says, on every road.

``python -m pytest -m torture`` runs many more and longer histories.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import trio
from engines import CALLER, OWNER, Engine, StoreKind, both_stores, first_line, submission
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    precondition,
    rule,
    run_state_machine_as_test,
)
from world import World

from engine.isolate.wire import Look
from engine.recovery import Recovery
from engine.session import ForkPoint
from engine.timestamps import now_us
from engine.upkeep import Upkeep

BEGIN = (
    "const xs = []; const inc = ((k) => () => ++k)(0); class P { #v = 0; add(d) { return (this.#v += d) } };"
    " const p = new P(); const it = (function* () { for (let i = 0; ; i += 2) yield i })(); 0"
)
SHOW = "[xs.join(), inc(), p.add(0), it.next().value]"


def added(number: int) -> str:
    """Code that changes all variables."""
    return f"xs.push({number}); p.add({number}); {SHOW}"


@dataclass
class State:
    """What a session's variables are."""

    xs: list[int] = field(default_factory=list)
    calls: int = 0
    total: int = 0

    def shown(self) -> str:
        """What SHOW gives, which counts."""
        self.calls += 1
        return f"[ '{','.join(map(str, self.xs))}', {self.calls}, {self.total}, {2 * (self.calls - 1)} ]"


@dataclass
class Model:
    """A session: its state now, and at each event that made one."""

    name: str
    seq: int = 0
    state: State = field(default_factory=State)
    past: dict[int, State] = field(default_factory=dict)

    def moved(self) -> None:
        """One more event, which made the state."""
        self.seq += 1
        self.past[self.seq] = deepcopy(self.state)


def later() -> int:
    """A time at which nothing of what was deleted until now is kept."""
    return now_us() + 2 * 3_600 * 1_000_000


class Sessions(RuleBasedStateMachine):
    """Sessions and what can happen to them."""

    sessions = Bundle("sessions")
    cache_dir: Path
    store: StoreKind

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.world = World(Path(self.folder.name), self.cache_dir, self.store)
        self.models: dict[str, Model] = {}
        self.made = 0

    def teardown(self) -> None:
        """All that is left is as it should be, also after the end of the engine."""
        try:
            self.world.restart(drain=False)
            self.remove_what_deleted_sessions_left()
            for model in self.models.values():
                self.show(model)
        finally:
            self.world.close()
            self.folder.cleanup()

    def show_added(self, model: Model, number: int) -> str:
        """What the code of ``added`` gives now."""
        model.state.xs.append(number)
        model.state.total += number
        return model.state.shown()

    def run(self, model: Model, code: str, **options: Any) -> Any:
        return self.world.call(lambda engine: engine.run(code, session=model.name, **options))

    def new(self) -> Model:
        self.made += 1
        return Model(f"session-{self.made}")

    # --- executions -------------------------------------------------------------------------------

    @rule(target=sessions)
    def begin(self) -> Model:
        model = self.new()
        assert self.run(model, BEGIN).status == "completed"
        model.moved()
        self.models[model.name] = model
        return model

    @rule(model=sessions, number=st.integers(-9, 9))
    def add(self, model: Model, number: int) -> None:
        report = self.run(model, added(number))
        assert report.result == self.show_added(model, number)
        model.moved()
        assert report.event == model.seq

    @rule(model=sessions)
    def show(self, model: Model) -> None:
        assert self.run(model, SHOW).result == model.state.shown()
        model.moved()

    @rule(model=sessions, number=st.integers(-9, 9))
    def throw(self, model: Model, number: int) -> None:
        assert self.run(model, f"xs.push({number}); throw new RangeError('x')").status == "failed"
        model.state.xs.append(number)
        model.moved()

    @rule(model=sessions)
    def time_out(self, model: Model) -> None:
        report = self.run(model, "xs.length = 0; inc(); for (;;);", time_ms=30)
        assert report.status == "timed_out"
        model.seq += 1

    @rule(model=sessions)
    def overflow(self, model: Model) -> None:
        report = self.run(model, "xs.length = 0; try { (function f() { f() })() } catch {} 1")
        assert (report.status, report.error.undone) == ("failed", True)
        model.seq += 1

    @rule(model=sessions)
    def cancel(self, model: Model) -> None:
        async def cancelled(engine: Engine) -> str:
            asked = submission("xs.length = 0; console.log('runs'); for (;;);", session=model.name)
            execution = await engine.supervisor.executions.submit(asked)
            await first_line(execution)
            execution.cancel()
            report = await execution.wait(30)
            assert report is not None
            return str(report.status)

        assert self.world.call(cancelled) == "cancelled"
        model.seq += 1

    # --- processes --------------------------------------------------------------------------------

    @rule()
    def crash_workers(self) -> None:
        async def crash(engine: Engine) -> None:
            for pid in engine.worker_pids():
                with contextlib.suppress(ProcessLookupError):  # one that ended just now
                    os.kill(pid, signal.SIGKILL)

        self.world.call(crash)

    @rule(model=sessions, number=st.integers(-9, 9), heard=st.booleans())
    def crash_worker_while_it_runs(self, model: Model, number: int, heard: bool) -> None:
        """Code that has not been heard of yet is run again; else it is told as crashed, and undone."""

        async def crash(engine: Engine) -> Any:
            said = "console.log('runs');" if heard else ""
            code = f"{said} await new Promise((r) => setTimeout(r, 30)); {added(number)}"
            execution = await engine.supervisor.executions.submit(submission(code, session=model.name))
            if heard:
                await first_line(execution)
            for pid in engine.worker_pids():
                os.kill(pid, signal.SIGKILL)
            return await execution.wait(60)

        report = self.world.call(crash)
        if report.status == "crashed":
            assert heard
            model.seq += 1
        else:
            assert report.result == self.show_added(model, number)
            model.moved()
        assert report.event == model.seq

    @rule(model=sessions, number=st.integers(-9, 9), heard=st.booleans())
    def crash_server_while_it_runs(self, model: Model, number: int, heard: bool) -> None:
        """Whether it was recorded or not: under its key it comes to its end once."""
        key = {"idempotency_key": f"{model.name}-{model.seq}"}
        code = f"console.log('runs'); {added(number)}"

        async def begin(engine: Engine) -> None:
            execution = await engine.supervisor.executions.submit(submission(code, session=model.name, **key))
            if heard:
                await first_line(execution)

        self.world.call(begin)
        self.world.restart(drain=False)
        report = self.run(model, code, **key)
        assert report.result == self.show_added(model, number)
        model.moved()
        assert self.run(model, code, **key) == report
        assert report.event == model.seq

    @rule(number=st.integers(-9, 9), crash=st.booleans())
    def add_everywhere_at_once(self, number: int, crash: bool) -> None:
        """There are fewer workers than sessions, and they may be killed meanwhile."""
        results: dict[str, Any] = {}

        async def add(engine: Engine, name: str) -> None:
            results[name] = (await engine.run(added(number), session=name)).result

        async def add_all(engine: Engine) -> None:
            async with trio.open_nursery() as nursery:
                for name in self.models:
                    nursery.start_soon(add, engine, name)
                while crash and self.models and not results:
                    await trio.lowlevel.checkpoint()
                for pid in engine.worker_pids() if crash else ():
                    os.kill(pid, signal.SIGKILL)

        self.world.call(add_all)
        for name, model in self.models.items():
            assert results[name] == self.show_added(model, number)
            model.moved()

    @rule(model=sessions)
    def evict(self, model: Model) -> None:
        async def retire(engine: Engine) -> None:
            for actor in engine.supervisor._actors:
                if actor.name == model.name:
                    actor.retire()

        self.world.call(retire)

    @rule(drain=st.booleans())
    def restart(self, drain: bool) -> None:
        self.world.restart(drain=drain)

    @rule()
    def let_checkpoints_be_made(self) -> None:
        self.world.call(lambda engine: engine.supervisor._checkpointer.idle())

    # --- sessions ---------------------------------------------------------------------------------

    @rule(target=sessions, model=sessions, data=st.data())
    def fork(self, model: Model, data: st.DataObject) -> Model:
        at = data.draw(st.sampled_from(sorted(model.past)))
        fork = self.new()

        async def begin(engine: Engine) -> int:
            asked = None if at == max(model.past) else at
            info = await engine.supervisor.requests.fork(
                OWNER, model.name, at=asked, into=fork.name, caller=CALLER
            )
            return int(info.head_seq)

        fork.seq = self.world.call(begin)
        fork.state = deepcopy(model.past[at])
        fork.past = {seq: state for seq, state in model.past.items() if seq <= at}
        fork.past[fork.seq] = deepcopy(fork.state)
        self.models[fork.name] = fork
        return fork

    @precondition(lambda self: len(self.models) > 1)
    @rule(model=consumes(sessions))
    def delete(self, model: Model) -> None:
        self.world.call(lambda engine: engine.supervisor.requests.delete(OWNER, model.name, CALLER))
        del self.models[model.name]

    @rule()
    def remove_what_deleted_sessions_left(self) -> None:
        """All of it, though it could still be read for a while."""

        async def purge(engine: Engine) -> None:
            sessions = engine.supervisor._sessions
            keeper = Upkeep(sessions, engine.log, sessions.blobs, sessions.space, ttl_seconds=0, now=later)
            await keeper.purge()
            assert await engine.log.purgeable(later(), limit=1) == []
            counted = dict(sessions.owners._counts)
            assert (
                counted
                == await engine.log.open_sessions()
                == ({OWNER: len(self.models)} if self.models else {})
            )

        self.world.call(purge)

    # --- checkpoints ------------------------------------------------------------------------------

    @rule(which=st.integers(0, 99), where=st.integers(0, 9_999), flip=st.integers(0, 255))
    def harm_a_blob(self, which: int, where: int, flip: int) -> None:
        blobs = self.world.stored_blobs()
        if not (names := [*blobs]):
            return
        name = names[which % len(names)]
        if flip == 0:
            with contextlib.suppress(KeyError):  # it was only being written
                del blobs[name]
        elif (data := blobs.get(name)) is not None:
            content = bytearray(data)
            content[where % len(content)] ^= flip
            blobs[name] = bytes(content)

    @rule()
    def lose_all_blobs(self) -> None:
        self.world.stored_blobs().clear()

    @rule()
    def forget_all_checkpoints(self) -> None:
        async def forget(engine: Engine) -> None:
            for name in self.models:
                row = await engine.log.session_named(OWNER, name)
                await engine.log.forget_checkpoints(await engine.log.checkpoints(row.session))

        self.world.call(forget)

    @rule(model=sessions, data=st.data())
    def compare(self, model: Model, data: st.DataObject) -> None:
        """A session's variables are the same live, from a checkpoint and its tail, and from the beginning; so
        are those of its past.
        """
        at = data.draw(st.sampled_from([None, *sorted(model.past)]))

        async def variables(engine: Engine, blobs: Any) -> object:
            if at is None:
                row = await engine.log.session_named(OWNER, model.name)
                point = ForkPoint(row.session, row.state_seq, row.state_id)
            else:
                point = await engine.supervisor._sessions.catalog.state(OWNER, model.name, at)
            with engine.supervisor.scheduler.work("replay", OWNER, model.name) as work:
                recovery = Recovery(engine.log, blobs, engine.supervisor._workers.image_id, work)
                worker = await recovery.restore(point, engine.supervisor._workers.acquire)
            try:
                return (await worker.look(Look())).globals
            finally:
                await worker.aclose()

        async def told(engine: Engine) -> object:
            return (await engine.supervisor.requests.state(OWNER, model.name, at=at)).globals

        shown = self.world.call(told)
        assert self.world.call(lambda engine: variables(engine, engine.blobs)) == shown
        assert self.world.call(lambda engine: variables(engine, None)) == shown


EXAMPLES = int(os.environ.get("EXAMPLES") or 200)
COMMON = {
    "deadline": None,
    "suppress_health_check": list(HealthCheck),
    "report_multiple_bugs": False,
    "database": None,
    "print_blob": True,
}


def play(cache_dir: Path, store: StoreKind, how: hypothesis.settings) -> None:
    machine = type("Machine", (Sessions,), {"cache_dir": cache_dir, "store": store})
    run_state_machine_as_test(machine, settings=how)


def test_a_session_is_what_its_model_says_whatever_happens(cache_dir: Path, store: StoreKind) -> None:
    play(cache_dir, store, settings(max_examples=3, stateful_step_count=20, derandomize=True, **COMMON))


@pytest.mark.torture
@both_stores
def test_sessions_are_what_their_models_say_over_long_histories(cache_dir: Path, store: StoreKind) -> None:
    """The environment variable ``EXAMPLES`` gives another number of them."""
    play(cache_dir, store, settings(max_examples=EXAMPLES, stateful_step_count=80, **COMMON))
