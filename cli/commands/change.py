"""``mcp-v8 fork``, ``tag`` and ``delete``: what is done with sessions and their states."""

from __future__ import annotations

from collections.abc import Mapping

import click

from cli.output.ask import must_agree
from cli.output.ask import yes as yes_option
from cli.output.json import as_json, print_json, print_line
from cli.output.moments import ago, now
from cli.output.quantities import counted
from cli.output.styles import FAINT, LABEL, paint
from cli.output.text import one_line
from cli.target.options import Target, with_target
from cli.target.point import Point, SessionName, SessionPoint
from transports.rest.shapes import SessionAnswer, TagsAnswer


@click.command
@click.argument("point", type=SessionPoint(), metavar="SESSION[@N]")
@click.argument("name", type=SessionName(), required=False)
@as_json
@with_target
async def fork(target: Target, point: Point, name: str | None, *, as_json: bool) -> None:
    """Begin a session called NAME, or by a name that is given, in the state after event N, or now.

    \b
    mcp-v8 fork demo@6 before-the-mistake
    mcp-v8 fork demo
    """
    body = {"event": point.event, "name": name}
    async with target.client("write") as client:
        path = f"/api/sessions/{point.session}/fork"
        made = await client.ask(SessionAnswer, "POST", path, body=body)
    if as_json:
        print_json(made)
    else:
        click.echo(f"{made.session}@{made.event}")


class _Change(click.ParamType[tuple[str, str | None]]):
    """``key=value``, or ``key-`` to take it away."""

    name = "key=value"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str | None]:
        """The key and its value; None if it goes. Fails for anything else."""
        if isinstance(value, tuple):
            return value
        text = str(value)
        key, equals, new = text.partition("=")
        if equals and key:
            return key, new
        if not text.endswith("-") or text == "-":
            self.fail(f"{text!r} is neither KEY=VALUE nor KEY-, which takes a label away", param, ctx)
        return text[:-1], None


@click.command
@click.argument("point", type=SessionPoint(), metavar="SESSION[@N]")
@click.argument("changes", type=_Change(), nargs=-1, metavar="[KEY=VALUE|KEY-]...")
@as_json
@with_target
async def tag(
    target: Target, point: Point, changes: tuple[tuple[str, str | None], ...], *, as_json: bool
) -> None:
    """Label the state after event N, or the state now; list labels if nothing is changed.

    \b
    mcp-v8 tag demo@6 stage=clean checked=yes
    mcp-v8 tag demo@6 checked-     takes it away
    mcp-v8 tag demo                lists what there is
    """
    path = f"/api/sessions/{point.session}/tags"
    async with target.client("write" if changes else "look") as client:
        if changes:
            body = {"event": point.event, "tags": dict(changes)}
            told = await client.ask(TagsAnswer, "PUT", path, body=body)
        else:
            told = await client.ask(TagsAnswer, "GET", path)
    if point.event is not None:
        number = str(point.event)
        told = TagsAnswer(
            session=told.session, tags={event: tags for event, tags in told.tags.items() if event == number}
        )
    if as_json:
        print_json(told)
        return
    for event, tags in told.tags.items():
        click.echo(f"{told.session}@{event}  {_labels(tags)}")


def _labels(tags: Mapping[str, str]) -> str:
    return " ".join(f"{paint(one_line(key), LABEL)}={one_line(value)}" for key, value in tags.items())


@click.command
@click.argument("sessions", type=SessionName(), nargs=-1, required=True, metavar="SESSION...")
@yes_option
@as_json
@with_target
async def delete(target: Target, sessions: tuple[str, ...], *, yes: bool, as_json: bool) -> None:
    """Delete sessions, after what waits in them; their forks live on.

    Nothing is deleted if one of them is not there. What they take on disk is freed an hour later.

    \b
    mcp-v8 delete demo
    mcp-v8 delete demo other --yes
    """
    names = list(dict.fromkeys(sessions))
    async with target.client("write") as client:
        found = [await client.ask(SessionAnswer, "GET", f"/api/sessions/{name}") for name in names]
        if not yes:
            for one in found:
                used = paint(f"last used {ago(one.last_used_at, now())}", FAINT)
                click.echo(f"{one.session}  {counted(one.events, 'event')}  {used}", err=True)
            must_agree(f"Delete {counted(len(found), 'session')}", yes=False)
        for name in names:
            deleted = await client.ask(SessionAnswer, "DELETE", f"/api/sessions/{name}")
            if as_json:
                print_line(deleted)
            else:
                click.echo(f"deleted {name}")
