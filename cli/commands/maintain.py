"""``mcp-v8 accept`` and ``checkpoint``: how a session goes on after a divergence, and how soon it is back."""

from __future__ import annotations

import click

from cli.commands.replayed import Wanted, replayed
from cli.output import replays
from cli.output.ask import must_agree
from cli.output.ask import yes as yes_option
from cli.output.json import as_json, print_json
from cli.output.progress import Progress
from cli.output.quantities import counted, duration, size
from cli.target.client import Client
from cli.target.failures import DIFFERS, Failed
from cli.target.options import Target, with_target
from cli.target.point import SessionName
from transports.rest.past_shapes import KeptAnswer, ReplayedEvent
from transports.rest.shapes import SessionAnswer


@click.command
@click.argument("session", type=SessionName())
@yes_option
@as_json
@with_target
async def accept(target: Target, session: str, *, yes: bool, as_json: bool) -> None:
    """Let a session that has diverged go on in the state that a replay gives.

    It has diverged where replaying its log gives something else than was recorded. Its states from there on
    are given up by that; to keep them to be read, fork it before the difference instead.

    \b
    mcp-v8 accept demo     shows what differs, and asks
    """
    async with target.client("write") as client:
        if not yes:
            await _explain(client, session)
            must_agree(f"Accept the state that the replay of {session} gives", yes=False)
        told = await client.ask(SessionAnswer, "POST", f"/api/sessions/{session}/accept")
    if as_json:
        print_json(told)
    else:
        click.echo(f"{session} goes on at {session}@{told.event}")


async def _explain(client: Client, session: str) -> None:
    """Say what would be given up. Raises Failed where there is nothing to accept, or it cannot be."""
    now = await client.ask(SessionAnswer, "GET", f"/api/sessions/{session}")
    seen = replays.Replay.begin(session, 0)
    differing: list[int] = []
    with Progress(f"replaying {session}", now.event, "events") as progress:

        async def hear(event: ReplayedEvent) -> None:
            progress.at(event.event)
            seen.hear(event)
            if not event.agrees:
                differing.append(event.event)

        end = await replayed(client, Wanted(session, 0, None, strict=False), hear)
    if end.failed_event is not None:
        raise Failed(
            f"{session} cannot be accepted, since replaying event {end.failed_event} ends its process: fork "
            f"it before that, as {session}@{seen.good}"
        )
    if seen.differing is None:
        raise Failed(f"{session} has not diverged: its log replays as it was recorded", DIFFERS)
    click.echo(replays.event_line(session, seen.differing), err=True)
    for line in replays.difference(seen.differing):
        click.echo(line, err=True)
    if len(differing) > 1:
        click.echo(f"{counted(len(differing) - 1, 'event')} after it differ as well.", err=True)
    click.echo(
        f"To accept gives up the states {session}@{differing[0]} to {session}@{now.event} as they were: they "
        f"cannot be gone back to any more. `mcp-v8 fork {session}@{seen.good}` goes on before them instead, "
        "and leaves them to be read.",
        err=True,
    )


@click.command
@click.argument("session", type=SessionName())
@as_json
@with_target
async def checkpoint(target: Target, session: str, *, as_json: bool) -> int:
    """Make a checkpoint of a session's state now, so that it is rebuilt without a replay.

    Checkpoints are made by themselves where they are worth what they cost; this one whatever it costs.

    \b
    mcp-v8 checkpoint demo
    """
    async with target.client("write") as client:
        kept = await client.ask(KeptAnswer, "POST", f"/api/sessions/{session}/checkpoint")
    if as_json:
        print_json(kept)
    elif kept.bytes is None:
        click.echo(f"mcp-v8: there is no checkpoint of {session}@{kept.event}: {kept.declined}", err=True)
    elif kept.duration_ms is None:
        click.echo(f"{session}@{kept.event} has one already: {size(kept.bytes)}")
    else:
        click.echo(f"{session}@{kept.event} {size(kept.bytes)} in {duration(kept.duration_ms)}")
    return 0 if kept.bytes is not None else DIFFERS
