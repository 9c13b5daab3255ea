"""A bounded memory of executions that are over and that no log tells of."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import trio

from engine.execution import Execution

KEPT = 1_000
"""Finished executions that can still be asked for."""
KEPT_BYTES = 64 << 20
"""Console and result text kept of them together."""
KEPT_SECONDS = 600.0
_OBJECT_BYTES = 100  # what Python keeps for a short text and the line that it is in


class Finished:
    """Finished executions, for a while: at most KEPT, of KEPT_BYTES, for KEPT_SECONDS."""

    def __init__(self, forgotten: Callable[[Execution], None]) -> None:
        self._forgotten = forgotten
        self._kept: OrderedDict[str, tuple[float, int, Execution]] = OrderedDict()
        self._bytes = 0

    def add(self, execution: Execution) -> None:
        """Remember an execution, and forget older ones as the bounds demand."""
        size = _size(execution)
        self._kept[execution.id] = (trio.current_time(), size, execution)
        self._bytes += size
        while len(self._kept) > KEPT or self._bytes > KEPT_BYTES:
            self._drop_oldest()

    def get(self, execution_id: str) -> Execution | None:
        """The execution, unless it was forgotten."""
        self._drop_old()
        kept = self._kept.get(execution_id)
        return kept[2] if kept is not None else None

    def reported(self) -> list[Execution]:
        """Those that came to an outcome."""
        self._drop_old()
        return [execution for _, _, execution in self._kept.values() if execution.report is not None]

    def _drop_old(self) -> None:
        horizon = trio.current_time() - KEPT_SECONDS
        while self._kept and next(iter(self._kept.values()))[0] < horizon:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, (_, size, execution) = self._kept.popitem(last=False)
        self._bytes -= size
        self._forgotten(execution)


def _size(execution: Execution) -> int:
    report = execution.report
    if report is None:
        return 0
    error = report.error
    texts = [report.result, report.result_json, *(line.text for line in report.console)]
    if error is not None:
        texts += [error.message, error.stack, error.frame]
    return sum(_OBJECT_BYTES + len(text) for text in texts if text is not None)
