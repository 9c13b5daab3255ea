"""``mcp-v8 show``: one event in full."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import CompletionItem

from cli.output import moments, terminal
from cli.output.eventpage import event_page, execution_page
from cli.output.json import as_json, print_json
from cli.target import pages
from cli.target.client import Client
from cli.target.options import Target, with_target
from cli.target.point import Point, SessionPoint
from transports.answer import Answer
from transports.request import EXECUTION_ID
from transports.rest.shapes import EventAnswer


class _EventOrExecution(click.ParamType[Point | str]):
    """``SESSION``, ``SESSION@N`` or the id of an execution."""

    name = "event"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Point | str:
        """A point, or the id. Fails for anything else."""
        if isinstance(value, str) and EXECUTION_ID.fullmatch(value):
            return value
        return SessionPoint().convert(value, param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names of the target's sessions."""
        return SessionPoint().shell_complete(ctx, param, incomplete)


@click.command
@click.argument("event", type=_EventOrExecution(), metavar="SESSION[@N] | EXECUTION")
@as_json
@with_target
async def show(target: Target, event: Point | str, *, as_json: bool) -> None:
    """Show one event in full: its code, what it came to, and all that it took from outside.

    Without a number it is the session's last one. The id of an execution, e_…, names its event.

    \b
    mcp-v8 show demo
    mcp-v8 show demo@7
    mcp-v8 show demo@7 --json
    """
    async with target.client() as client:
        if isinstance(event, str):
            found = await client.ask(Answer, "GET", f"/api/executions/{event}")
            if found.session is None or found.event is None:
                if as_json:
                    print_json(found)
                else:
                    click.echo("\n".join(execution_page(found, moments.now(), colours=terminal.coloured())))
                return
            event = Point(found.session, found.event)
        session = await pages.session(client, event.session)
        number = session.event if event.event is None else event.event
        told = await _event(client, event.session, number)
    if as_json:
        print_json(told)
        return
    labels = session.tags.get(str(number), {})
    shown = event_page(event.session, told, labels, moments.now(), colours=terminal.coloured())
    click.echo("\n".join(shown))


async def _event(client: Client, session: str, number: int) -> EventAnswer:
    return await client.ask(EventAnswer, "GET", f"/api/sessions/{session}/events/{number}")
