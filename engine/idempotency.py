"""The same owner and idempotency key give the same execution, also while it is under way."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from engine.errors import KeyReused
from engine.execution import Execution, Submission

Key = tuple[str, str]
"""Owner and idempotency key."""


class Keys:
    """What the keys stand for, while the log does not know it; ``recorded`` asks the log."""

    def __init__(self, recorded: Callable[[Key], Awaitable[Execution | None]]) -> None:
        self._recorded = recorded
        self._executions: dict[Key, Execution] = {}
        self._lookups: dict[Key, trio.Event] = {}

    async def once(
        self, asked: Submission, key: Key, begin: Callable[[Submission], Awaitable[Execution]]
    ) -> Execution:
        """The execution under ``key``; ``begin`` accepts a new one. Raises KeyReused, and what that does."""
        while True:
            known = self._executions.get(key)
            if known is not None:
                return _same_request(asked, known)
            if key not in self._lookups:
                break
            await self._lookups[key].wait()  # somebody with the same key is a step ahead
        looked_up = self._lookups[key] = trio.Event()
        try:
            known = await self._recorded(key)
            if known is not None:
                return _same_request(asked, known)
            execution = self._executions[key] = await begin(asked)
            return execution
        finally:
            del self._lookups[key]
            looked_up.set()

    def forget(self, execution: Execution) -> None:
        """The key is the log's business now, or free again."""
        if execution.idempotency_key is not None:
            key = (execution.owner, execution.idempotency_key)
            if self._executions.get(key) is execution:
                del self._executions[key]


def _same_request(asked: Submission, execution: Execution) -> Execution:
    if execution.request_hash != asked.request_hash:
        raise reused()
    return execution


def reused() -> KeyReused:
    """What the second of two requests is told that have one key."""
    return KeyReused(
        "this idempotency key was used for another request; use a new key for a new request",
        field="idempotency_key",
    )
