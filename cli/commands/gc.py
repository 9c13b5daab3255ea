"""``mcp-v8 gc``: what a store has that nobody needs, and its removal."""

from __future__ import annotations

from collections.abc import Iterator

import click

from cli.output import terminal
from cli.output.json import as_json, print_json
from cli.output.progress import Progress
from cli.output.quantities import counted, size
from cli.output.table import Column, Table
from cli.target.failures import USAGE, Failed
from cli.target.options import Target, with_target
from transports.rest.storage import GarbageAnswer, GarbageEnd, GarbageFound, GarbageRemoved


@click.command
@click.option("--yes", is_flag=True, help="Remove it.")
@as_json
@with_target
async def gc(target: Target, *, yes: bool, as_json: bool) -> None:
    """Show what a store has that nobody needs; remove it with --yes.

    That is events of deleted sessions that no fork needs, once an hour has passed, and blobs that no
    checkpoint needs. A server removes them by itself. Their space is used again by what is written next: the
    database's file keeps its size.

    \b
    mcp-v8 gc
    mcp-v8 gc --yes --directory-path old-store
    """
    if target.owner is not None:
        raise Failed("gc is about the whole store, whoever has sessions in it: leave out --owner", USAGE)
    async with target.clients() as clients:
        found = await clients[0].ask(GarbageFound, "GET", "/api/garbage")
    if not yes:
        if as_json:
            print_json(found)
        else:
            for line in _found(found):
                click.echo(line)
        return
    async with (
        target.clients("write") as clients,
        clients[0].lines(GarbageRemoved, GarbageEnd, "POST", "/api/gc") as lines,
    ):
        with Progress("removing", found.events, "events") as progress:
            async for removed in lines:
                progress.at(removed.events)
    if as_json:
        print_json(lines.end)
    else:
        click.echo(f"removed {_said(lines.end)}")


def _found(found: GarbageFound) -> Iterator[str]:
    later = found.later
    columns = (Column(), Column(title="now", right=True), Column(title="within the hour", right=True))
    rows = [
        (what, _amount(*now), _amount(*then))
        for what, now, then in (
            (
                "events of deleted sessions",
                (found.events, found.event_bytes),
                (later.events, later.event_bytes),
            ),
            (
                "blobs that no checkpoint needs",
                (found.blobs, found.blob_bytes),
                (later.blobs, later.blob_bytes),
            ),
        )
    ]
    yield from Table(columns, rows, terminal.width()).lines(rows)
    if found.events or found.blobs:
        yield "Nothing was removed: mcp-v8 gc --yes removes what is there now."


def _amount(count: int, taken: int) -> str:
    return f"{count:,} ({size(taken)})" if count else "none"


def _said(removed: GarbageAnswer) -> str:
    of = f" of {counted(removed.sessions, 'deleted session')}" if removed.sessions else ""
    events = f"{counted(removed.events, 'event')} ({size(removed.event_bytes)}){of}"
    return f"{events}, {counted(removed.blobs, 'blob')} ({size(removed.blob_bytes)})"
