"""What is on its way from this node to sessions that others have: of each session in the order in which it
was accepted, also where all of it comes back at once because the session goes to another node.
"""

from __future__ import annotations

import math

import trio
from msgspec import Struct

from engine.commands import Command, Execute

HERE = ""
"""Stands for this node where one is named that let a command go again."""


class Way(Struct, eq=False):
    """Of one command to its session."""

    command: Command
    owner: str
    name: str | None
    """The session's; None: it is for none that there is."""
    taken_by: str | None = None
    """The node that has accepted it, and will do it."""
    taken_at: float = 0.0
    """In Trio's time."""
    left_by: str | None = None
    """The node that had accepted it, and let it go again."""
    left_at: float = -math.inf

    def taken(self, node: str) -> None:
        """A node has accepted it."""
        self.taken_by, self.taken_at = node, trio.current_time()

    def left(self) -> None:
        """Whoever had it does not do it: the session went to another node before its turn came."""
        self.left_by, self.taken_by, self.left_at = self.taken_by or HERE, None, trio.current_time()

    def _holds_up(self, later: Way, node: str | None) -> bool:
        """Whether one that was accepted later must not go to a node now."""
        if isinstance(self.command, Execute) and self.command.execution.session != self.name:
            return False  # it has branched off, and goes on in a session of its own
        if self.taken_by is None:  # one that nobody has accepted yet may come after those that come now
            return self.left_by is not None
        # Where it is, it is done before, or comes back: from there the other one has come, or the session is
        # elsewhere by now.
        return self.taken_by != node or (later.left_by == self.taken_by and self.taken_at < later.left_at)


class Lines:
    """All of one node."""

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], list[Way]] = {}
        self._changed = trio.Event()
        """Set, and replaced, when one goes on."""

    def __contains__(self, session: tuple[str, str]) -> bool:
        """Whether something is on its way to the owner's session of that name."""
        return session in self._lines

    def join(self, way: Way) -> None:
        """It is accepted here."""
        if way.name is not None:
            self._lines.setdefault((way.owner, way.name), []).append(way)

    def leave(self, way: Way) -> None:
        """It is done, or has failed, or is this node's own from now on."""
        if way.name is not None:
            line = self._lines[way.owner, way.name]
            line.remove(way)
            if not line:
                del self._lines[way.owner, way.name]
        self.went_on()

    def must_wait(self, way: Way, node: str | None) -> bool:
        """Whether something is to come to the session before this does, which would go to a node now (None:
        this one).
        """
        if way.name is not None:
            for before in self._lines[way.owner, way.name]:
                if before is way:
                    break
                if before._holds_up(way, node):
                    return True
        return False

    def went_on(self) -> None:
        """Somewhere, somebody may have to wait no more."""
        changed, self._changed = self._changed, trio.Event()
        changed.set()

    async def until_moved(self, seconds: float) -> None:
        """Until that, or so long."""
        with trio.move_on_after(seconds):
            await self._changed.wait()
