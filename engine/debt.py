"""When a checkpoint of a session is worth what it costs. Pure.

The *debt* of a session is what a replay from its last checkpoint would take. Once it is above a target, and
twice what a checkpoint costs, a checkpoint is due; before the session goes to sleep, one that costs less than
the debt is worth it. A state that cannot be in a checkpoint is tried again when the debt has doubled.
"""

from __future__ import annotations

REPLAY_US = 400
"""What the replay of one event takes beside its code: messages between two processes, and reading the log."""
COST_US = 40_000
"""What a checkpoint is thought to cost before the first one was made: that of a small state."""


US_PER_BYTE = 1
"""A session that writes large checkpoints runs so long for each byte: it fills no disk with them."""


class Debt:
    """Of one session. ``target_us`` is what a recovery may take: the restore target.

    0: as little as possible, with a checkpoint after every event, whatever that costs.
    """

    def __init__(self, target_us: int) -> None:
        self._target_us = target_us
        self.replay_us = 0
        """The debt, in microseconds."""
        self.cost_us = COST_US
        """What the last checkpoint took, in microseconds."""
        self.size = 0
        """Bytes that the last checkpoint takes."""
        self.declined: str | None = None
        """Why the last attempt gave none."""
        self.is_unkeepable = False
        """Whether that was the state's doing, and not an accident."""
        self._declined_us = 0
        """The debt at the last attempt, if that gave none."""
        self._covered: int | None = None
        """The debt when the checkpoint was begun that is being made."""

    @classmethod
    def for_target(cls, seconds: float) -> Debt:
        """With a restore target in seconds."""
        return cls(round(seconds * 1_000_000))

    @property
    def is_being_paid(self) -> bool:
        """Whether a checkpoint is being made."""
        return self._covered is not None

    @property
    def is_due(self) -> bool:
        """Whether a checkpoint should be made now."""
        least = max(self._target_us, 2 * self.cost_us, self.size * US_PER_BYTE)
        return self._is_over(self._target_us and least)

    @property
    def is_worth_it_before_sleep(self) -> bool:
        """Whether the session should not sleep without one."""
        return self._is_over(self.cost_us)

    def ran(self, cpu_us: int) -> None:
        """The session is one event further, whose code took so much CPU time."""
        self.replay_us += cpu_us + REPLAY_US

    def is_now(self, replay_us: int) -> None:
        """The state was restored, and so much of that was replay."""
        self.replay_us = replay_us

    def begin(self) -> None:
        """A checkpoint of the state as it is now is being made."""
        self._covered = self.replay_us

    def paid(self, cost_us: int, size: int) -> None:
        """It was made and kept, and takes that many bytes."""
        assert self._covered is not None
        self.replay_us = max(0, self.replay_us - self._covered)
        self.cost_us, self.size = cost_us, size
        self._covered = self.declined = None
        self.is_unkeepable = False
        self._declined_us = 0

    def refused(self, why: str, cost_us: int, *, lasting: bool) -> None:
        """It was not; ``lasting``: since the state is such that it cannot be."""
        assert self._covered is not None
        self._declined_us = self._covered
        self._covered, self.declined = None, why
        self.is_unkeepable = lasting
        if lasting:
            self.costs_at_least(cost_us)

    def costs_at_least(self, cost_us: int) -> None:
        """A checkpoint of such a state has been found to take so long."""
        self.cost_us = max(self.cost_us, cost_us)

    def _is_over(self, threshold_us: int) -> bool:
        # also where it is wanted whatever it costs: what was refused is not tried again without another event
        threshold_us = max(threshold_us, 2 * self._declined_us if threshold_us else self._declined_us)
        return not self.is_being_paid and self.replay_us > threshold_us
