"""``mcp-v8 state``: the variables of a session at a point, or what an expression is there."""

from __future__ import annotations

import click

from cli.output.json import as_json, print_json
from cli.target.failures import DIFFERS
from cli.target.options import Target, with_target
from cli.target.point import Point, SessionPoint
from transports.rest.shapes import EvaluatedAnswer, StateAnswer


@click.command
@click.argument("point", type=SessionPoint(), metavar="SESSION[@N]")
@click.argument("expression", required=False)
@as_json
@with_target
async def state(target: Target, point: Point, expression: str | None, *, as_json: bool) -> int:
    """Show the variables after event N, or what an EXPRESSION is there.

    The expression runs on a copy that is thrown away: the session stays as it is.

    \b
    mcp-v8 state demo             the variables now
    mcp-v8 state demo@6           as they were after event 6
    mcp-v8 state demo@6 xs.length
    """
    path = f"/api/sessions/{point.session}"
    async with target.client() as client:
        if expression is None:
            told = await client.ask(StateAnswer, "GET", f"{path}/state", {"event": point.event})
            if as_json:
                print_json(told)
            else:
                for one in told.globals:
                    click.echo(f"{one.name} = {one.preview}")
            return 0
        body = {"code": expression, "event": point.event}
        evaluated = await client.ask(EvaluatedAnswer, "POST", f"{path}/evaluate", body=body)
    if as_json:
        print_json(evaluated)
    else:
        click.echo(evaluated.output, nl=False)
        click.echo(evaluated.result if evaluated.error is None else evaluated.error)
    return 0 if evaluated.status == "completed" else DIFFERS
