"""The other nodes of a cluster, as the engine of one sees them; a server by itself has none."""

from __future__ import annotations

from typing import Protocol

from engine.commands import Command
from engine.errors import EngineError
from engine.execution import Execution, Submission


class Elsewhere(EngineError):
    """Another node has the session, or shall have it: that one is asked in the client's place."""

    code = "elsewhere"

    def __init__(self, node: str) -> None:
        super().__init__(f"node {node} of the cluster has it")
        self.node = node


class Nodes(Protocol):
    """What an engine asks of its cluster.

    A session is written to by the node that has claimed it, which is told from ``Sessions.lose`` on that it
    has not any more.
    """

    @property
    def leads(self) -> bool:
        """Whether this node does what one of them has to do, as the upkeep of the store."""
        ...

    async def claim(self, owner: str, name: str, *, here: bool = False) -> int:
        """Let the session of that name, there or not, be this node's until it is released as often.

        What other nodes have written of it is in the log then. The token of the claim: as long as it is the
        same, nobody else has written. Raises Elsewhere if another node has it, or shall have it unless it has
        to be ``here``; Unavailable where there is no cluster now.
        """
        ...

    def release(self, owner: str, name: str) -> None:
        """One claim less."""
        ...

    def place(self, asked: Submission) -> None:
        """Raises Elsewhere where another node shall run what is asked for no session that there is."""
        ...

    def forward(self, command: Command, owner: str, name: str | None) -> None:
        """Let the node that has the session, or any other, carry a command out: it is answered, or fails."""
        ...

    async def fresh(self, owner: str, name: str | None = None) -> None:
        """Until the log here has what was recorded before, anywhere: of the session of that name, or all."""
        ...

    async def execution(self, owner: str, execution_id: str) -> Execution | None:
        """One that is under way on another node, or held there; followed here from now on."""
        ...


class Alone:
    """No cluster."""

    leads = True

    async def claim(self, owner: str, name: str, *, here: bool = False) -> int:  # noqa: ARG002
        """Every session is this server's."""
        return 0

    def release(self, owner: str, name: str) -> None:
        """And stays that."""

    def place(self, asked: Submission) -> None:
        """It runs here."""

    def forward(self, command: Command, owner: str, name: str | None) -> None:  # noqa: ARG002
        """There is no other node."""
        raise AssertionError(f"{type(command).__name__} was to leave a server that is alone")

    async def fresh(self, owner: str, name: str | None = None) -> None:
        """Nobody else records anything."""

    async def execution(self, owner: str, execution_id: str) -> Execution | None:  # noqa: ARG002
        """None is elsewhere."""
        return None
