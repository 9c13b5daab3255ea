"""The worker of a session: brought to the session's state when that is needed, and given up again.

It is of one session and known to nobody else. That the session has none is no loss: the log has the state.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import trio

from engine.checkpointer import Made, Making
from engine.debt import Debt
from engine.errors import Busy
from engine.looking import PATIENCE_SECONDS
from engine.recovery import Recovery
from engine.restoring import Ready, Source, went_on, worker_at
from engine.session import ForkPoint
from engine.workers import Worker, WorkerDied

_log = logging.getLogger(__name__)


class SessionWorker:
    """That of the session ``name`` of ``owner``.

    It knows nothing of where the session is: whoever asks for a state says which. ``over`` is told whenever a
    checkpoint was made, or given up.
    """

    def __init__(self, source: Source, owner: str, name: str, over: Callable[[Made], object]) -> None:
        self.awake_since = 0.0
        """When there came to be one, in Trio's time."""
        self.debt = Debt.for_target(source.restore_target_seconds)
        """What a recovery would have to replay."""
        self.recovery: Recovery | None = None
        """The recovery that goes on now."""
        self.drift = 0
        """Most events whose texts a recovery found to differ from what another engine recorded."""
        self._source = source
        self._owner, self._name = owner, name
        self._over = over
        self._making: Making | None = None
        self._leaving = trio.CancelScope()
        self._is_wanted = False
        self._worker: Worker | None = None
        self._ready: Ready | None = None
        """A worker that may have to go on before it is in the session's state."""

    @property
    def is_there(self) -> bool:
        """Whether the session has one."""
        return self._worker is not None or self._ready is not None

    def running(self) -> Worker | None:
        """It, in the session's state, if it is there."""
        return self._worker if self._worker is not None and self._worker.running() else None

    # --- come to have one -----------------------------------------------------------------------

    def begin_with(self, ready: Ready) -> None:
        """Have one that was made ready before the session was this node's."""
        self._ready, self.debt = ready, ready.debt
        self.awake_since = trio.current_time()

    async def go_on(self, target: ForkPoint) -> None:
        """Let the one that was made ready, if there is one, be the session's, if it can be brought to that
        state.
        """
        if self._ready is None:
            return
        ready = self._ready
        try:
            if await went_on(self._source, self._owner, self._name, ready, target):
                self._ready, self._worker = None, ready.worker
        finally:
            if self._ready is not None:
                self.sleep()

    async def restore(self, target: ForkPoint | None) -> Worker:
        """Get one in that state (None: a new session's). Raises Diverged, ReplayFailed, Unavailable,
        StoreError.
        """
        await self._get(target, accept=False)
        assert self._worker is not None
        return self._worker

    async def accept(self, target: ForkPoint) -> dict[int, bytes]:
        """Get one in the state that a whole replay gives instead of that; the digests that are to be accepted
        for that. Raises ReplayFailed, Unavailable, StoreError.
        """
        return await self._get(target, accept=True)

    async def _get(self, target: ForkPoint | None, *, accept: bool) -> dict[int, bytes]:
        self.sleep()
        try:
            self._worker = await worker_at(
                self._source,
                self._owner,
                self._name,
                target,
                self.debt,
                self._begun,
                accept=accept,
                copying=self._copying,
                over=self._over,
            )
            return {} if self.recovery is None else self.recovery.differences
        finally:
            if self.recovery is not None and self.recovery.drift is not None:
                self.drift = max(self.drift, self.recovery.drift.count)
            self.recovery = None
            self.awake_since = trio.current_time()

    def _begun(self, recovery: Recovery) -> None:
        self.recovery = recovery

    def _copying(self, making: Making) -> None:
        self._making = making

    # --- keep its state -------------------------------------------------------------------------

    async def checkpoint(self, point: ForkPoint, *, wait: bool = False) -> None:
        """Begin to make a checkpoint of the state it is in, if there is room for it (or wait for that)."""
        if self._worker is None:
            return
        try:
            self._making = await self._source.checkpointer.begin(
                self._worker, point, self.debt, wait=wait, over=self._over
            )
        except WorkerDied as died:
            _log.warning("session %s lost its worker: %s", self._name, died.message)
            self.sleep()

    async def keep(self, worker: Worker, point: ForkPoint, kept: Callable[[Made], object]) -> None:
        """Begin to make one whatever it costs, of ``worker``, which is running; ``kept`` is told of its end.

        Raises Busy where there is no room for it soon.
        """

        def over(made: Made) -> None:
            self._over(made)
            kept(made)

        with trio.move_on_after(PATIENCE_SECONDS):
            if self.debt.is_being_paid and self._making is not None:
                await self._making.is_over.wait()
            try:
                self._making = await self._source.checkpointer.begin(
                    worker, point, self.debt, wait=True, over=over
                )
            except WorkerDied:  # which was told
                self.sleep()
            return
        raise Busy(
            f"other checkpoints are being made, and no room for one of session {self._name} came within "
            f"{PATIENCE_SECONDS:g} s: try again later",
            field="session",
        )

    # --- give it up -----------------------------------------------------------------------------

    async def retire(self, seconds: float, point: ForkPoint | None) -> None:
        """Give it up, after a checkpoint of the state ``point`` (None: of nothing) if that is worth it and
        takes no longer than that.
        """
        self._is_wanted = False
        with trio.move_on_after(seconds) as self._leaving:
            if self._worker is not None and self.debt.is_worth_it_before_sleep and point is not None:
                await self.checkpoint(point, wait=True)
            if self._making is not None:
                await self._making.copied.wait()
        if self._worker is None or not self._worker.is_free or not self._is_wanted:
            self.sleep()

    def hurry(self, seconds: float) -> None:
        """Whoever retires may take no longer than that from now on."""
        self._leaving.deadline = min(self._leaving.deadline, trio.current_time() + seconds)

    def stay(self) -> None:
        """There is something to do after all: whoever retires need not go on with it."""
        self._is_wanted = True
        self._leaving.cancel()

    def sleep(self) -> None:
        """Give it up now."""
        if self._ready is not None:
            ready, self._ready = self._ready, None
            self._source.places.give_back(ready.worker)
        if self._worker is not None:
            worker, self._worker = self._worker, None
            self._source.places.give_back(worker)
