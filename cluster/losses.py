"""Executions that were lost with their node: running to whoever asks, until it is recorded that they were
not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from cluster.keys import Keys
from cluster.records import Running
from cluster.view import View
from engine.commands import Bury, Request
from engine.errors import EngineError, NodeLost
from engine.execution import Execution


class Losses:
    """``recorded`` gives what the log has of an execution by its id, once it has what was recorded
    anywhere.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        keys: Keys,
        view: View,
        recorded: Callable[[str, str], Awaitable[Execution | None]],
    ) -> None:
        self._nursery = nursery
        self._keys = keys
        self._view = view
        self._recorded = recorded
        self._waiting: dict[str, Execution] = {}
        """Those that somebody has asked for, by id."""

    def find(self, owner: str, execution_id: str) -> Execution | None:
        """An execution that is noted, and that no node says it has; followed until it is recorded."""
        seen = self._view.running.get(self._keys.execution(execution_id))
        if seen is None or seen.value.submission.owner != owner:
            return None
        noted = seen.value
        member = self._view.member(noted.node)
        is_there = member is not None and member.incarnation == noted.incarnation
        if (known := self._waiting.get(execution_id)) is not None:
            known.is_out_of_reach = is_there
            return known
        execution = self._waiting[execution_id] = Execution(
            execution_id,
            owner,
            caller=noted.submission.caller,
            accepted_at=noted.accepted_at,
            code=noted.submission.code,
            idempotency_key=noted.submission.idempotency_key,
            request_hash=noted.submission.request_hash,
        )
        execution.is_elsewhere, execution.session = True, noted.session
        execution.is_out_of_reach = is_there
        self._nursery.start_soon(self.until_recorded, execution)
        return execution

    async def until_recorded(self, execution: Execution) -> None:
        """Wait until an execution that is noted is noted no more, and let it be what is recorded of it."""
        key = self._keys.execution(execution.id)
        try:
            while key in self._view.running:
                await self._view.changed.wait()
            known = await self._recorded(execution.owner, execution.id)
        except EngineError as failed:
            execution.fail(failed)
        else:
            if known is None or known.report is None:
                execution.fail(NodeLost("the node that ran this was lost, and nothing is recorded of it"))
            else:
                execution.finish(known.report)
        finally:
            self._waiting.pop(execution.id, None)


def burial(running: Running, answered: Callable[[Request[Any]], None]) -> Bury:
    """The command that records that an execution was lost."""
    return Bury(running.submission, running.execution_id, running.accepted_at, running.session, answered)
