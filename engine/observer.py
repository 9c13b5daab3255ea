"""Who is told of executions that are over: logs and metrics, which must not disturb the engine."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Protocol

from engine.execution import Execution

_log = logging.getLogger(__name__)


class Observer(Protocol):
    """Is told of every execution."""

    def executed(self, execution: Execution) -> None:
        """An execution is over: it has a durable ``report``, or a ``failure``.

        Called once for each accepted execution, on the server's event loop: be quick, never wait.
        """
        ...


class Observers:
    """All observers. What one of them raises is logged, and disturbs nobody."""

    def __init__(self, observers: Sequence[Observer]) -> None:
        self._observers = observers

    def executed(self, execution: Execution) -> None:
        """Tell every observer."""
        for observer in self._observers:
            try:
                observer.executed(execution)
            except Exception:  # noqa: BLE001 (an observer's bug is not the execution's)
                _log.exception("%s failed at execution %s", type(observer).__name__, execution.id)
