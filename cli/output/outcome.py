"""What an execution prints, and what it comes to, as people see it: the forms of MCP's texts."""

from __future__ import annotations

import click

from cli.output import styles
from cli.output.terminal import coloured, is_terminal
from cli.output.text import visible
from engine.execution import Report
from transports.answer import Answer
from transports.mcp import text
from transports.rest.stream import ConsoleEvent

_TO_STDERR = ("warn", "error")
"""Levels of the console, as in Node.js."""
_MOST_CHARS = 1 << 24
"""Of a value or an error: all that is stored."""
_MAX_HIGHLIGHTED = 10_000
"""Characters of a value; longer ones are shown without colours, which take longer than reading them."""


def print_line(line: ConsoleEvent) -> None:
    """One line of the console: warnings and errors go to stderr."""
    err = line.level in _TO_STDERR
    click.echo(styles.paint(_shown(line.text, err=err), styles.LEVEL[line.level]), err=err)


def print_value(answer: Answer) -> None:
    """The value of what was completed, on stdout."""
    told = text.value_text(_report(answer), _MOST_CHARS)
    if not coloured() or len(told) > _MAX_HIGHLIGHTED:
        click.echo(_shown(told, err=False))
        return
    from cli.output.code import highlighted  # not where there are no colours

    arrow, value = told[:2], told[2:]
    click.echo(styles.paint(arrow, styles.FAINT) + highlighted(value))


def print_handle(answer: Answer) -> None:
    """``[name@n]``, on stderr: where the session is now."""
    click.echo(styles.paint(text.handle(answer.session, answer.event), styles.FAINT), err=True)


def print_failure(answer: Answer, *, handle: bool = True) -> None:
    """What was thrown, or why it was stopped, what became of it and the handle, on stderr."""
    told = text.end_text(_report(answer), _MOST_CHARS).replace("heap_memory_max_mb", "--heap-memory-mb")
    if not handle:
        told = told.removesuffix(text.handle(answer.session, answer.event)).rstrip()
    first, newline, rest = _shown(told, err=True).partition("\n")
    click.echo(styles.paint(first, styles.STATUS[answer.status]) + newline + rest, err=True)


def _shown(told: str, *, err: bool) -> str:
    """As a terminal may be given it; elsewhere it stays what it is."""
    return visible(told) if is_terminal(err=err) else told


def _report(answer: Answer) -> Report:
    """The outcome as the texts are made of it; the console has been told."""
    return Report(
        execution_id=answer.execution_id,
        session=answer.session,
        event=answer.event,
        heap=answer.heap,
        status=answer.status,
        result=answer.result,
        error=answer.error_detail,
        pending=answer.pending is True,
        pending_timers=answer.pending_timers or 0,
        duration_us=round((answer.duration_ms or 0) * 1_000),
    )
