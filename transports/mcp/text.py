"""What a model reads: an execution's outcome as text, complete in itself and bounded.

Every text ends with the handle ``[name@n]`` of the session's state where that is known.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from engine.errors import EngineError, RequestError, StoreFull
from engine.events import ErrorDetail
from engine.execution import Execution, Report
from transports.answer import error_text
from transports.mcp.hints import hint
from transports.paging import joined

MAX_VALUE_CHARS = 8_000
"""Characters of a value or of an error, but at most half of the text; console lines get the rest."""
MAX_FRAMES = 5
MAX_DETAIL_LINES = 20
"""Lines of an error's cause, errors and properties."""

_TAIL_CHARS = 80
"""Of a text that is cut, how much of its end is shown: it may say what else there would be."""
_NOTE_CHARS = 200
"""Room for the lines that say what was cut."""
_FRAME = "    at "
_BIDI = (*range(0x202A, 0x202F), *range(0x2066, 0x206A))
_LEGIBLE = {
    **dict.fromkeys((*range(128, 160), *_BIDI), "�"),
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\n\t"},
    0x7F: "\u2421",
}
"""Unicode's pictures of the control characters that have one."""
_UNTOLD = ("timed_out", "cancelled")
"""Statuses that need no sentence to explain them."""
_ADVICE = {
    "out_of_memory": " Hold less at once, or ask for more heap with heap_memory_max_mb.",
    "crashed": " That is the server's fault: try again, or another way.",
}


class Stack(Struct, frozen=True):
    """A stack taken apart."""

    frames: list[str]
    """Where the error arose, innermost first, without ``at``."""
    details: list[str]
    """Lines that show its cause, errors and own properties."""


def outcome_text(report: Report, max_chars: int) -> str:
    """Console, value or error, and the handle of the state to go on from."""
    told = end_text(report, min(MAX_VALUE_CHARS, max_chars // 2))
    console = _console(report, max_chars - len(told) - 1)
    return legible(f"{console}\n{told}" if console else told)


def end_text(report: Report, most: int) -> str:
    """The value, or the error, in at most so many characters, and the handle."""
    end = handle(report.session, report.event)
    if report.status == "completed":
        tail = [value_text(report, most), end]
    elif report.status == "failed" and report.error is not None:
        tail = [failure_text(report.error, report, most), f"{_effect(report)} {end}".strip()]
    else:
        tail = [f"{_abort(report)} {_effect(report)} {end}".strip()]
    return "\n".join(part for part in tail if part)


def value_text(report: Report, most: int) -> str:
    """``=>`` and the value, of an execution that was completed, and what timers it leaves."""
    lines = []
    if report.pending:
        lines.append("=> a promise that is pending: nothing that is left can settle it")
    else:
        lines.append(f"=> {cut(report.result or 'undefined', most)}")
    if report.pending_timers:
        lines.append(_timers(report))
    return "\n".join(lines)


def running_text(execution: Execution, seconds: float, end: str) -> str:
    """That the call goes on, and what to do next; ``end`` is the session's handle."""
    named = _arguments(execution_id=execution.id)
    parts = [f"running: not over after {seconds:.0f} s, and it goes on as {execution.id}."]
    if execution.console:
        count = len(execution.console)
        parts.append(f"{count:,} console line{'' if count == 1 else 's'} so far.")
    parts.append(f"To see them, and when it is over its result: get_execution_output {named}.")
    parts.append(f"To stop and undo it: cancel_execution {named}.")
    if execution.session is not None:
        parts.append("Other calls in its session wait for it.")
    return " ".join([*parts, end]).strip()


def refusal_text(error: EngineError, end: str = "") -> str:
    """Why a call did not work, and what became of it; ``end`` is the session's handle."""
    if isinstance(error, RequestError | StoreFull):
        return f"{fault_text(error)} Nothing was run. {end}".strip()
    return f"{fault_text(error)} That is the server's fault; nothing of the call is kept. {end}".strip()


def fault_text(error: EngineError) -> str:
    """What is wrong with a call, in a sentence."""
    return f"{error.code}: {error.message.rstrip('.')}."


def handle(session: str | None, event: int | None) -> str:
    """``[name@n]``: the session's state after the event n, ``[name]`` if that is not known yet."""
    if session is None:
        return ""
    return f"[{session}]" if event is None else f"[{session}@{event}]"


def take_apart(stack: str | None) -> Stack:
    """The frames and the details of ``ErrorDetail.stack``."""
    lines = (stack or "").split("\n")
    first = next((at for at, line in enumerate(lines) if line.startswith(_FRAME)), len(lines))
    behind = next((at for at in range(first, len(lines)) if not lines[at].startswith(_FRAME)), len(lines))
    frames = [line.removeprefix(_FRAME) for line in lines[first:behind]]
    if not frames:
        return Stack([], _details_without_frames(stack or ""))
    if lines[-1] != "}":
        return Stack(frames, [])
    frames[-1] = frames[-1].removesuffix(" {")
    return Stack(frames, lines[behind:-1])


def _details_without_frames(stack: str) -> list[str]:
    """The properties in ``[Error: message] { … }``, as the base image shows an error without frames.

    No regular expression: the code chose the text, and could make it try every place of the mark.
    """
    start, mark, properties = stack.partition("] {")
    if not (mark and start.startswith("[") and properties.endswith("}")):
        return []
    return ("  " + properties[:-1].strip(" \n")).split("\n")


def failure_text(error: ErrorDetail, report: Report, most: int) -> str:
    """What was thrown: the error, its place and cause, and advice."""
    lines = [cut(error_text(error), most // 4)]
    if error.frame is not None:
        lines.append(cut(error.frame.rstrip("\n"), most // 4))
    stack = take_apart(error.stack)
    lines += _first([f"at {cut(place, 200)}" for place in _places(stack, error, report)], MAX_FRAMES)
    if stack.details:
        details = _first(stack.details, MAX_DETAIL_LINES)
        lines.append(cut("\n".join(details), most // 4))
    if (advice := hint(error)) is not None:
        lines.append(advice)
    return "\n".join(lines)


def legible(text: str) -> str:
    """The text with a symbol for each character that a terminal would obey instead of showing it.

    Those are the control characters, but for newline and tab, and those that turn text around. Clients show
    what models read, and code can print anything.
    """
    return text if text.isprintable() else text.translate(_LEGIBLE)


def cut(text: str, limit: int) -> str:
    """The beginning of a text that is too long, how much is left out, and its end."""
    if len(text) <= limit:
        return text
    shown, end = text[: limit - _TAIL_CHARS], text[-_TAIL_CHARS:]
    return f"{shown}… {len(text) - limit:,} characters cut …{end}"


def _timers(report: Report) -> str:
    one = report.pending_timers == 1
    pending = "1 timer pending" if one else f"{report.pending_timers:,} timers pending"
    if report.session is None:
        return f"{pending}: nothing is kept, so {'it does' if one else 'they do'} not fire"
    return f"{pending}: {'it fires during a later call' if one else 'they fire during later calls'}"


def _places(stack: Stack, error: ErrorDetail, report: Report) -> list[str]:
    if not stack.frames and error.line is not None and report.event is not None:
        return [f"exec-{report.event}.js:{error.line}:{error.column or 1}"]  # a syntax error's stack has none
    return stack.frames


def _first(lines: Sequence[str], count: int) -> list[str]:
    """The first lines, set in by two, and how many more there were."""
    shown = [line if line.startswith("  ") else f"  {line}" for line in lines[:count]]
    return [*shown, f"  … {len(lines) - count} more"] if len(lines) > count else shown


def _abort(report: Report) -> str:
    """How long it took and why it ended."""
    if report.status == "timed_out" and report.error is not None:  # which says what was used up
        return f"{report.error.message.replace('timed out', report.status, 1)}."
    took = f"{report.status} after {report.duration_us / 1e6:.3g} s"
    if report.error is None or report.status in _UNTOLD:
        return f"{took}."
    return f"{took}: {report.error.message}.{_ADVICE.get(report.status, '')}"


def _effect(report: Report) -> str:
    """What became of the call's changes; nothing where nothing is kept anyway."""
    if report.session is None:
        return ""
    kept = report.error is not None and not report.error.undone
    return "Earlier changes kept." if kept else "Call undone."


def _console(report: Report, room: int) -> str:
    """The lines that fit in ``room`` characters, and how to get at the others."""
    text = joined(report.console)
    notes = []
    if report.console_dropped:
        notes.append(f"… {report.console_dropped:,} lines more were not kept: the console was full")
    if len(text) + _NOTE_CHARS > room:
        text, note = _cut_console(text, room - _NOTE_CHARS, report.execution_id)
        notes.insert(0, note)
    return "\n".join([text.removesuffix("\n"), *notes] if text else notes)


def _cut_console(text: str, room: int, execution_id: str) -> tuple[str, str]:
    """The whole lines that fit, else a part of the first; and where the rest is."""
    shown = text[: max(room, 0)]
    end = shown.rfind("\n")
    if end != -1:
        line = shown.count("\n") + 1
        rest = f"{text.count(chr(10)) - line + 1:,} lines"
        next_one = _arguments(execution_id=execution_id, line_offset=line)
        shown = shown[: end + 1]
    else:
        at = len(shown.encode())
        rest = f"{len(text.encode()) - at:,} bytes"
        next_one = _arguments(execution_id=execution_id, byte_offset=at)
    return shown, f"… {rest} cut: get_execution_output {next_one}"


def _arguments(**named: str | int) -> str:
    """A call's arguments as JSON, for a model to repeat."""
    return msgspec.json.encode(named).decode()
