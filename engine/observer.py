"""Who is told of what is over: logs and metrics, which must not disturb the engine."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from engine.checkpointer import Made
from engine.commands import Change
from engine.execution import Execution
from engine.recovery import Recovered

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Observer(Protocol):
    """Is told once of everything that is over, on the server's event loop: be quick, never wait."""

    def executed(self, execution: Execution) -> None:
        """An execution is over: it has a durable ``report``, or a ``failure``."""
        ...

    def changed(self, change: Change) -> None:
        """A session was deleted, accepted, forked, labelled or imported: it was ``told``, or there is a
        ``failure``.
        """
        ...

    def checkpointed(self, made: Made) -> None:
        """A checkpoint was kept, or there is none and why."""
        ...

    def recovered(self, recovered: Recovered) -> None:
        """A worker was brought to some state of a session, or there is a ``failure``."""
        ...


class Observers:
    """All observers. What one of them raises is logged, and disturbs nobody."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def executed(self, execution: Execution) -> None:
        """Tell every observer."""
        for observer in self._observers:
            self._tell(observer.executed, execution)

    def changed(self, change: Change) -> None:
        """Tell every observer."""
        for observer in self._observers:
            self._tell(observer.changed, change)

    def checkpointed(self, made: Made) -> None:
        """Tell every observer."""
        for observer in self._observers:
            self._tell(observer.checkpointed, made)

    def recovered(self, recovered: Recovered) -> None:
        """Tell every observer."""
        for observer in self._observers:
            self._tell(observer.recovered, recovered)

    def _tell(self, tell: Callable[[T], None], of: T) -> None:
        try:
            tell(of)
        except Exception:  # noqa: BLE001 (an observer's bug is not the engine's)
            _log.exception("%s failed", getattr(tell, "__qualname__", tell))
