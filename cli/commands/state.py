"""``mcp-v8 state``: the variables of a session at a point, or what an expression is there."""

from __future__ import annotations

import click

from cli.output import terminal, values
from cli.output.json import as_json, print_json
from cli.output.quantities import counted
from cli.output.styles import FAINT, paint
from cli.output.text import visible
from cli.target.client import Client
from cli.target.evaluation import evaluate
from cli.target.failures import DIFFERS
from cli.target.options import Target, with_target
from cli.target.point import Point, SessionPoint
from engine.looking import MAX_PREVIEW_CHARS
from transports.rest.shapes import StateAnswer


@click.command
@click.argument("point", type=SessionPoint(), metavar="SESSION[@N]")
@click.argument("expression", required=False)
@click.option(
    "--full", is_flag=True, help=f"Values of up to {MAX_PREVIEW_CHARS:,} characters, not cut to a line."
)
@click.option(
    "--timeout",
    "seconds",
    type=click.FloatRange(0, min_open=True),
    metavar="SECONDS",
    help="What the expression may take.  [default: 30]",
)
@as_json
@with_target
async def state(
    target: Target, point: Point, expression: str | None, *, full: bool, seconds: float | None, as_json: bool
) -> int:
    """Show the variables after event N, or what an EXPRESSION is there.

    The expression runs on a copy that is thrown away: the session stays as it is.

    \b
    mcp-v8 state demo             the variables now
    mcp-v8 state demo@6           as they were after event 6
    mcp-v8 state demo@6 rows.length
    """
    async with target.client() as client:
        if expression is None:
            await _variables(client, point, full=full, as_json=as_json)
            return 0
        return await _evaluate(client, point, expression, seconds, as_json=as_json)


async def _variables(client: Client, point: Point, *, full: bool, as_json: bool) -> None:
    asked = {"event": point.event, "preview_chars": MAX_PREVIEW_CHARS if full else None}
    told = await client.ask(StateAnswer, "GET", f"/api/sessions/{point.session}/state", asked)
    if as_json:
        print_json(told)
        return
    width = None if full else terminal.width()
    for line in values.variables(told.globals, width, colours=terminal.coloured()):
        click.echo(line)
    if told.more:
        click.echo(paint(f"… {counted(told.more, 'variable')} more", FAINT))
    elif not told.globals:
        click.echo(f"mcp-v8: {point.session}@{told.event} has no variables", err=True)


async def _evaluate(
    client: Client, point: Point, expression: str, seconds: float | None, *, as_json: bool
) -> int:
    told = await evaluate(client, point.session, point.event, expression, seconds)
    if as_json:
        print_json(told)
    else:
        click.echo(visible(told.output), nl=False)
        if told.status == "completed":
            shown = "a promise that is pending" if told.pending is True else told.result or "undefined"
            click.echo(values.value(shown, colours=terminal.coloured()))
        else:
            for line in values.failure(told):
                click.echo(line, err=True)
    return 0 if told.status == "completed" else DIFFERS
