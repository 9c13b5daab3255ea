"""What is under way, and whether more is taken: bounded in number and size; none while the server stops."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import trio

from engine.commands import Delete, Look, Request
from engine.errors import Busy, Unavailable
from engine.execution import Execution
from engine.space import Space

MAX_HELD_BYTES = 256 << 20
"""Code and input of all executions that are under way."""


class Admission:
    """The executions and commands that were taken and are not over, at most ``most`` together.

    ``space`` None: nothing is stored.
    """

    def __init__(self, most: int, space: Space | None) -> None:
        self.executions: dict[str, Execution] = {}
        """By id."""
        self.requests: set[Request[Any]] = set()
        """Commands that are not answered yet."""
        self.held_bytes = 0
        self.is_closed = False
        """Whether nothing more is taken."""
        self._most = most
        self._space = space
        self._idle = trio.Event()

    def check(self) -> None:
        """Raises Unavailable, Busy."""
        if self.is_closed:
            raise Unavailable("the server is stopping; send the request to it again in a moment")
        if len(self.executions) + len(self.requests) >= self._most:
            raise Busy(f"{self._most} executions are under way already; try again later")

    def check_to_store(self) -> None:
        """The same for what will be stored; raises StoreFull as well."""
        self.check()
        if self._space is not None:
            self._space.check()

    def take(self, execution: Execution) -> None:
        """It is under way until it is given to ``release``. Raises Busy."""
        if self.held_bytes + execution.size > MAX_HELD_BYTES:
            raise Busy(f"{MAX_HELD_BYTES >> 20} MB of requests are waiting already; try again later")
        self.executions[execution.accepted_as] = execution
        self.held_bytes += execution.size

    def release(self, execution: Execution) -> None:
        """An execution is over."""
        del self.executions[execution.accepted_as]
        self.held_bytes -= execution.size
        self._note_idle()

    @contextmanager
    def asked(self, command: Request[Any]) -> Iterator[None]:
        """Take a command, which is posted in the block and under way until it is given to ``forget``.

        Raises Unavailable, Busy, StoreFull: what makes room is taken also where there is none.
        """
        if isinstance(command, Delete | Look):
            self.check()
        else:
            self.check_to_store()
        self.requests.add(command)
        try:
            yield
        except BaseException:
            self.forget(command)
            raise

    def forget(self, command: Request[Any]) -> None:
        """A command is answered, or was not posted."""
        self.requests.discard(command)
        self._note_idle()

    def close(self) -> None:
        """Take nothing more."""
        self.is_closed = True
        self._note_idle()

    async def wait_idle(self, seconds: float) -> None:
        """Until nothing is under way, once it is closed, or for so long."""
        with trio.move_on_after(seconds):
            await self._idle.wait()

    def _note_idle(self) -> None:
        if self.is_closed and not self.executions and not self.requests:
            self._idle.set()
