"""What this node's engine does for the others (``cluster.service.Engine``)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cluster import messages
from cluster.messages import ToAsk
from engine.commands import Request
from engine.errors import Elsewhere
from engine.execution import Execution, Submission

if TYPE_CHECKING:
    from cluster.node import Node
    from engine.catalog import SessionInfo


class Here:
    """Of a node that has joined."""

    def __init__(self, node: Node) -> None:
        self._node = node

    @property
    def revision(self) -> int:
        """Up to which this node has written."""
        return 0 if self._node.log is None else self._node.log.written

    async def run_here(self, submission: Submission, execution_id: str, accepted_at: int) -> Execution:
        """See ``Engine``."""
        from engine.executions import Forwarded

        engine = self._node.engine
        if (known := engine.executions.held(execution_id)) is not None and not known.is_elsewhere:
            return known
        self._check_not_stopping()
        return await engine.executions.submit(submission, Forwarded(execution_id, accepted_at))

    async def do_here(self, asked: ToAsk) -> Request[Any]:
        """See ``Engine``."""
        self._check_not_stopping()
        return await self._node.engine.peers.post(
            asked.owner, asked.session, lambda answered: messages.command_of(asked, answered)
        )

    def _check_not_stopping(self) -> None:
        """Raises Elsewhere: who asked tries until another node has the session, and no client is told."""
        if self._node.engine.is_stopping:
            raise Elsewhere("this node stops: another one is to have it")

    async def noted(self, execution: Execution) -> None:
        """See ``Engine``."""
        await self._node.noted(execution)

    def held(self, execution_id: str) -> Execution | None:
        """See ``Engine``."""
        return self._node.engine.executions.held(execution_id)

    def running_here(self, owner: str) -> list[Execution]:
        """See ``Engine``."""
        return self._node.engine.executions.running_here(owner)

    async def described(self, owner: str, name: str) -> SessionInfo:
        """See ``Engine``."""
        return await self._node.engine.peers.session(owner, name)
