"""Clients that count, each step under a key of its own, and what must be in the log afterwards."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2
import trio
from restarts import RestartingServer, executions, insist, recorded

from engine.events import Executed
from persistence.place import Bucket

COUNT = "globalThis.n = (globalThis.n ?? 0) + 1"
SESSIONS = 4
RESEND_CHANCE = 0.1


class Load:
    """What the clients were told: answers by idempotency key."""

    def __init__(self, code: str = COUNT) -> None:
        self._code = code
        """What counts: its result is the number of times that it has run in its session."""
        self.told: dict[str, dict[str, Any]] = {}
        self.sessions: dict[str, str] = {}
        """Session by key, of every key that was ever sent."""
        self._changed = trio.Condition()

    async def count(
        self, server: RestartingServer, chance: random.Random, name: str, going: Callable[[int], bool]
    ) -> None:
        """A client that counts one up, in one of the sessions, as long as ``going(step)``."""
        async with httpx2.AsyncClient() as client:
            step = 0
            while going(step):
                key, session = f"{name}-{step}", f"counter-{chance.randrange(SESSIONS)}"
                self.sessions[key] = session
                answer = await insist(client, server, key, session=session, code=self._code)
                await self._note(key, answer)
                if chance.random() < RESEND_CHANCE:
                    again = await insist(client, server, key, session=session, code=self._code)
                    assert again == answer
                step += 1

    async def acknowledged(self, count: int) -> None:
        """Wait until that many answers have come."""
        async with self._changed:
            while len(self.told) < count:
                await self._changed.wait()

    async def _note(self, key: str, answer: dict[str, Any]) -> None:
        assert answer["status"] == "completed", answer
        async with self._changed:
            self.told[key] = answer
            self._changed.notify_all()


def sessions(load: Load) -> Counter[str]:
    """How many keys were sent to each session."""
    return Counter(load.sessions.values())


async def check(store: Path | Bucket, load: Load) -> None:
    """Every answer is in the log, at the place that it named, once; and nothing else is."""
    found = await recorded(store)
    events = {name: executions(records) for name, records in found.items()}
    keys = Counter(r.event.idempotency_key for records in events.values() for r in records)
    assert max(keys[key] for key in load.told) == 1
    assert set(load.told) <= set(keys)
    assert set(keys) - {None} <= set(load.sessions), "something ran that nobody sent"
    for key, answer in load.told.items():
        record = found[answer["session"]][answer["event"]]
        assert isinstance(record.event, Executed)
        assert answer["session"] == load.sessions[key]
        assert (record.event.execution_id, record.event.idempotency_key) == (answer["execution_id"], key)
        assert record.id.hex() == answer["heap"]
        assert record.event.outcome.result == answer["result"]
    for name, records in events.items():
        counted = [r.event.outcome.result for r in records if r.event.idempotency_key is not None]
        assert counted == [str(n + 1) for n in range(len(counted))], f"{name} counted wrong"
