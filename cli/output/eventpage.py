"""An event in full, as people read it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

from msgspec import UNSET, UnsetType

from cli.output import moments, quantities
from cli.output.code import highlighted, numbered
from cli.output.events import labels, what
from cli.output.styles import BAD, FAINT, LABEL, LEVEL, STATUS, STRONG, Styled, paint
from cli.output.text import one_line, visible
from engine.events import Caller, ErrorDetail
from engine.isolate.codetext import lines_of
from engine.limits import Limits
from transports.answer import Answer
from transports.rest.details import EventDetails, TraceAnswer
from transports.rest.shapes import ConsoleLine, EventAnswer

MAX_READINGS = 8
"""Readings of the clock that are shown; --json has them."""
_LABEL_CELLS = 10
_MARKED = re.compile(r"^> *(\d+) \| (.*)$", re.MULTILINE)

Fields = Iterable[tuple[str, str | None]]
"""Names and values; those without a value are left out."""


def event_page(
    session: str, event: EventAnswer, tags: Mapping[str, str], now: datetime, *, colours: bool
) -> Iterator[str]:
    """The lines for an event of a session, with the labels of its state."""
    details = event.details
    assert not isinstance(details, UnsetType), "an event in full has them"
    status = (
        Styled(event.type, FAINT) if event.status is UNSET else Styled(event.status, STATUS[event.status])
    )
    yield f"{Styled(f'{session}@{event.event}', STRONG)}  {status}"
    about = None if event.code is not UNSET else str(what(event))
    yield from _fields(
        [
            ("what", about),
            ("when", _when(event.at, now)),
            ("took", _took(event, details)),
            ("caller", _caller(event.caller)),
            ("labels", labels(tags) or None),
        ]
    )
    if event.code is not UNSET:
        yield from _execution(event, details, colours=colours)
    yield from _section("Ids", _fields(_ids(event, details)))


def execution_page(told: Answer, now: datetime, *, colours: bool) -> Iterator[str]:
    """The lines for an execution that has no event: it is not over, or there are no sessions."""
    yield f"{Styled(told.execution_id, STRONG)}  {Styled(told.status, STATUS[told.status])}"
    yield from _fields(
        [
            ("session", told.session),
            ("when", None if told.started_at is None else _when(told.started_at, now)),
            ("took", None if told.duration_ms is None else quantities.duration(told.duration_ms)),
        ]
    )
    if told.output:
        yield from _section("Console", _text(told.output.removesuffix("\n")))
    error = told.error_detail
    yield from _outcome(told.result, error, None if error is None else error.frame, colours)


def _execution(event: EventAnswer, details: EventDetails, *, colours: bool) -> Iterator[str]:
    error = event.error_detail or None
    assert event.code is not UNSET
    failing = None if error is None else _failing_line(event.code, error)
    column = None if error is None or failing is None else error.column
    code = numbered(event.code, colours=colours, failing=failing, column=column)
    yield from _section("Code", code)
    if event.input:
        yield from _section("Input", _value(event.input, colours))
    if event.console:
        yield from _section("Console", _console(event.console, details))
    frame = error.frame if error is not None and failing is None else None
    yield from _outcome(event.result or None, error, frame, colours)
    if event.truncated:
        yield paint(f"… of {', '.join(event.truncated)} there is more than can be shown", FAINT)
    if details.trace is not UNSET:
        yield from _section("From outside", _fields(_trace(details.trace)))


def _outcome(
    result: str | None, error: ErrorDetail | None, frame: str | None, colours: bool
) -> Iterator[str]:
    if result is not None:
        yield from _section("Result", _value(result, colours))
    if error is not None:
        told = error.stack or f"{error.name}: {error.message}"
        after = [] if frame is None else visible(frame).split("\n")
        undone = ["Undone: the state is as it was before."] if error.undone else []
        first, *others = visible(told).split("\n")
        yield from _section("Error", [paint(first, BAD), *others, *after, *undone])


def _failing_line(code: str, error: ErrorDetail) -> int | None:
    """The line of the code in which it failed; None where that was in other code, of an earlier event."""
    marked = None if error.frame is None else _MARKED.search(error.frame)
    lines = lines_of(code)
    if marked is None or error.line is None or not 1 <= error.line <= len(lines):
        return None
    there = re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", lines[error.line - 1])
    return error.line if marked[2].strip("…").strip() in there else None


def _when(at: datetime, now: datetime) -> str:
    passed = moments.ago(at, now)
    return f"{moments.full(at)}, {passed}" if passed.endswith("ago") else moments.full(at)


def _took(event: EventAnswer, details: EventDetails) -> str | None:
    if isinstance(event.duration_ms, UnsetType):
        return None
    told = quantities.duration(event.duration_ms)
    if not isinstance(details.cpu_ms, UnsetType):
        told += f", {quantities.duration(details.cpu_ms)} of a processor"
    if not isinstance(details.accepted_at, UnsetType):
        told += f"; it had waited for {moments.between(details.accepted_at, event.at)}"
    return told


def _caller(caller: Caller) -> str:
    parts = [
        " ".join(filter(None, (caller.client, caller.client_version))),
        f"over {caller.transport}",
        caller.subject and f"for {caller.subject}",
        caller.request_id and f"request {caller.request_id}",
        caller.traceparent and f"traceparent {caller.traceparent}",
    ]
    return one_line(", ".join(filter(None, parts)))


def _console(lines: Iterable[ConsoleLine], details: EventDetails) -> Iterator[str]:
    for line in lines:
        level = Styled(f"{line.level:5}", LEVEL[line.level] if line.level != "log" else FAINT)
        for text in visible(line.text).split("\n"):
            yield f"{level}  {Styled(text, LEVEL[line.level])}"
    if details.console_dropped:
        yield paint(f"… {quantities.counted(details.console_dropped, 'line')} over the limit", FAINT)


def _trace(trace: TraceAnswer) -> Fields:
    start = moments.full(trace.start)
    readings = [
        f"+{moments.between(trace.start, one.at)}{f' ×{one.times}' if one.times > 1 else ''}"
        for one in trace.clock[:MAX_READINGS]
    ]
    more = [] if len(trace.clock) <= MAX_READINGS else ["…"]
    reads = quantities.counted(trace.clock_reads, "read")
    before, after = (", ".join(map(str, ids)) for ids in (trace.timers_before, trace.timers_after))
    return [
        ("clock", f"{start}, {reads}{': ' if readings else ''}{', '.join([*readings, *more])}"),
        ("random", f"seed {trace.seed}"),
        (
            "timers",
            "; ".join(filter(None, (before and f"{before} before", after and f"{after} after"))) or None,
        ),
    ]


def _ids(event: EventAnswer, details: EventDetails) -> Fields:
    makes_state = event.type in ("created", "forked", "executed", "accepted")
    return [
        ("heap" if makes_state else "event", event.id),
        ("before", details.prev),
        ("execution", event.execution_id or None),
        ("session", details.session_id),
        ("parent", details.parent_id or None),
        ("key", one_line(details.idempotency_key) if details.idempotency_key else None),
        ("digest", details.digest or None),
        ("engine", details.engine or None),
        ("limits", None if isinstance(details.limits, UnsetType) else _limits(details.limits)),
        ("format", str(details.format)),
    ]


def _limits(limits: Limits) -> str:
    parts = [f"{quantities.duration(limits.time_ms)}"]
    if not isinstance(limits.cpu_ms, UnsetType):
        parts.append(f"{quantities.duration(limits.cpu_ms)} of a processor")
    parts += [
        f"{limits.heap_mb} MiB heap",
        f"{limits.offheap_mb} MiB buffers",
        f"{quantities.size(limits.console_bytes)} console",
    ]
    return ", ".join(parts)


def _fields(fields: Fields) -> Iterator[str]:
    for name, value in fields:
        if value:
            yield f"{Styled(f'{name:{_LABEL_CELLS}}', LABEL)} {value}"


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    yield ""
    yield paint(title, STRONG)
    for line in lines:
        yield f"  {line}".rstrip()


def _value(text: str, colours: bool) -> list[str]:
    return (highlighted(text) if colours else visible(text)).split("\n")


def _text(text: str) -> list[str]:
    return visible(text).split("\n")
