"""``mcp-v8 sessions``: which there are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, get_args

import click
import msgspec
from msgspec import UnsetType

from cli.output import moments, quantities, terminal
from cli.output.events import labels
from cli.output.json import as_json, print_line
from cli.output.styles import FAINT, SESSION_STATUS, STRONG, UNDER_WAY, Styled, paint
from cli.output.table import Cell, Column, Table
from cli.output.text import visible
from cli.target import pages
from cli.target.client import Client
from cli.target.options import Target, with_target
from engine.catalog import SessionStatus
from transports.rest.shapes import SessionAnswer

DEFAULT_SESSIONS = 50
_LINE = (
    Column(title="session", least=12),
    Column(title="owner", least=6, leaves=4),
    Column(title="events", right=True, leaves=1),
    Column(title="size", right=True, leaves=5),
    Column(title="last used", leaves=3),
    Column(title="status", leaves=2),
    Column(title="forked from", least=8, leaves=6),
    Column(title="labels", least=8, leaves=7),
    Column(title="node", least=6, leaves=8),
)


class _Listed(NamedTuple):
    owner: str | None
    session: SessionAnswer

    @property
    def size(self) -> int:
        """Bytes of its events."""
        return 0 if isinstance(self.session.bytes, UnsetType) else self.session.bytes


_ORDERS: dict[str, tuple[Callable[[_Listed], Any], bool]] = {
    "used": (lambda one: one.session.last_used_at, True),
    "created": (lambda one: one.session.created_at, True),
    "name": (lambda one: one.session.session, False),
    "events": (lambda one: one.session.events, True),
    "size": (lambda one: one.size, True),
}
"""By what they can be sorted, and whether the greatest is first."""


@click.command
@click.option("--tag", metavar="KEY[:VALUE]", help="With such a label on one of their states.")
@click.option("--status", type=click.Choice(get_args(SessionStatus)), help="As far as it was found out.")
@click.option("--name", metavar="GLOB", help="Called so: 'demo-*'.")
@click.option("--since", type=moments.Moment(), help="Used then or later: 22:00, 2h, yesterday, 2026-11-28.")
@click.option("--sort", type=click.Choice(list(_ORDERS)), default="used", show_default=True)
@click.option(
    "-n", "--limit", type=click.IntRange(min=1), default=DEFAULT_SESSIONS, show_default=True, metavar="N"
)
@as_json
@with_target
async def sessions(
    target: Target,
    tag: str | None,
    status: SessionStatus | None,
    name: str | None,
    since: datetime | None,
    sort: str,
    limit: int,
    *,
    as_json: bool,
) -> None:
    """Show which sessions there are, the last used first.

    The size is that of their own events, those before a fork not included.

    \b
    mcp-v8 sessions
    mcp-v8 sessions --name 'demo*' --sort size
    mcp-v8 sessions --since 2h --tag stage:raw
    """

    def wanted(one: SessionAnswer) -> bool:
        return (status is None or one.status == status) and (name is None or fnmatchcase(one.session, name))

    found: list[_Listed] = []
    async with target.clients() as clients:
        for client in clients:
            most = limit + 1 if sort == "used" else None
            found += await _sessions(client, tag, since, wanted, most)
    key, greatest_first = _ORDERS[sort]
    found.sort(key=key, reverse=greatest_first)
    several = len(clients) > 1
    if as_json:
        for one in found[:limit]:
            print_line({"owner": one.owner, **msgspec.to_builtins(one.session)} if several else one.session)
        return
    now = moments.now()
    rows = [_row(one, now, several=several) for one in found[:limit]]
    if rows:
        click.echo("\n".join(Table(_LINE, rows, terminal.width()).lines(rows)))
    if not terminal.is_terminal():
        return
    if not rows:
        click.echo(paint(f"there are no such sessions in {clients[0].where}", FAINT))
    elif len(found) > limit:
        click.echo(paint("… more: --limit N", FAINT))


async def _sessions(
    client: Client,
    tag: str | None,
    since: datetime | None,
    wanted: Callable[[SessionAnswer], bool],
    most: int | None,
) -> list[_Listed]:
    """One owner's, the last used first. Raises Refused, Failed."""
    found: list[_Listed] = []
    async with aclosing(pages.sessions(client, {"tag": tag, "sizes": True}, most)) as every:
        async for one in every:
            if len(found) == most or (since is not None and one.last_used_at < since):
                break
            if wanted(one):
                found.append(_Listed(client.owner, one))
    return found


def _row(one: _Listed, now: datetime, *, several: bool) -> Sequence[Cell]:
    told = one.session
    status = Styled(told.status, SESSION_STATUS[told.status])
    return (
        Styled(told.session, STRONG),
        (one.owner or "") if several else "",
        f"{told.events:,}",
        quantities.size(one.size),
        moments.ago(told.last_used_at, now),
        Styled("running", UNDER_WAY) if told.running and told.status == "ok" else status,
        Styled(told.forked_from or "", FAINT),
        Styled("; ".join(f"@{event} {labels(tags)}" for event, tags in told.tags.items()), FAINT),
        Styled("" if isinstance(told.node, UnsetType) else visible(told.node), FAINT),
    )
