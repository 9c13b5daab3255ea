"""A store that the benchmarks fill has sessions that a server goes on with."""

from __future__ import annotations

from pathlib import Path

from benchmarks import scale
from benchmarks.engines import CALLER, open_engine
from engine.execution import Submission
from transports.identity import LOCAL


async def test_sessions_that_were_put_into_a_store_go_on_where_they_are(tmp_path: Path) -> None:
    await scale.fill(tmp_path, 3)
    async with open_engine(tmp_path) as engine:
        assert set(await engine.log.open_sessions()) == {LOCAL.owner, "benchmark"}
        asked = Submission(code="n += 1", session="00000002", owner=LOCAL.owner, caller=CALLER)
        report = await (await engine.supervisor.executions.submit(asked)).wait(60)
        assert report is not None
        assert (report.status, report.result) == ("completed", "2")
