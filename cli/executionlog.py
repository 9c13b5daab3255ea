"""A line in the log for each execution, change of a session, checkpoint and recovery: what came of it."""

from __future__ import annotations

import logging

from cli.logformat import FIELDS
from engine.checkpointer import Made
from engine.commands import Accept, Change, Delete, Fork, Import
from engine.errors import RequestError
from engine.events import Caller, Line
from engine.execution import Execution
from engine.recovery import Recovered
from engine.replay import Diverged, ReplayFailed

_MAX_NAME = 128
"""Characters kept of an error's name, which the code chose."""
_log = logging.getLogger("mcp_v8")


class ExecutionLog:
    """An observer that logs. Never the code, its input, its result or its console, and no labels.

    At ``info``, or ``warning`` where the server failed, and where a worker crashed, which may be an attack.
    """

    def executed(self, execution: Execution) -> None:
        """Log an execution, with where the time went."""
        crashed = execution.report is not None and execution.report.status == "crashed"
        level = logging.WARNING if crashed else _level(execution.failure)
        if _log.isEnabledFor(level):
            _tell(level, "execution", _execution(execution))

    def changed(self, change: Change) -> None:
        """Log the end of a session, that a state was accepted, a fork, an import or a change of labels."""
        level = _level(change.failure)
        if _log.isEnabledFor(level):
            _tell(level, _kind(change), _change(change))

    def checkpointed(self, made: Made) -> None:
        """Log a checkpoint, at ``debug``; that there is none, and why, at ``info``."""
        level = logging.DEBUG if made.declined is None else logging.INFO
        if _log.isEnabledFor(level):
            _tell(level, "checkpoint", _checkpoint(made))

    def recovered(self, recovered: Recovered) -> None:
        """Log a recovery: at ``error`` if the history cannot be replayed, at ``warning`` if it was not for
        another reason, or with other texts, else at ``debug``.
        """
        level = logging.DEBUG
        if isinstance(recovered.failure, Diverged | ReplayFailed):
            level = logging.ERROR
        elif recovered.failure is not None or recovered.drift is not None:
            level = logging.WARNING
        if _log.isEnabledFor(level):
            _tell(level, "recovery", _recovery(recovered))


def _tell(level: int, what: str, fields: dict[str, object]) -> None:
    """Log, without a search for the line of code that does, which takes as long as all the rest."""
    _log.handle(_log.makeRecord(_log.name, level, __file__, 0, what, (), None, extra={FIELDS: fields}))


def _level(failure: Exception | None) -> int:
    return logging.INFO if failure is None or isinstance(failure, RequestError) else logging.WARNING


def _execution(execution: Execution) -> dict[str, object]:
    report, timings = execution.report, execution.timings
    fields = {
        "status": "unrecorded" if report is None else report.status,
        "error": _error(execution),
        "why": _why(execution),
        "death": execution.death,
        "session": execution.session,
        "seq": None if report is None else report.event,
        "execution_id": execution.id,
        "queued_ms": timings.queued_us / 1_000,
        "restored_ms": timings.restored_us / 1_000,
        "ran_ms": timings.ran_us / 1_000,
        "held_ms": execution.held_us / 1_000 or None,
        "cpu_ms": execution.cpu_us / 1_000,
        "appended_ms": timings.appended_us / 1_000,
        "console_lines": len(execution.console),
        "console_bytes": _bytes(execution.console),
    }
    return _said({**fields, **_caller(execution.caller)})


def _kind(change: Change) -> str:
    match change:
        case Delete():
            return "delete"
        case Accept():
            return "accept"
        case Fork():
            return "fork"
        case Import():
            return "import"
        case _:
            return "tag"


def _change(change: Change) -> dict[str, object]:
    fields = {
        "error": None if change.failure is None else _code(change.failure),
        "session": change.session,
        "into": change.into if isinstance(change, Fork) else None,
        "seq": None if change.told is None else change.told.event,
    }
    return _said({**fields, **_caller(change.caller)})


def _checkpoint(made: Made) -> dict[str, object]:
    return _said(
        {
            "declined": made.declined,
            "session_id": made.session,
            "seq": made.seq,
            "bytes": made.size or None,
            "took_ms": made.took_us / 1_000,
        }
    )


def _recovery(recovered: Recovered) -> dict[str, object]:
    failure, drift = recovered.failure, recovered.drift
    at, field = (None, None) if drift is None else (drift.seq, drift.field)
    if isinstance(failure, Diverged):
        at, field = failure.divergence.seq, failure.divergence.field
    elif isinstance(failure, ReplayFailed):
        at, field = failure.seq, None
    return _said(
        {
            "error": None if failure is None else _code(failure),
            "session": recovered.name,
            "session_id": recovered.session,
            "seq": recovered.seq,
            "differs_at": at,
            "field": field,
            "drift": None if drift is None else drift.count,
            "checkpoint": recovered.checkpoint,
            "replayed": recovered.replayed,
            "took_ms": recovered.took_us / 1_000,
        }
    )


def _caller(caller: Caller) -> dict[str, str]:
    return {
        "transport": caller.transport,
        "client": caller.client,
        "client_version": caller.client_version,
        "subject": caller.subject,
        "request_id": caller.request_id,
        "traceparent": caller.traceparent,
    }


def _said(fields: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in fields.items() if value not in (None, "")}


def _error(execution: Execution) -> str | None:
    if execution.failure is not None:
        return _code(execution.failure)
    if execution.report is None or execution.report.error is None:
        return None
    return execution.report.error.name[:_MAX_NAME]


def _why(execution: Execution) -> str | None:
    """Why the execution was stopped, in a sentence of ours: the code's own errors may say anything."""
    if execution.report is None or execution.report.error is None or not execution.report.error.undone:
        return None
    return execution.report.error.message


def _code(failure: Exception) -> str:
    return str(getattr(failure, "code", type(failure).__name__))


def _bytes(lines: list[Line]) -> int:
    """Bytes of UTF-8, with an end for each line; an ASCII text is not encoded for that."""
    return sum(
        1 + (len(line.text) if line.text.isascii() else len(line.text.encode(errors="replace")))
        for line in lines
    )
