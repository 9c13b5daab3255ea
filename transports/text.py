"""What a model reads: an execution's outcome as text, complete in itself and bounded."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engine.errors import EngineError
from engine.events import ErrorDetail, Line
from engine.execution import Execution, Report
from transports.answer import error_text
from transports.hints import hint

MAX_CHARS = 16_000
"""Characters of an outcome's text."""
MAX_VALUE_CHARS = 8_000
"""Characters of the value or of the error in it; console lines get the rest."""
MAX_STACK_LINES = 5

_FRAME = re.compile(r"^\s*at (.*)$", re.MULTILINE)


def outcome_text(report: Report) -> str:
    """Console, value or error, and the handle ``[name@n]`` of the state to go on from."""
    handle = "" if report.session is None else f"[{report.session}@{report.event}]"
    if report.status == "completed":
        end = [_value(report), handle]
    elif report.status == "failed" and report.error is not None:
        end = [_failure(report.error, report), f"{_effect(report)} {handle}".strip()]
    else:
        seconds = f"{report.duration_us / 1e6:.3g}"
        end = [f"{report.status} after {seconds} s. {_effect(report)} {handle}".strip()]
    tail = "\n".join(part for part in end if part)
    console = _console(report.console, report.console_dropped, MAX_CHARS - len(tail) - 1)
    return f"{console}\n{tail}" if console else tail


def running_text(execution: Execution, seconds: float) -> str:
    """That the call goes on, and what to do next."""
    session = execution.session
    then = (
        f'A call in its session waits for it to end: call run_js with session "{session}"'
        if session is not None
        else "It ends at its time limit at the latest."
    )
    lines = f"{len(execution.console):,} console lines so far. " if execution.console else ""
    return f"running: not over after {seconds:.0f} s, and it goes on as {execution.id}. {lines}{then}"


def refusal_text(error: EngineError) -> str:
    """Why a call was not run."""
    return f"{error.code}: {error.message}. Nothing was run."


def _value(report: Report) -> str:
    lines = []
    if report.pending:
        lines.append("=> a promise that is pending: nothing that is left can settle it")
    else:
        lines.append(f"=> {_cut(report.result or 'undefined', MAX_VALUE_CHARS)}")
    if report.pending_timers:
        lines.append(_timers(report.pending_timers))
    return "\n".join(lines)


def _timers(count: int) -> str:
    if count == 1:
        return "1 timer pending: it fires during a later call"
    return f"{count:,} timers pending: they fire during later calls"


def _failure(error: ErrorDetail, report: Report) -> str:
    lines = [_cut(error_text(error), MAX_VALUE_CHARS // 2)]
    if error.frame is not None:
        lines.append(_cut(error.frame.rstrip("\n"), MAX_VALUE_CHARS // 4))
    lines += [f"  at {_cut(place, 200)}" for place in _places(error, report.event)]
    if (advice := hint(error)) is not None:
        lines.append(advice)
    return "\n".join(lines)


def _places(error: ErrorDetail, event: int | None) -> list[str]:
    """Where it was thrown, innermost first."""
    found = _FRAME.findall(error.stack or "")[:MAX_STACK_LINES]
    if not found and error.line is not None and event is not None:
        found = [f"exec-{event}.js:{error.line}:{error.column or 1}"]
    return found


def _effect(report: Report) -> str:
    """What became of the call's changes; nothing where nothing is kept anyway."""
    if report.session is None:
        return ""
    kept = report.error is not None and not report.error.undone
    return "Earlier changes kept." if kept else "Call undone."


def _console(lines: Sequence[Line], dropped: int, room: int) -> str:
    """The first lines that fit in ``room`` characters, and how many more there were."""
    shown: list[str] = []
    room -= 40  # for the note
    for line in lines:
        room -= len(line.text) + 1
        if room < 0:
            break
        shown.append(line.text)
    if not shown and lines:
        shown.append(_cut(lines[0].text, max(room + len(lines[0].text), 0)))
    cut = len(lines) - len(shown) + dropped
    if cut:
        shown.append(f"… {cut:,} lines cut")
    return "\n".join(shown)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… {len(text) - limit:,} characters cut"
