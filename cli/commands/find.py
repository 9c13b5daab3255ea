"""``mcp-v8 find``: what was run in all sessions, by what is in it, when, by whom, and what came of it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import aclosing
from datetime import datetime
from typing import NamedTuple, get_args

import click
import msgspec
from msgspec import UnsetType

from cli.output import moments, terminal
from cli.output.events import first_line, who
from cli.output.json import as_json, line_of
from cli.output.matches import first_match, pattern
from cli.output.styles import BAD, FAINT, STRONG, Styled, paint, status
from cli.output.table import Cell, Column, Table
from cli.output.text import one_line
from cli.target import pages
from cli.target.client import Client, Query
from cli.target.failures import DIFFERS, NOT_FOUND, USAGE, Failed, Refused
from cli.target.options import Target, with_target
from cli.target.point import SessionName
from engine.execution import Status
from transports.rest.shapes import ListedExecution

DEFAULT_FOUND = 50
_LINE = (
    Column(leaves=1),
    Column(least=12),
    Column(least=6, leaves=3),
    Column(least=6, leaves=5),
    Column(leaves=4),
    Column(leaves=2),
    Column(least=20),
)
"""Time, point, owner, caller, status, where the text is, and the line there."""


class _Found(NamedTuple):
    at: datetime
    shown: str | Sequence[Cell]
    """A line of JSON, or the cells of _LINE."""


@click.command
@click.argument("text", required=False)
@click.option(
    "--since", type=moments.Moment(), help="Began then or later: 22:00, 2h, yesterday, 2026-11-28T22:00."
)
@click.option("--until", type=moments.Moment(), help="Began before.")
@click.option("--status", type=click.Choice(get_args(Status)), help="Came to that.")
@click.option("--caller", metavar="NAME", help="Part of the name of the client or of its user.")
@click.option("--session", type=SessionName(), metavar="SESSION", help="In that session alone.")
@click.option("-i", "--ignore-case", is_flag=True, help="TEXT may be there in other cases.")
@click.option("-E", "--regex", is_flag=True, help="TEXT is a regular expression, as Python has them.")
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=DEFAULT_FOUND, show_default=True, metavar="N"
)
@as_json
@with_target
async def find(
    target: Target,
    text: str | None,
    since: datetime | None,
    until: datetime | None,
    status: Status | None,
    caller: str | None,
    session: str | None,
    limit: int,
    *,
    ignore_case: bool,
    regex: bool,
    as_json: bool,
) -> int:
    """Find executions in all sessions, the newest first, by what is in them.

    TEXT is looked for in code, input, console, results and errors; without it all that the options leave are
    shown. Exits with status 1 if there is none.

    \b
    mcp-v8 find 'rows.length'
    mcp-v8 find --since 22:00 --status failed
    mcp-v8 find -i timeout --caller claude
    mcp-v8 find -E 'total: \\d+' --since yesterday
    """
    wanted = None
    if text is not None:
        try:
            wanted = pattern(text, ignore_case=ignore_case, is_regex=regex)
        except re.error as wrong:
            raise Failed(f"TEXT is no regular expression: {wrong}", USAGE) from wrong
    query: Query = {
        "text": None if regex else text,
        "ignore_case": ignore_case or None,
        "since": None if since is None else since.isoformat(),
        "until": None if until is None else until.isoformat(),
        "status": status,
        "caller": caller,
        "session": session,
        "full": True,
    }
    async with target.clients() as clients:
        found = await _newest(
            clients,
            query,
            _Shower(clients, wanted, is_regex=regex, has_status=status is None, as_json=as_json),
            limit + 1,
        )
    _show(found[:limit])
    if len(found) > limit and not as_json and terminal.is_terminal():
        click.echo(paint("… more: --limit N", FAINT))
    return 0 if found else DIFFERS


class _Shower:
    """Makes of executions what is shown of those that are found."""

    def __init__(
        self,
        clients: Sequence[Client],
        wanted: re.Pattern[str] | None,
        *,
        is_regex: bool,
        has_status: bool,
        as_json: bool,
    ) -> None:
        self._has_owners = len(clients) > 1
        self._wanted = wanted
        self._is_regex = is_regex
        self._has_status = has_status
        self._as_json = as_json
        self._now = moments.now()
        self._width = terminal.width()

    def found(self, owner: str | None, one: ListedExecution) -> _Found | None:
        """What is shown; None if the regular expression is not in it."""
        match = None if self._wanted is None else first_match(one, self._wanted, self._width)
        if self._is_regex and match is None:
            return None
        if self._as_json:
            told = msgspec.to_builtins(one)
            return _Found(one.started_at, line_of({"owner": owner, **told} if self._has_owners else told))
        place = one.session or one.execution_id
        return _Found(
            one.started_at,
            (
                Styled(moments.clock(one.started_at, self._now), FAINT),
                Styled(place if one.event is None else f"{place}@{one.event}", STRONG),
                (owner or "") if self._has_owners else "",
                "" if isinstance(one.recorded, UnsetType) else who(one.recorded.caller),
                status(one.status) if self._has_status else "",
                "" if match is None else Styled(match.where, FAINT),
                _text(one) if match is None else match.line,
            ),
        )


def _text(one: ListedExecution) -> Cell:
    """The error that it came to, else its code."""
    if one.error is not None:
        return Styled(first_line(one.error), BAD)
    return one_line(one.code)


async def _newest(clients: Sequence[Client], query: Query, shower: _Shower, most: int) -> list[_Found]:
    """So many of all owners' executions. Raises Refused, Failed."""
    found: list[_Found] = []
    refused = []
    for client in clients:
        count = 0
        try:
            async with aclosing(pages.executions(client, query)) as every:
                async for one in every:
                    if (shown := shower.found(client.owner, one)) is not None:
                        found.append(shown)
                        count += 1
                        if count == most:
                            break
        except Refused as failure:  # as of a session that only others have
            if failure.status != NOT_FOUND:
                raise
            refused.append(failure)
    if len(refused) == len(clients):
        raise refused[0]
    return sorted(found, key=lambda one: one.at, reverse=True)[:most]


def _show(found: Sequence[_Found]) -> None:
    rows = [one.shown for one in found if not isinstance(one.shown, str)]
    for one in found:
        if isinstance(one.shown, str):
            click.echo(one.shown)
    if rows:
        click.echo("\n".join(Table(_LINE, rows, terminal.width()).lines(rows, titles=False)))
