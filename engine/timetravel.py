"""What is asked of a session's past: its variables there, a replay of it, and what code would say there.

Each takes a worker that is used for nothing else, and nothing of it is recorded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from engine import looking, outcomes
from engine.attempt import conclude, prepare, run
from engine.catalog import StateView
from engine.debt import Debt
from engine.errors import TooLarge
from engine.execution import Execution, Report, Submission
from engine.looking import LooksBack
from engine.restoring import worker_at
from engine.session import ForkPoint
from engine.sessions import Sessions
from engine.timestamps import now_us
from engine.verification import Replayed, Step, Verification


class TimeTravel:
    """Goes back in the sessions of one log, by the places of ``looks``, or for a walk of ``walks``."""

    def __init__(self, sessions: Sessions, looks: LooksBack, walks: LooksBack) -> None:
        self._sessions = sessions
        self._looks = looks
        self._walks = walks

    async def state(self, owner: str, name: str, point: ForkPoint, preview_chars: int) -> StateView:
        """The variables there. Raises TooLarge, Busy, Conflict, Unavailable, StoreError."""
        async with self._in_time(owner, name, point):
            view = await looking.look_back(self._sessions, owner, name, point, preview_chars)
        return view  # noqa: RET504 (the block may be ended)

    async def evaluate(self, point: ForkPoint, name: str, submission: Submission) -> Report:
        """What code comes to there, as an execution that is no event; the owner's session is called ``name``.

        Raises TooLarge, Busy, Conflict, Unavailable, StoreError.
        """
        owner, source = submission.owner, self._sessions
        async with self._in_time(owner, name, point):
            debt = Debt.for_target(source.restore_target_seconds)
            worker = await worker_at(source, owner, name, point, debt)
            try:
                execution = Execution("", owner, caller=submission.caller, accepted_at=now_us())
                seq = point.seq + 1
                attempt = prepare(execution, submission, source.policy, source.engine_id, seq)
                result = await run(worker, attempt, execution, source.scheduler, name)
            finally:
                source.places.give_back(worker)
        event = conclude(attempt, point.session, result, execution.console)
        return outcomes.report(event, session=name, heap=point.id.hex())

    async def replay(self, owner: str, name: str, point: ForkPoint) -> Replayed:
        """Run all events again, up to ``point``. Raises TooLarge, Busy, Unavailable, StoreError."""
        verification = Verification(self._sessions, owner, name)

        def late() -> TooLarge:
            return TooLarge(
                f"replaying {name}@{point.seq} takes more than {self._looks.patience:g} s: it came to event "
                f"{verification.reached}; replay less of it, as {name}@n",
                field="session",
            )

        async with self._looks.short(owner, late):
            replayed = await verification.run(point)
        return replayed  # noqa: RET504 (the block may be ended)

    async def walk(
        self,
        owner: str,
        name: str,
        point: ForkPoint,
        tell: Callable[[Step], Awaitable[None]],
        *,
        first: int,
        strict: bool,
        changes: bool,
    ) -> Replayed:
        """Run the events from ``first`` on again, up to ``point``, for as long as that takes, and tell of
        each.

        Raises Busy, TooLarge, Unavailable, StoreError.
        """
        async with self._walks.place(owner):
            before = await self._before(owner, name, point, first) if changes else None
            verification = Verification(
                self._sessions, owner, name, first=first, strict=strict, before=before, tell=tell
            )
            return await verification.run(point)

    async def _before(self, owner: str, name: str, point: ForkPoint, first: int) -> StateView:
        """The variables before event ``first``; none in a new session."""
        if first <= 1:
            return StateView(session=name, event=0, heap="", globals=(), more=0)
        at = await self._sessions.catalog.state(owner, name, min(first - 1, point.seq))
        return await looking.look_back(self._sessions, owner, name, at, looking.MAX_PREVIEW_CHARS)

    def _in_time(self, owner: str, name: str, point: ForkPoint) -> AbstractAsyncContextManager[None]:
        return self._looks.short(
            owner,
            lambda: TooLarge(
                f"going back to {name}@{point.seq} takes more than {self._looks.patience:g} s: fork it "
                "there, and look at the fork, which stays there",
                field="at",
            ),
        )
