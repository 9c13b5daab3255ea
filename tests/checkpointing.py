"""What tests of checkpoints have in common: an observer to wait for them, and a look at what is replayed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import trio

from engine import replay
from engine.checkpointer import Made
from engine.commands import Change
from engine.execution import Execution
from engine.recovery import Recovered


class Checkpoints:
    """An observer that remembers what became of checkpoints and recoveries."""

    def __init__(self) -> None:
        self.made: list[Made] = []
        self.recoveries: list[Recovered] = []
        self._told = trio.Event()

    def executed(self, execution: Execution) -> None:
        """Nothing of that here."""

    def changed(self, change: Change) -> None:
        """Nothing of that here."""

    def checkpointed(self, made: Made) -> None:
        """Remember it."""
        self.made.append(made)
        self._told.set()
        self._told = trio.Event()

    def recovered(self, recovered: Recovered) -> None:
        """Remember it."""
        self.recoveries.append(recovered)

    @property
    def kept(self) -> list[int]:
        """Numbers of the events whose states were kept."""
        return [made.seq for made in self.made if made.declined is None]

    @property
    def declined(self) -> list[str]:
        """Why others were not."""
        return [made.declined for made in self.made if made.declined is not None]

    async def wait(self, wanted: Callable[[Made], bool]) -> Made:
        """The first of which ``wanted`` is true."""
        with trio.fail_after(30):
            while True:
                for made in self.made:
                    if wanted(made):
                        return made
                await self._told.wait()

    async def one_more(self) -> Made:
        """What becomes of the next one."""
        count = len(self.made)
        await self.wait(lambda made: len(self.made) > count)
        return self.made[count]

    async def of(self, seq: int) -> Made:
        """The one that was kept of the state after event ``seq``."""
        return await self.wait(lambda made: made.seq == seq and made.declined is None)


def count_replays(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of all events that are replayed from now on, in order."""
    replayed: list[int] = []
    original = replay._replay_event

    async def counting(worker: Any, record: Any, *rest: Any) -> None:
        replayed.append(record.event.seq)
        await original(worker, record, *rest)

    monkeypatch.setattr(replay, "_replay_event", counting)
    return replayed
