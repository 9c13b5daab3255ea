"""Histories to append: sealed records of one session after another, of every kind of event."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager
from typing import Any

from engine.chain import GENESIS, Record, seal
from engine.checkpoints import Checkpoint
from engine.events import (
    Aborted,
    Accepted,
    Caller,
    Closed,
    Created,
    ErrorDetail,
    Event,
    Executed,
    Forked,
    Line,
    Outcome,
    Tagged,
    Trace,
)
from engine.limits import Limits
from persistence.eventlog import EventLog, Fault

CALLER = Caller(transport="mcp", client="claude-code", client_version="2.0", subject="ann", request_id="7")
ENGINE = "v8-14.4-test"

Stranger = Callable[[], AbstractContextManager[None]]
"""Something else that holds the database for the time of a block."""


class History:
    """Makes the next record of a session; remembers the head."""

    def __init__(self, session: str = "s1", *, owner: str = "ann", name: str | None = None) -> None:
        self.session = session
        self.owner = owner
        self.name = session if name is None else name
        self.records: list[Record] = []

    @property
    def head(self) -> Record:
        return self.records[-1]

    def created(self) -> Record:
        return self._add(
            Created(
                session=self.session,
                seq=0,
                at=1_000,
                owner=self.owner,
                name=self.name,
                engine=ENGINE,
                caller=CALLER,
            ),
            GENESIS,
        )

    def forked(self, parent: Record) -> Record:
        return self._add(
            Forked(
                session=self.session,
                seq=parent.event.seq + 1,
                at=1_500,
                owner=self.owner,
                name=self.name,
                engine=ENGINE,
                caller=CALLER,
                parent=parent.event.session,
            ),
            parent.id,
        )

    def executed(self, **changes: Any) -> Record:
        fields: dict[str, Any] = {
            **self._execution(),
            "trace": Trace(start=17, seed=b"s" * 16, clock=(0, 3, 12, 1), timers_after=(4,)),
            "outcome": Outcome(status="completed", result="2", result_json="2"),
            "digest": b"d" * 32,
            **changes,
        }
        return self._add(Executed(**fields))

    def aborted(self, **changes: Any) -> Record:
        fields: dict[str, Any] = {
            **self._execution(),
            "reason": "timed_out",
            "error": ErrorDetail(name="Timeout", message="timed_out after 30 s", undone=True),
            **changes,
        }
        return self._add(Aborted(**fields))

    def tagged(self, target: int = 0, **tags: str | None) -> Record:
        return self._add(
            Tagged(
                session=self.session,
                seq=self._next,
                at=9_000,
                caller=CALLER,
                target=target,
                tags=tags or {"release": "ünï\0"},
            )
        )

    def accepted(self, **changes: Any) -> Record:
        fields: dict[str, Any] = {"engine": ENGINE, "digests": {1: b"d" * 32}, **changes}
        return self._add(Accepted(session=self.session, seq=self._next, at=9_500, caller=CALLER, **fields))

    def closed(self) -> Record:
        return self._add(Closed(session=self.session, seq=self._next, at=9_999, caller=CALLER))

    def undo(self) -> None:
        """Forget the last record, so that the next one takes its place."""
        self.records.pop()

    @property
    def _next(self) -> int:
        return self.head.event.seq + 1

    def _execution(self) -> dict[str, Any]:
        return {
            "session": self.session,
            "seq": self._next,
            "at": 2_000 + self._next,
            "accepted_at": 1_999,
            "execution_id": f"e_{self.session}_{self._next}",
            "owner": self.owner,
            "caller": CALLER,
            "engine": ENGINE,
            "code": "1 + 1",
            "limits": Limits(),
            "console": (Line("log", "sum\n14"), Line("warn", "")),
        }

    def _add(self, event: Event, prev: bytes | None = None) -> Record:
        self.records.append(seal(self.head.id if prev is None else prev, event))
        return self.head


def every_kind() -> tuple[History, History]:
    """A session with every kind of event, some with large fields, and a fork of it."""
    history = History()
    history.created()
    history.executed(code="x" * 50_000, input='{"n": 1}', idempotency_key="k1", request_hash="ab")
    history.aborted(idempotency_key="k2", console=tuple(Line("log", "flood" * 100) for _ in range(40)))
    history.tagged()
    history.executed(code="x" * 50_000, outcome=Outcome(status="failed", result="y" * 2_000))
    fork = History("s2", name="fork")
    fork.forked(history.head)
    fork.executed()
    history.accepted(digests=dict.fromkeys(range(1, 60), b"d" * 32))
    history.closed()
    return history, fork


def checkpoint_of(record: Record, **changes: Any) -> Checkpoint:
    """What a log remembers of a checkpoint of the state after an event."""
    fields: dict[str, Any] = {
        "session": record.event.session,
        "seq": record.event.seq,
        "state": record.id,
        "engine": "0123abcd",
        "blob": hashlib.sha256(record.id).hexdigest(),
        "size": 4_096,
        "made_at": 3_000,
        "cost_us": 70,
        **changes,
    }
    return Checkpoint(**fields)


async def collect(records: AsyncIterator[Record]) -> list[Record]:
    return [record async for record in records]


async def faults_of(log: EventLog) -> list[Fault]:
    """All that an audit finds wrong."""
    audits = [await log.audit(session) for session in await log.audited(None)]
    return [fault for one in audits if one is not None for fault in one.faults]
