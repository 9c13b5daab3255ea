"""Observers: told once of every execution that is over, and unable to disturb any."""

from __future__ import annotations

import logging

import pytest
from engines import CALLER, OWNER, submission

from engine.checkpointer import Made
from engine.commands import Change, Delete, Fork, Tag
from engine.errors import Conflict, NotFound, Unavailable
from engine.execution import Execution
from engine.recovery import Recovered


class Seen:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.executions: list[Execution] = []
        self.changes: list[Change] = []
        self.recoveries: list[Recovered] = []

    def executed(self, execution: Execution) -> None:
        """Remember it."""
        assert execution.done
        self.executions.append(execution)

    def changed(self, change: Change) -> None:
        """Remember it."""
        self.changes.append(change)

    def checkpointed(self, made: Made) -> None:
        """Nothing of that here."""

    def recovered(self, recovered: Recovered) -> None:
        """Remember it."""
        self.recoveries.append(recovered)


class Broken:
    """Fails at everything."""

    def executed(self, execution: Execution) -> None:
        """Fail."""
        raise RuntimeError(execution.id)

    def changed(self, change: Change) -> None:
        """Fail."""
        raise RuntimeError(change.session)

    def checkpointed(self, made: Made) -> None:
        """Fail."""
        raise RuntimeError(made.session)

    def recovered(self, recovered: Recovered) -> None:
        """Fail."""
        raise RuntimeError(recovered.name)


async def test_an_observer_is_told_once_of_each_execution_with_its_caller_and_stages(open_engine, tmp_path):
    seen = Seen()
    async with open_engine(tmp_path, observers=[seen]) as engine:
        slow = "await new Promise(done => setTimeout(done, 20))"
        for code, options in ((slow, {}), ("throw 1", {}), ("for (;;);", {"time_ms": 50})):
            await engine.run(code, session="a", **options)
    assert [execution.report.status for execution in seen.executions] == ["completed", "failed", "timed_out"]
    assert [execution.report.event for execution in seen.executions] == [1, 2, 3]
    first = seen.executions[0]
    assert first.caller == CALLER
    assert first.timings.ran_us >= 20_000
    assert first.timings.appended_us > 0
    assert first.timings.restored_us > 0


async def test_waiting_for_others_in_the_session_is_time_in_the_queue(open_engine, tmp_path):
    seen = Seen()
    async with open_engine(tmp_path, observers=[seen]) as engine:
        code = "await new Promise(done => setTimeout(done, 30))"
        both = [await engine.supervisor.executions.submit(submission(code, session="a")) for _ in range(2)]
        for execution in both:
            await execution.wait(30)
    ahead, behind = (execution.timings for execution in seen.executions)
    assert behind.queued_us >= ahead.ran_us >= 30_000


async def test_stateless_executions_are_told_of_too_and_append_nothing(open_engine):
    seen = Seen()
    async with open_engine(None, observers=[seen]) as engine:
        await engine.run("1")
    (execution,) = seen.executions
    assert execution.report.status == "completed"
    assert execution.timings.ran_us > 0
    assert execution.timings.appended_us == 0


async def test_a_refusal_is_told_of_only_if_the_execution_had_been_accepted(open_engine, tmp_path):
    seen = Seen()
    async with open_engine(tmp_path, observers=[seen]) as engine:
        before = await engine.run("1", session="a")
        await engine.run("2", session="a")
        with pytest.raises(Conflict) as refused:
            await engine.run("3", session="a", heap=before.heap)
        await engine.supervisor.drain(1)
        with pytest.raises(Unavailable):
            await engine.run("4", session="a")
    assert [execution.failure for execution in seen.executions] == [None, None, refused.value]


async def test_changes_of_sessions_are_told_of_with_their_events(open_engine, tmp_path):
    seen = Seen()
    async with open_engine(tmp_path, observers=[seen]) as engine:
        await engine.run("1", session="a")
        labels = {"at": None, "tags": {"stage": "raw"}, "caller": CALLER}
        await engine.supervisor.requests.tag(OWNER, "a", **labels)
        await engine.supervisor.requests.tag(OWNER, "a", **labels)
        await engine.supervisor.requests.fork(OWNER, "a", at=1, into="b", caller=CALLER)
        await engine.supervisor.requests.state(OWNER, "a", at=None)
        with pytest.raises(Conflict):
            await engine.supervisor.requests.fork(OWNER, "a", at=None, into="b", caller=CALLER)
        with pytest.raises(NotFound):
            await engine.supervisor.requests.tag(OWNER, "a", at=9, tags={"stage": None}, caller=CALLER)
        await engine.supervisor.requests.delete(OWNER, "a", CALLER)
    told = [(type(change), change.session, change.told and change.told.event) for change in seen.changes]
    assert told == [
        (Tag, "a", 2),
        (Tag, "a", None),  # it was so already
        (Fork, "a", 2),
        (Tag, "a", None),
        (Delete, "a", 3),
    ]
    assert [type(change.failure) for change in seen.changes] == [*[type(None)] * 3, NotFound, type(None)]
    assert {change.caller for change in seen.changes} == {CALLER}


async def test_what_an_observer_raises_is_logged_and_disturbs_nobody(open_engine, tmp_path, caplog):
    seen = Seen()
    async with open_engine(tmp_path, observers=[Broken(), seen]) as engine:
        assert await engine.value("1 + 1", session="a") == "2"
        await engine.supervisor.requests.delete(OWNER, "a", CALLER)
    assert len(seen.executions) == len(seen.changes) == 1
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert "Broken.executed failed" in caplog.text
    assert "Broken.changed failed" in caplog.text
