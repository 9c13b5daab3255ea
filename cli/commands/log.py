"""``mcp-v8 log``: what happened in a session, a line for each event."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import get_args

import click
import msgspec

from cli.output import events, moments, terminal
from cli.output.json import as_json, print_line
from cli.output.quantities import counted
from cli.output.styles import FAINT, LEVEL, STATUS, Style, paint
from cli.output.table import Table
from cli.output.text import fit, visible
from cli.target import pages
from cli.target.client import Client
from cli.target.failures import CORRUPT, NOT_FOUND, USAGE, Failed
from cli.target.options import Target, with_target
from cli.target.pages import Damaged
from cli.target.point import Point, SessionPoint
from engine.execution import Status
from persistence.place import Bucket
from transports.rest.shapes import EventAnswer
from transports.rest.stream_messages import (
    Accepted,
    Alive,
    AnyMessage,
    Begun,
    Closed,
    Console,
    Gone,
    Happened,
)

DEFAULT_EVENTS = 50
"""Shown without ``-n`` and ``--first``."""
_STATUSES = [status for status in get_args(Status) if status != "running"]


@click.command
@click.argument("point", type=SessionPoint(), metavar="SESSION[@N]")
@click.option(
    "-n",
    "--limit",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"At most N events, the newest.  [default: {DEFAULT_EVENTS}, or all from --first on]",
)
@click.option("--first", type=click.IntRange(min=0), metavar="N", help="From event N on.")
@click.option("--last", type=click.IntRange(min=0), metavar="N", help="Up to event N; the same as SESSION@N.")
@click.option("--status", type=click.Choice(_STATUSES), help="Only executions with that outcome.")
@click.option("--reverse", is_flag=True, help="The newest first.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens, until Ctrl-C.")
@as_json
@with_target
async def log(
    target: Target,
    point: Point,
    limit: int | None,
    first: int | None,
    last: int | None,
    status: Status | None,
    *,
    reverse: bool,
    follow: bool,
    as_json: bool,
) -> None:
    """Show what happened in a session, a line for each event, the newest last.

    Those before a fork are included. With --json each line is an object.

    \b
    mcp-v8 log demo                  the last 50 events
    mcp-v8 log demo@6 -n 3           events 4 to 6
    mcp-v8 log demo --status failed  what went wrong
    mcp-v8 log demo --follow         and what happens now
    """
    until = last if point.event is None else point.event
    if follow and (until is not None or reverse):
        raise Failed("--follow goes on from the newest event: it takes no end and no --reverse", USAGE)
    if follow and target.url is None and isinstance(target.store, Bucket):
        begun = f"{target.store} is read as it was when the command began"
        raise Failed(f"{begun}: follow its server, by --url", USAGE)
    limit = limit or (DEFAULT_EVENTS if first is None else None)
    async with target.client() as client:
        found = await pages.session(client, point.session)
        begin, end = first or 0, found.event if until is None else until
        if (furthest := end if follow else max(begin, end)) > found.event:
            raise Failed(
                f"session {point.session} has no event {furthest}: its last is {found.event}", NOT_FOUND
            )
        if begin > end and not follow:
            raise Failed(f"there are no events from {begin} to {end}", USAGE)
        shown = _Shown(status, as_json=as_json)
        await shown.all(client, point.session, begin, end, limit, reverse=reverse)
        if shown.damaged:
            raise _damage(point.session, shown.damaged)
        if follow:
            await _follow(target, client, point.session, end, shown)


def _damage(session: str, events: Sequence[int]) -> Failed:
    more = f", nor can {len(events) - 1} more" if len(events) > 1 else ""
    failed = Failed(f"session {session} is damaged, event {min(events)} cannot be read{more}", CORRUPT)
    failed.is_of_store = True
    return failed


async def _follow(target: Target, client: Client, name: str, after: int, shown: _Shown) -> None:
    from cli.target.following import follow_server, follow_store  # not where nothing is followed

    if target.url is None:
        await follow_store(client, name, after, shown.message)
    else:
        await follow_server(target.url, target.token, name, after, shown.message, shown.lost)


class _Shown:
    """Lines of events, below each other."""

    def __init__(self, status: Status | None, *, as_json: bool) -> None:
        self._status = status
        self._as_json = as_json
        self._width = terminal.width()
        self._now = moments.now()
        self._table: Table | None = None
        self._is_lost = False
        self.damaged: list[int] = []
        """Numbers of the events that could not be read."""

    async def all(
        self, client: Client, name: str, first: int, last: int, limit: int | None, *, reverse: bool
    ) -> None:
        """Show the events ``first`` to ``last`` that have the status, the newest ``limit`` of them."""
        if self._status is None and limit is not None:
            if first < (start := last - limit + 1):
                self._tell_earlier(start - first)
                first = start
            limit = None
        if reverse or limit is not None:
            found = pages.readable_backwards(client, name, first, last)
        else:
            found = pages.readable(client, name, first, last)
        batch: list[EventAnswer | Damaged] = []
        async with aclosing(found) as wanted:
            async for event in wanted:
                if isinstance(event, Damaged):
                    self.damaged.append(event.event)
                if isinstance(event, Damaged) or self._status in (None, event.status):
                    batch.append(event)
                    if limit is not None and len(batch) == limit:
                        break
                    if limit is None and len(batch) == pages.PAGE:
                        self.events(batch)
                        batch = []
        self.events(batch if reverse or limit is None else batch[::-1])

    def events(self, found: Sequence[EventAnswer | Damaged]) -> None:
        """Show some events."""
        if self._as_json:
            for event in found:
                print_line(event)
        elif found:
            if self._table is None:
                self._table = events.table(found, self._now, self._width)
            click.echo(
                "\n".join(self._table.line(events.row(event, self._now, self._width)) for event in found)
            )

    async def message(self, told: AnyMessage) -> None:
        """Show what has just happened."""
        if isinstance(told, Alive):
            return
        if self._is_lost and isinstance(told, Begun):
            self._is_lost = False
            click.echo("mcp-v8: the server is back", err=True)
        if self._as_json:
            print_line(told)
            return
        self._now = moments.now()
        match told:
            case Happened():
                event = msgspec.json.decode(told.event, type=EventAnswer)
                if self._status in (None, event.status):
                    self.events([event])
            case Console():
                self._line("│ ", told.text, LEVEL[told.level])
            case Accepted():
                self._line("running ", told.code, STATUS["running"])
            case Gone():
                self._line("gone ", told.error or "it goes on in a fork", FAINT)
            case Closed():
                click.echo(paint("the session was deleted", FAINT))

    def _tell_earlier(self, number: int) -> None:
        if terminal.is_terminal() and not self._as_json:
            click.echo(paint(f"… {counted(number, 'earlier event')}: -n N", FAINT))

    def _line(self, before: str, text: str, style: Style) -> None:
        for line in visible(text).split("\n"):
            click.echo(paint(fit(f"  {before}{line}", self._width), style))

    def lost(self) -> None:
        """The server went away."""
        if not self._is_lost:
            self._is_lost = True
            click.echo("mcp-v8: the server went away; waiting for it", err=True)
