"""What a session's mailbox holds: code to run, and what else is asked of a session in its turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

import trio
from msgspec import Struct

from engine.catalog import StateView
from engine.events import Caller
from engine.execution import Execution, Submission

T = TypeVar("T")


class Execute(Struct):
    """An accepted submission."""

    submission: Submission
    execution: Execution

    def fail(self, failure: Exception) -> None:
        """It could not be run or recorded."""
        self.execution.fail(failure)


class Request(Generic[T]):
    """Something else that is asked of a session; it is done whether or not anybody waits for it."""

    def __init__(self, when_done: Callable[[Request[T]], object]) -> None:
        self._when_done = when_done
        self._answer: T | None = None
        self._failure: Exception | None = None
        self._done = trio.Event()

    async def result(self) -> T:
        """The answer. Cancelling the wait cancels nothing else. Raises what kept it from being done."""
        await self._done.wait()
        if self._failure is not None:
            raise self._failure
        assert self._answer is not None
        return self._answer

    def answer(self, answer: T) -> None:
        """It is done, and durable where it changed something."""
        self._answer = answer
        self._end()

    def fail(self, failure: Exception) -> None:
        """It was not done."""
        self._failure = failure
        self._end()

    def _end(self) -> None:
        self._done.set()
        self._when_done(self)


class Delete(Request[str]):
    """Close the session. The answer is its internal id."""

    def __init__(self, caller: Caller, when_done: Callable[[Request[str]], object]) -> None:
        super().__init__(when_done)
        self.caller = caller


class Fork(Request[str]):
    """Begin a session called ``name`` in the state that this one is in. The answer is its internal id."""

    def __init__(self, name: str, caller: Caller, when_done: Callable[[Request[str]], object]) -> None:
        super().__init__(when_done)
        self.name = name
        self.caller = caller


class Tag(Request[str]):
    """Change labels of the state at event ``at`` (None: now). The answer is the session's internal id."""

    def __init__(
        self,
        at: int | None,
        tags: dict[str, str | None],
        caller: Caller,
        when_done: Callable[[Request[str]], object],
    ) -> None:
        super().__init__(when_done)
        self.at = at
        self.tags = tags
        self.caller = caller


class Look(Request[StateView]):
    """Say what variables the session has."""


Command = Execute | Delete | Fork | Tag | Look
