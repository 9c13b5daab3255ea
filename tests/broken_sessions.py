"""A store with sessions whose logs do not replay as they were recorded, written without an engine."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import trio

from engine.chain import GENESIS, seal
from engine.events import Caller, Created, Executed, Outcome, Trace
from engine.limits import Limits
from persistence.sqlite import open_sqlite_log
from transports.identity import LOCAL

CALLER = Caller(transport="rest", client="older")
OTHER_ENGINE = "0" * 32


def make_store(directory: Path) -> None:
    """Sessions "diverged" (at event 2), "failed" (at event 2) and "drifted" (at event 1)."""
    trio.run(_write, directory)


async def _write(directory: Path) -> None:
    async with open_sqlite_log(directory) as log:
        for name, *executions in (
            ("diverged", ("let n = 7; n", "7", "7"), ("n * 10", "71", "71")),
            ("failed", ("let n = 7; n", "7", "7"), ("new ArrayBuffer(2e9); n", "7", "7")),
            ("drifted", ("let n = 7; n", "seven", "7")),
        ):
            session = f"i_{name}"
            created: Any = Created(
                session=session, seq=0, at=1, owner=LOCAL.owner, name=name, engine=OTHER_ENGINE, caller=CALLER
            )
            records = [seal(GENESIS, created)]
            for seq, (code, result, result_json) in enumerate(executions, 1):
                event = Executed(
                    session=session,
                    seq=seq,
                    at=seq + 1,
                    accepted_at=seq + 1,
                    execution_id=f"e_{name}{seq}",
                    owner=LOCAL.owner,
                    caller=CALLER,
                    engine=OTHER_ENGINE,
                    code=code,
                    limits=Limits(),
                    trace=Trace(start=17_000_000_000_000 + seq, seed=bytes(16)),
                    outcome=Outcome(status="completed", result=result, result_json=result_json),
                    digest=bytes(32),
                )
                records.append(seal(records[-1].id, event))
            await log.append(records)
