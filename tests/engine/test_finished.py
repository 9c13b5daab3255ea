"""What is remembered of executions that no log tells of, and for how long."""

from __future__ import annotations

from engines import CALLER, OWNER

from engine.execution import Execution, Report
from engine.finished import KEPT, KEPT_BYTES, KEPT_SECONDS, Finished


async def test_outcomes_are_forgotten_oldest_first_once_there_are_too_many(autojump_clock):  # noqa: ARG001
    forgotten: list[str] = []
    finished = Finished(lambda execution: forgotten.append(execution.id))
    for number in range(KEPT + 2):
        finished.add(_finished(f"e_{number}"))
    assert forgotten == ["e_0", "e_1"]
    assert finished.get("e_0") is None
    assert finished.get("e_2") is not None


async def test_outcomes_are_forgotten_after_a_while(autojump_clock):
    finished = Finished(lambda execution: None)
    finished.add(_finished("e_old"))
    autojump_clock.jump(KEPT_SECONDS + 1)
    assert finished.reported() == []
    assert finished.get("e_old") is None


async def test_outcomes_are_forgotten_where_they_are_too_large():
    finished = Finished(lambda execution: None)
    finished.add(_finished("e_large", "x" * (KEPT_BYTES - 10)))
    finished.add(_finished("e_next", "x" * 20))
    assert finished.get("e_large") is None
    assert finished.get("e_next") is not None


def _finished(execution_id: str, result: str = "1") -> Execution:
    execution = Execution(execution_id, OWNER, caller=CALLER, accepted_at=0)
    execution.finish(Report(execution_id=execution_id, session=None, status="completed", result=result))
    return execution
