"""What another node does in this one's place: sent there, followed, and answered here as if it were done
here.

Until the other node says that it has taken an execution, it may be sent again, to whichever node has the
session by then: it carries its id, under which nothing runs twice. After that, if the node is lost, the
client is told. What comes back since its session went to another node goes there in the order in which it was
accepted (``lines``).
"""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import suppress
from typing import Protocol

import msgspec
import trio
from msgspec import Struct

from cluster import messages
from cluster.following import CATCH_UP_SECONDS, LOST, CaughtUp, follow, taken
from cluster.lines import Lines, Way
from cluster.messages import (
    ASK,
    EXECUTE,
    NOTE,
    Answered,
    ToAsk,
    ToExecute,
    ToNote,
)
from cluster.peers import Peers
from engine.commands import Accept, Bury, Command, Delete, Execute, Fork, Keep, Look, Tag
from engine.errors import Busy, Elsewhere, EngineError, NodeFenced, NodeLost, NotOwner, Unavailable
from engine.execution import Execution

_log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.05
"""Before it is looked again where a session is, to which something else is to go first."""

Question = Delete | Accept | Fork | Tag | Bury | Keep | Look
"""What is asked of a session but to run code."""

_answered = msgspec.msgpack.Decoder(Answered)


class Whereabouts(Protocol):
    """Says where a session is, or shall be."""

    async def whereto(self, owner: str, name: str | None, key: str | None) -> str | None:
        """The node; None for this one. Raises Unavailable where there is none."""
        ...

    async def until_moved(self, owner: str, name: str | None, node: str | None) -> None:
        """Until another node than that (None: this one) is seen to have the session, or for a moment."""
        ...


class Engine(Protocol):
    """What carries out what has turned out to be this node's."""

    async def take(self, owner: str, name: str | None, command: Command) -> None:
        """Post it here. Raises Elsewhere, and what posting does."""
        ...

    def came_back(self, execution: Execution) -> None:
        """Another node had taken an execution, and has let it go."""
        ...


class _Sent(Struct, frozen=True):
    """What another node may have begun with."""

    node: str
    is_noted: bool = False
    """Whether it is known even if that node is lost."""


class Forwarding:
    """Sends commands to other nodes. ``caught_up`` waits until the log here is as far as a revision.

    For ``patience`` seconds a node is looked for that has the session, and again where one that had taken
    something lets it go; the lease of one that was lost ends before.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        peers: Peers,
        where: Whereabouts,
        engine: Engine,
        caught_up: CaughtUp,
        patience: float,
    ) -> None:
        self._nursery = nursery
        self._peers = peers
        self._where = where
        self._engine = engine
        self._caught_up = caught_up
        self._patience = patience
        self._sent: dict[Execution | Question, _Sent] = {}
        """Those that another node may have begun with."""
        self.sent: Counter[str] = Counter()
        """What each node does for this one now."""
        self.forwarded = 0
        """What others were asked to do so far."""
        self._lines = Lines()
        self._promised: dict[str, trio.Event] = {}
        """Of executions whose ids clients are to be told: set when they are taken, or over."""

    def forward(self, command: Command, owner: str, name: str | None, *, was_queued: bool = False) -> None:
        """See ``engine.nodes.Nodes``.

        What another node asked for goes back to it: passed on from here it could come to that one again,
        which would wait for itself.
        """
        if isinstance(command, Execute) and command.execution.is_for_another:
            command.fail(Elsewhere("the session went to another node before this was begun: try again"))
            return
        _subject(command).is_elsewhere = True
        way = Way(command, owner, name)
        if was_queued:
            way.left()
        self._lines.join(way)
        self._nursery.start_soon(self._forward, way)

    def is_on_its_way(self, owner: str, name: str) -> bool:
        """Whether something is, from here to a session."""
        return (owner, name) in self._lines

    async def promised(self, execution: Execution) -> None:
        """Until whoever runs it has noted it, so that it is known after that node was lost; or it turns out
        that it runs here.
        """
        known_as = execution.id
        promised = self._promised.setdefault(known_as, trio.Event())
        try:
            while not (promised.is_set() or execution.done or execution in self._sent):
                changed = execution.changed
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_first, promised, nursery.cancel_scope)
                    nursery.start_soon(_first, changed, nursery.cancel_scope)
        finally:
            self._promised.pop(known_as, None)
        sent = self._sent.get(execution)
        if sent is not None and not sent.is_noted:  # it was sent before it was to be known
            asked = ToNote(owner=execution.owner, execution_id=execution.id)
            with suppress(EngineError):  # it is over, or goes elsewhere, or is noted without being asked for
                async with self._peers.call(sent.node, NOTE, messages.encode(asked)) as exchange:
                    await exchange.receive()

    async def _forward(self, way: Way) -> None:
        command, owner, name = way.command, way.owner, way.name
        deadline = trio.current_time() + self._patience
        try:
            while True:
                node = None
                try:
                    node = await self._whereto(way)
                    if self._lines.must_wait(way, node):
                        await self._lines.until_moved(PAUSE_SECONDS)
                        deadline = trio.current_time() + self._patience
                        continue
                    await self._try(way, node)
                except (Elsewhere, NodeLost, NotOwner, NodeFenced, Busy) as failed:
                    was_accepted = isinstance(command, Execute) and way.left_by is not None
                    if isinstance(failed, Busy) and not was_accepted:
                        raise
                    if way.taken_by is not None and not isinstance(failed, NodeLost):
                        way.left()
                        deadline = trio.current_time() + self._patience
                        if isinstance(command, Execute):
                            self._engine.came_back(command.execution)
                    if trio.current_time() > deadline:
                        raise Unavailable(
                            f"no node could do this within {self._patience:g} s: try again"
                        ) from failed
                    if isinstance(failed, NodeLost) and _subject(command) in self._sent:
                        raise NodeLost(LOST) from failed
                    self._sent.pop(_subject(command), None)
                else:
                    return
                await self._where.until_moved(owner, name, node)
        except trio.Cancelled:
            command.fail(Unavailable("the server stopped before another node had answered"))
            raise
        except EngineError as failed:
            command.fail(failed)
        except Exception:  # noqa: BLE001 - one request's bug must not end the node
            _log.exception("%s could not be forwarded", type(command).__name__)
            command.fail(EngineError("the engine failed: what was logged then has the details"))
        finally:
            self._sent.pop(_subject(command), None)
            self._lines.leave(way)

    async def _whereto(self, way: Way) -> str | None:
        key = way.command.submission.idempotency_key if isinstance(way.command, Execute) else None
        return await self._where.whereto(way.owner, way.name, key)

    async def _try(self, way: Way, node: str | None) -> None:
        command = way.command
        if node is None:
            _subject(command).is_elsewhere = False
            await self._engine.take(way.owner, way.name, command)
            if isinstance(command, Execute):
                self._settle_promise(command.execution)
            return
        _subject(command).is_elsewhere = True
        self.sent[node] += 1
        self.forwarded += 1
        try:
            if isinstance(command, Execute):
                await self._execute(node, command, way)
            else:
                assert way.name is not None  # as of all that is asked of a session
                await self._ask(node, way.owner, way.name, command)
        finally:
            self.sent[node] -= 1

    async def _execute(self, node: str, command: Execute, way: Way) -> None:
        execution = command.execution
        asked = ToExecute(
            submission=command.submission,
            execution_id=execution.id,
            accepted_at=execution.accepted_at,
            is_promised=execution.id in self._promised,
        )
        async with self._peers.call(node, EXECUTE, messages.encode(asked)) as exchange:
            told = await taken(exchange)
            self._sent[execution] = _Sent(node, is_noted=asked.is_promised)
            way.taken(node)
            self._lines.went_on()
            self._settle_promise(execution)
            execution.id = told.execution_id  # of the first one under its idempotency key
            await follow(execution, exchange, self._caught_up)

    def _settle_promise(self, execution: Execution) -> None:
        if (promised := self._promised.get(execution.id)) is not None:
            promised.set()

    async def _ask(self, node: str, owner: str, name: str, command: Question) -> None:
        asked = ToAsk(owner=owner, session=name, what=messages.asked_of(command))
        async with self._peers.call(node, ASK, messages.encode(asked)) as exchange:
            if not isinstance(command, Keep | Look):  # which may as well be done twice
                self._sent[command] = _Sent(node)
            frame = await exchange.receive()
        if frame is None:
            raise NodeLost(LOST)
        answered = _answered.decode(frame)
        with trio.move_on_after(CATCH_UP_SECONDS):
            await self._caught_up(answered.revision)
        messages.give(command, answered)


def _subject(command: Command) -> Execution | Question:
    """What others know of a command."""
    return command.execution if isinstance(command, Execute) else command


async def _first(event: trio.Event, scope: trio.CancelScope) -> None:
    await event.wait()
    scope.cancel()
