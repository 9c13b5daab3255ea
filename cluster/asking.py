"""What other nodes know that this one does not: what is under way there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import msgspec
import trio

from cluster import messages
from cluster.following import CaughtUp, follow, frame, taken
from cluster.messages import DESCRIBE, FOLLOW, UNDER_WAY, Held, ToDescribe, ToFollow, ToList
from cluster.peers import Peers
from engine.catalog import SessionInfo
from engine.errors import Elsewhere, EngineError, NodeFenced, NotFound, NotOwner, Unavailable
from engine.execution import Execution

ASK_SECONDS = 1.0
"""For other nodes to answer: what those know that do not, is left out."""
MOST_LISTED = 1_000
"""Executions of one node."""

_held = msgspec.msgpack.Decoder(Held)
_info = msgspec.msgpack.Decoder(SessionInfo)


class Others(Protocol):
    """Who there is."""

    @property
    def others(self) -> list[str]:
        """The other nodes that are members."""
        ...


class Asking:
    """Asks the other nodes. ``caught_up`` waits until the log here is as far as a revision; ``recorded``
    until an execution is over that is not followed any more, and lets it be.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        peers: Peers,
        nodes: Others,
        caught_up: CaughtUp,
        recorded: Callable[[Execution], Awaitable[None]],
    ) -> None:
        self._nursery = nursery
        self._peers = peers
        self._nodes = nodes
        self._caught_up = caught_up
        self._recorded = recorded
        self._followed: dict[str, Execution] = {}
        """Executions that others asked for, by id."""

    async def session(self, node: str, owner: str, name: str) -> SessionInfo | None:
        """How a session is, as the node says that has it."""
        asked = messages.encode(ToDescribe(owner=owner, session=name))
        with trio.move_on_after(ASK_SECONDS):
            try:
                async with self._peers.call(node, DESCRIBE, asked) as exchange:
                    return _info.decode(await frame(exchange))
            except EngineError:  # it is lost, or has not the session any more: the log says the rest
                return None
        return None

    async def under_way(self, owner: str, name: str | None) -> list[Execution]:
        """What an owner has under way on other nodes, as it is now."""
        found: list[Execution] = []
        asked = messages.encode(ToList(owner, name))
        with trio.move_on_after(ASK_SECONDS):
            async with trio.open_nursery() as nursery:
                for node in self._nodes.others:
                    nursery.start_soon(self._list, node, owner, asked, found.append)
        return found

    async def _list(self, node: str, owner: str, asked: bytes, tell: Callable[[Execution], None]) -> None:
        try:
            async with self._peers.call(node, UNDER_WAY, asked) as exchange:
                for _ in range(MOST_LISTED):
                    if (data := await exchange.receive()) is None:
                        return
                    held = _held.decode(data)
                    execution = Execution(
                        held.execution_id,
                        owner,
                        caller=held.caller,
                        accepted_at=held.accepted_at,
                        code=held.code,
                    )
                    execution.is_elsewhere, execution.session = True, held.session
                    tell(execution)
        except EngineError:  # that node is lost: what it has under way is, too
            return

    async def execution(self, owner: str, execution_id: str) -> Execution | Sequence[str]:
        """An execution that another node has in memory, followed from now on; else the nodes that have not
        said whether they have it.
        """
        if (known := self._followed.get(execution_id)) is not None:
            return known if known.owner == owner else ()
        found: list[Execution] = []
        silent = set(self._nodes.others)

        async def find(node: str, enough: trio.CancelScope) -> None:
            answer = await self._nursery.start(self._follow, node, owner, execution_id)
            if isinstance(answer, Execution):
                found.append(answer)
                enough.cancel()
            elif isinstance(answer, NotFound):
                silent.discard(node)

        with trio.move_on_after(ASK_SECONDS):
            async with trio.open_nursery() as nursery:
                for node in self._nodes.others:
                    nursery.start_soon(find, node, nursery.cancel_scope)
        return found[0] if found else sorted(silent)

    async def _follow(
        self,
        node: str,
        owner: str,
        execution_id: str,
        *,
        task_status: trio.TaskStatus[Execution | EngineError],
    ) -> None:
        """Follow an execution that another node may know; tells the execution, or why there is none."""
        execution = None
        try:
            asked = messages.encode(ToFollow(owner=owner, execution_id=execution_id))
            async with self._peers.call(node, FOLLOW, asked) as exchange:
                told = await taken(exchange)
                execution = self._followed[execution_id] = Execution(
                    execution_id,
                    owner,
                    caller=told.caller,
                    accepted_at=told.accepted_at,
                    code=told.code,
                    idempotency_key=told.idempotency_key,
                    request_hash=told.request_hash,
                )
                execution.is_elsewhere = True
                task_status.started(execution)
                try:
                    await follow(execution, exchange, self._caught_up)
                except (Elsewhere, NotOwner, NodeFenced):  # with its session: another one goes on with it
                    await self._recorded(execution)
        except EngineError as failed:
            if execution is None:
                task_status.started(failed)
            else:
                execution.fail(failed)
        except trio.Cancelled:
            if execution is not None:
                execution.fail(Unavailable("the server stopped before another node had answered"))
            raise
        finally:
            if self._followed.get(execution_id) is execution:
                self._followed.pop(execution_id, None)
