"""A line in the log for each execution: who asked, what came of it, and where the time went."""

from __future__ import annotations

import logging

from cli.logformat import FIELDS
from engine.errors import RequestError
from engine.events import Line
from engine.execution import Execution

_MAX_NAME = 128
"""Characters kept of an error's name, which the code chose."""
_log = logging.getLogger("mcp_v8")


class ExecutionLog:
    """An observer that logs. Never the code, its input, its result or its console."""

    def executed(self, execution: Execution) -> None:
        """Log an execution that is over, at ``info``, or ``warning`` where the server failed it."""
        level = logging.INFO
        if execution.failure is not None and not isinstance(execution.failure, RequestError):
            level = logging.WARNING
        if _log.isEnabledFor(level):
            _log.log(level, "execution", extra={FIELDS: _fields(execution)})


def _fields(execution: Execution) -> dict[str, object]:
    report, timings, caller = execution.report, execution.timings, execution.caller
    fields = {
        "status": "unrecorded" if report is None else report.status,
        "error": _error(execution),
        "session": execution.session,
        "seq": None if report is None else report.event,
        "execution_id": execution.id,
        "queued_ms": timings.queued_us / 1_000,
        "restored_ms": timings.restored_us / 1_000,
        "ran_ms": timings.ran_us / 1_000,
        "appended_ms": timings.appended_us / 1_000,
        "console_lines": len(execution.console),
        "console_bytes": _bytes(execution.console),
        "transport": caller.transport,
        "client": caller.client,
        "client_version": caller.client_version,
        "subject": caller.subject,
        "request_id": caller.request_id,
        "traceparent": caller.traceparent,
    }
    return {name: value for name, value in fields.items() if value not in (None, "")}


def _error(execution: Execution) -> str | None:
    if execution.failure is not None:
        return str(getattr(execution.failure, "code", type(execution.failure).__name__))
    if execution.report is None or execution.report.error is None:
        return None
    return execution.report.error.name[:_MAX_NAME]


def _bytes(lines: list[Line]) -> int:
    """Bytes of UTF-8, with an end for each line; an ASCII text is not encoded for that."""
    return sum(
        1 + (len(line.text) if line.text.isascii() else len(line.text.encode(errors="replace")))
        for line in lines
    )
