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
        self.is_elsewhere = False
        """Whether another node carries it out, which counts it."""
        self.told: T | None = None
        """The answer, once it is done."""
        self.failure: Exception | None = None
        """Why it was not done."""
        self._done = trio.Event()

    async def result(self) -> T:
        """The answer. Cancelling the wait cancels nothing else. Raises what kept it from being done."""
        await self._done.wait()
        if self.failure is not None:
            raise self.failure
        assert self.told is not None
        return self.told

    def answer(self, answer: T) -> None:
        """It is done, and durable where it changed something."""
        self.told = answer
        self._end()

    def fail(self, failure: Exception) -> None:
        """It was not done."""
        self.failure = failure
        self._end()

    def _end(self) -> None:
        self._done.set()
        self._when_done(self)


class Changed(Struct, frozen=True):
    """What a change came to."""

    session: str
    """Internal id of the session that was changed or made."""
    event: int | None
    """Number of the event that tells of it; None if there was nothing to change."""


class Change(Request[Changed]):
    """A change of the session of that name, recorded with who asked for it."""

    def __init__(self, session: str, caller: Caller, when_done: Callable[[Request[Changed]], object]) -> None:
        super().__init__(when_done)
        self.session = session
        self.caller = caller


class Delete(Change):
    """Close the session; with ``only_at`` only if that is the number of its last event."""

    def __init__(
        self,
        session: str,
        caller: Caller,
        when_done: Callable[[Request[Changed]], object],
        *,
        only_at: int | None = None,
    ) -> None:
        super().__init__(session, caller, when_done)
        self.only_at = only_at


class Import(Change):
    """Take in the session of a file; it has no name here before all of that was verified."""

    def __init__(self, caller: Caller, when_done: Callable[[Request[Changed]], object]) -> None:
        super().__init__("", caller, when_done)


class Accept(Change):
    """Go on in the state that a replay gives, where that is another one than was recorded."""


class Fork(Change):
    """Begin a session called ``into`` in the state that this one is in."""

    def __init__(
        self, session: str, into: str, caller: Caller, when_done: Callable[[Request[Changed]], object]
    ) -> None:
        super().__init__(session, caller, when_done)
        self.into = into


class Tag(Change):
    """Change labels of the state at event ``at`` (None: now)."""

    def __init__(
        self,
        session: str,
        at: int | None,
        tags: dict[str, str | None],
        caller: Caller,
        when_done: Callable[[Request[Changed]], object],
    ) -> None:
        super().__init__(session, caller, when_done)
        self.at = at
        self.tags = tags


class Bury(Change):
    """Record that an execution, which was under way on a node that is lost, came to nothing."""

    def __init__(
        self,
        submission: Submission,
        execution_id: str,
        accepted_at: int,
        session: str,
        when_done: Callable[[Request[Changed]], object],
    ) -> None:
        super().__init__(session, submission.caller, when_done)
        self.submission = submission
        self.execution_id = execution_id
        self.accepted_at = accepted_at
        """Microseconds since the epoch."""


class Look(Request[StateView]):
    """Say what variables the session has, with previews of so many characters, unless nobody wants to know
    any more when its turn comes.
    """

    wanted = True

    def __init__(self, preview_chars: int, when_done: Callable[[Request[StateView]], object]) -> None:
        super().__init__(when_done)
        self.preview_chars = preview_chars


class Kept(Struct, frozen=True):
    """What became of a checkpoint that was asked for."""

    event: int
    """Number of the event whose state it is."""
    heap: str
    """64 hex digits: that event's id."""
    size: int
    """Bytes that it takes; 0 if there is none."""
    took_us: int | None = None
    """What the attempt took, in microseconds; None if it was there already."""
    declined: str | None = None
    """Why there is none."""


class Keep(Request[Kept]):
    """Make a checkpoint of the state, and tell when it is kept or given up; the session goes on meanwhile."""


Command = Execute | Delete | Accept | Fork | Tag | Bury | Keep | Look
