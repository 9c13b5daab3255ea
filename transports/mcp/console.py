"""What code prints, told to the client while it runs: as progress, and as log notifications.

It is a view that comes and goes: nothing waits for it, and the result has the whole console. Lines that come
close together are told together, so that code which prints much costs its client little.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import get_args

import trio
from mcp.server.connection import allowed_log_levels
from mcp_types import LoggingLevel, LoggingMessageNotification, LoggingMessageNotificationParams

from engine.events import Level, Line
from engine.execution import Execution
from transports.mcp.call import Context, call_of
from transports.mcp.text import legible

LOGGER = "console"
"""What log notifications say they are from."""
GATHER_SECONDS = 0.1
"""Lines of such a time are told together."""
MAX_CHARS = 4_000
"""Length of one notification's text."""

_LEVELS: dict[Level, LoggingLevel] = {
    "debug": "debug",
    "log": "info",
    "info": "info",
    "warn": "warning",
    "error": "error",
}
_RANKS: tuple[LoggingLevel, ...] = get_args(LoggingLevel)


async def tell(ctx: Context, execution: Execution) -> None:
    """Tell the client the lines of an execution as they come, until it is over or the call is cancelled."""
    levels = _wanted(ctx)
    progress = ctx.meta is not None and ctx.meta.get("progress_token") is not None
    if not levels and not progress:
        return
    told = 0
    while await execution.wait_for_line(told):
        lines = execution.console[told:]
        told += len(lines)
        if progress:
            await ctx.session.report_progress(told, message=_text(lines))
        for level, text in _by_level(lines):
            if level in levels:
                params = LoggingMessageNotificationParams(level=level, logger=LOGGER, data=text)
                await ctx.session.send_notification(
                    LoggingMessageNotification(params=params), related_request_id=ctx.request_id
                )
        await trio.sleep(GATHER_SECONDS)


def _wanted(ctx: Context) -> frozenset[LoggingLevel]:
    """Levels that may be told: the connection's choice before 2026, then each request's own."""
    allowed = allowed_log_levels(ctx.protocol_version, ctx.meta)
    connection = call_of(ctx).connection
    if connection is None:
        return allowed
    return allowed & frozenset(_RANKS[_RANKS.index(connection.log_level) :])


def _by_level(lines: Sequence[Line]) -> Iterator[tuple[LoggingLevel, str]]:
    """Neighbours of one level, together."""
    for level, group in groupby(lines, key=lambda line: _LEVELS[line.level]):
        yield level, _text(list(group))


def _text(lines: Sequence[Line]) -> str:
    """The lines, as many as there is room for."""
    shown: list[str] = []
    room = MAX_CHARS
    for line in lines:
        if len(line.text) > room:
            break
        shown.append(line.text)
        room -= len(line.text) + 1
    if len(shown) < len(lines):
        if not shown:
            shown = [f"{lines[0].text[:MAX_CHARS]}…"]
        left = len(lines) - len(shown)
        if left:
            shown.append(f"… {left:,} line{'' if left == 1 else 's'} more")
    return legible("\n".join(shown))
