"""The other nodes of a cluster, as the engine of one sees them; a server by itself has none."""

from __future__ import annotations

from typing import Protocol

from engine.catalog import SessionInfo
from engine.commands import Command
from engine.execution import Execution, Submission


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

    async def fetch(self, owner: str, name: str) -> None:
        """Let the node that has a session of that name, if one has, give it to this one: within a bound, if
        nothing there uses it. Raises Unavailable.
        """
        ...

    def release(self, owner: str, name: str, token: int) -> None:
        """One claim less of those that had this token."""
        ...

    def check(self) -> None:
        """Raises Unavailable where this node may have lost its sessions without having heard of it."""
        ...

    def place(self, asked: Submission) -> None:
        """Raises Elsewhere where another node shall run what is asked for no session that there is."""
        ...

    def accepted(self, submission: Submission, execution: Execution) -> None:
        """It is under way on this node."""
        ...

    async def promise(self, execution: Execution) -> None:
        """Until what became of the execution can be asked for by its id even if its node is lost.

        Raises Unavailable.
        """
        ...

    def forward(self, command: Command, owner: str, name: str | None, *, was_queued: bool = False) -> None:
        """Let the node that has the session, or any other, carry a command out: it is answered, or fails.

        What ``was_queued`` here comes there in the order in which it is forwarded, before what follows it.
        """
        ...

    def is_awaited(self, owner: str, name: str) -> bool:
        """Whether something that was accepted here before is still on its way to the session: then what comes
        is to be forwarded behind that, wherever the session is.
        """
        ...

    async def fresh(self, owner: str, name: str | None = None) -> None:
        """Until the log here has what was recorded before, anywhere: of the session of that name, or all."""
        ...

    async def session(self, owner: str, name: str) -> SessionInfo | None:
        """How a session is that another node has; None if none has, or it does not say."""
        ...

    def node_of(self, owner: str, name: str) -> str | None:
        """The node that has a session, as far as this one has seen; None if none has."""
        ...

    async def under_way(self, owner: str, name: str | None) -> list[Execution]:
        """What an owner has under way on other nodes, in the session of that name or in any: as it is now."""
        ...

    async def execution(self, owner: str, execution_id: str) -> Execution | None:
        """One that is under way on another node, or held there, followed here from now on; or that another
        node has recorded. Raises Unavailable if that is not certain.
        """
        ...


class Alone:
    """No cluster."""

    leads = True

    async def claim(self, owner: str, name: str, *, here: bool = False) -> int:  # noqa: ARG002
        """Every session is this server's."""
        return 0

    async def fetch(self, owner: str, name: str) -> None:
        """It is here."""

    def release(self, owner: str, name: str, token: int) -> None:
        """And stays that."""

    def check(self) -> None:
        """None is lost."""

    def place(self, asked: Submission) -> None:
        """It runs here."""

    def accepted(self, submission: Submission, execution: Execution) -> None:
        """And if this server is lost, it comes to nothing."""

    async def promise(self, execution: Execution) -> None:
        """Nobody else could be asked."""

    def forward(
        self,
        command: Command,
        owner: str,  # noqa: ARG002
        name: str | None,  # noqa: ARG002
        *,
        was_queued: bool = False,  # noqa: ARG002
    ) -> None:
        """There is no other node."""
        raise AssertionError(f"{type(command).__name__} was to leave a server that is alone")

    def is_awaited(self, owner: str, name: str) -> bool:  # noqa: ARG002
        """It is in the mailbox already."""
        return False

    async def fresh(self, owner: str, name: str | None = None) -> None:
        """Nobody else records anything."""

    async def session(self, owner: str, name: str) -> SessionInfo | None:  # noqa: ARG002
        """No other node has it."""
        return None

    def node_of(self, owner: str, name: str) -> str | None:  # noqa: ARG002
        """There is none."""
        return None

    async def under_way(self, owner: str, name: str | None) -> list[Execution]:  # noqa: ARG002
        """Nothing is."""
        return []

    async def execution(self, owner: str, execution_id: str) -> Execution | None:  # noqa: ARG002
        """None is elsewhere."""
        return None
