"""What is asked of a session's past: its variables there, a replay of it, and what code would say there.

Each takes a worker that is used for nothing else, and nothing of it is recorded.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

from engine import acceptance, looking, outcomes
from engine.attempt import conclude, prepare, run
from engine.catalog import StateView
from engine.debt import Debt
from engine.errors import InvalidField, TooLarge
from engine.execution import Execution, Report, Submission
from engine.looking import LooksBack
from engine.restoring import worker_at
from engine.session import ForkPoint
from engine.sessions import Sessions
from engine.timestamps import now_us
from engine.verification import Replayed, Step, Verification


class TimeTravel:
    """Goes back in the sessions of one log, by the places of ``looks``, or for a walk of ``walks``.

    ``ready`` is awaited before a worker is asked for; it raises Unavailable where there will be none.
    """

    def __init__(
        self, sessions: Sessions, looks: LooksBack, walks: LooksBack, ready: Callable[[], Awaitable[None]]
    ) -> None:
        self._sessions = sessions
        self._looks = looks
        self._walks = walks
        self._ready = ready

    async def point(self, owner: str, name: str, *, at: int | None) -> ForkPoint:
        """The event that made the state ``name@at``. Raises NotFound."""
        catalog = self._sessions.catalog
        return await catalog.state(
            owner, name, (await catalog.session(owner, name)).head_seq if at is None else at
        )

    async def state(self, owner: str, name: str, point: ForkPoint, preview_chars: int) -> StateView:
        """The variables there. Raises TooLarge, Busy, Conflict, Unavailable, StoreError."""
        await self._ready()
        async with self._in_time(owner, name, point):
            view = await looking.look_back(self._sessions, owner, name, point, preview_chars)
        return view  # noqa: RET504 (the block may be ended)

    async def evaluate(self, name: str, submission: Submission) -> Report:
        """What code comes to at ``name@at`` of the submission, as a report that tells of no event.

        Raises InvalidField, NotFound, TooLarge, Busy, Conflict, Unavailable, StoreError.
        """
        acceptance.check(submission, self._sessions.policy)
        owner, source = submission.owner, self._sessions
        point = await self.point(owner, name, at=submission.at)
        await self._ready()
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

    async def replay(self, owner: str, name: str, *, at: int | None) -> Replayed:
        """Run a session's events again from the first, up to ``name@at``, in a worker used for nothing else.

        Raises NotFound, TooLarge where that takes more than ``looking.PATIENCE_SECONDS``, Busy where no place
        comes free so long, Unavailable, StoreError.
        """
        point = await self.point(owner, name, at=at)
        await self._ready()
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
        tell: Callable[[Step], Awaitable[None]],
        *,
        first: int = 0,
        last: int | None = None,
        strict: bool = False,
        changes: bool = False,
    ) -> Replayed:
        """The same from event ``first`` to ``last``, for as long as it takes; ``tell`` hears of each event.

        ``strict``: what another engine recorded must come out as it did there, to the letter. ``changes``:
        each step says what it did to the variables. Raises InvalidField, NotFound, Busy, TooLarge,
        Unavailable, StoreError.
        """
        point = await self.point(owner, name, at=last)
        until = last
        if until is None:
            until = (await self._sessions.catalog.session(owner, name)).head_seq
        if first > until:
            raise InvalidField(f"no event is from {first} to {until}", field="first")
        await self._ready()
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
