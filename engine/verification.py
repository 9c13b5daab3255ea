"""Whether a session's log gives what it says: a replay from the first event, of which nothing is kept."""

from __future__ import annotations

from msgspec import Struct

from engine.comparison import Difference, Drift
from engine.recovery import Recovery
from engine.replay import ReplayFailed
from engine.restoring import Source
from engine.session import ForkPoint
from engine.workers import Worker


class Replayed(Struct, frozen=True, kw_only=True):
    """What a replay came to."""

    session: str
    """The session's name."""
    event: int
    """Number of the event that made the state up to which it went."""
    executions: int
    """How many were run again."""
    different: int
    """How many did not do what the log says."""
    found: dict[int, Difference]
    """In what the first thousand of these differed, by the numbers of their events."""
    failed: int | None
    """Number of the event that ended its worker again and again, and with it the replay."""
    drift: Drift | None
    """Texts that came out otherwise than under the engine of another version that recorded them."""

    @property
    def agrees(self) -> bool:
        """Whether all was as recorded."""
        return self.different == 0 and self.failed is None


class Verification:
    """One such replay of the owner's session of that name."""

    def __init__(self, source: Source, owner: str, name: str) -> None:
        self._source, self._owner, self._name = source, owner, name
        self._work = source.scheduler.work("replay", owner, name)
        self._recovery = Recovery(source.log, None, source.engine_id, self._work)
        self._taken: Worker | None = None

    @property
    def reached(self) -> int:
        """Number of the last event that was run again."""
        return self._recovery.reached

    async def run(self, target: ForkPoint) -> Replayed:
        """Replay up to ``target``; an event that differs is noted, and the replay goes on from what it gave.

        Raises StoreError, Unavailable.
        """
        failed: int | None = None
        try:
            with self._work:
                await self._recovery.accept(target, self._acquire)
        except ReplayFailed as ended:
            failed = ended.seq
        finally:
            self._give_back()
        comparison = self._recovery.comparison
        return Replayed(
            session=self._name,
            event=target.seq,
            executions=self._recovery.replayed,
            different=comparison.different,
            found=comparison.found,
            failed=failed,
            drift=comparison.drift,
        )

    async def _acquire(self) -> Worker:
        self._give_back()  # one that died while it replayed
        self._taken = await self._source.places.take(self._owner)
        return self._taken

    def _give_back(self) -> None:
        if self._taken is not None:
            self._source.places.give_back(self._taken)
            self._taken = None
