"""Sessions written to a store without running anything: long ones, and many, in little time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import trio

from engine.chain import GENESIS, Record, seal
from engine.events import Aborted, Caller, Created, ErrorDetail, Executed, Line, Outcome, Trace
from engine.limits import Limits
from persistence.sqlite import open_sqlite_log
from transports.identity import LOCAL

CALLER = Caller(transport="mcp", client="claude-code", client_version="2.1")
ENGINE = "0" * 32
BATCH = 1_000
"""Records that are appended at once."""
BEGAN = 1_790_000_000_000_000
"""Microseconds since the epoch: when these sessions began. Each event is a second later."""


def executed(code: str, **fields: Any) -> dict[str, Any]:
    """An execution that came to an outcome; ``result``, ``error``, ``console`` and fields of the event."""
    error = fields.pop("error", None)
    result = fields.pop("result", None)
    lines = tuple(Line(*line) for line in fields.pop("console", ()))
    outcome = Outcome(
        status="failed" if error else "completed",
        result=None if error else "1" if result is None else result,
        error=error and ErrorDetail(**error),
    )
    return {"kind": Executed, "code": code, "outcome": outcome, "console": lines, **fields}


def aborted(code: str, **fields: Any) -> dict[str, Any]:
    """An execution that was stopped; ``reason`` and fields of the event."""
    error = ErrorDetail(name="TimedOut", message="timed out after 30 s", undone=True)
    return {"kind": Aborted, "code": code, "reason": "timed_out", "error": error, **fields}


def make(
    directory: Path, name: str, events: Iterable[dict[str, Any]], *, owner: str = LOCAL.owner, at: int = BEGAN
) -> None:
    """Write a session; its first event was ``at``."""

    async def write() -> None:
        async with open_sqlite_log(directory) as log:
            records = _records(name, events, owner, at)
            while batch := list(islice(records, BATCH)):
                await log.append(batch)

    trio.run(write)


def _records(name: str, events: Iterable[dict[str, Any]], owner: str, at: int) -> Iterable[Record]:
    session = f"i_{hashlib.sha256(f'{owner} {name}'.encode()).hexdigest()[:16]}"
    created = Created(session=session, seq=0, at=at, owner=owner, name=name, engine=ENGINE, caller=CALLER)
    record = seal(GENESIS, created)
    yield record
    for seq, fields in enumerate(events, 1):
        began = at + seq * 1_000_000
        common = {
            "session": session,
            "seq": seq,
            "at": began,
            "accepted_at": began - 1_500,
            "execution_id": f"e_{session[2:12]}{seq:06}",
            "owner": owner,
            "caller": CALLER,
            "engine": ENGINE,
            "limits": Limits(),
            "duration_us": 1_840,
        }
        made = {**common, **fields}
        kind = made.pop("kind")
        if kind is Executed:
            made = {
                "trace": Trace(start=began // 100, seed=bytes(16)),
                "cpu_us": 1_200,
                "digest": bytes(32),
                **made,
            }
        record = seal(record.id, kind(**made))
        yield record
