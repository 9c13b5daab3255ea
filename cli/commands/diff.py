"""``mcp-v8 diff``: what differs between the variables of two states."""

from __future__ import annotations

from collections.abc import Iterator

import click

from cli.output import terminal, values
from cli.output.json import as_json, print_json
from cli.output.quantities import counted
from cli.output.styles import BAD, DOUBTFUL, FAINT, GOOD, STRONG, Styled, paint
from cli.output.text import cells, fit, one_line
from cli.output.textdiff import diff as text_diff
from cli.target import comparing
from cli.target.comparing import StateDiff
from cli.target.failures import DIFFERS
from cli.target.options import Target, with_target
from cli.target.point import Point, SessionPoint
from transports.rest.past_shapes import Pair
from transports.rest.shapes import GlobalAnswer

_ONE_LINE = 40
"""Characters of two values up to which both are shown in the line of their name."""


@click.command("diff")
@click.argument("before", type=SessionPoint(), metavar="SESSION[@N]")
@click.argument("after", type=SessionPoint(), metavar="[SESSION[@N]]", required=False)
@as_json
@with_target
async def diff(target: Target, before: Point, after: Point | None, *, as_json: bool) -> int:
    """Show what differs between the variables of two states: of one session, or of two.

    Values are compared in full, to any depth, and functions by their text, on copies that are thrown away.
    The status is 1 if anything differs.

    \b
    mcp-v8 diff demo@2 demo@4     what events 3 and 4 did
    mcp-v8 diff demo@2            what happened since
    mcp-v8 diff demo@2 other      what another session has instead
    """
    if after is None:
        after = Point(before.session, None)
    async with target.client("revisit") as client:
        told = await comparing.compare(client, before, after)
    if as_json:
        print_json(told)
    else:
        for line in _lines(told, terminal.width(), colours=terminal.coloured()):
            click.echo(line)
        for note in told.notes:
            click.echo(f"mcp-v8: {note}", err=True)
    return DIFFERS if told.changes.added or told.changes.removed or told.changes.changed else 0


def _lines(told: StateDiff, width: int | None, *, colours: bool) -> Iterator[str]:
    yield f"{paint(f'--- {told.a}', STRONG)}\n{paint(f'+++ {told.b}', STRONG)}"
    for one in told.changes.removed:
        yield _whole(Styled("-", BAD), one, width, colours=colours)
    for one in told.changes.added:
        yield _whole(Styled("+", GOOD), one, width, colours=colours)
    for pair in told.changes.changed:
        yield from _changed(pair)
    yield paint(f"{counted(told.changes.same, 'variable')} alike", FAINT)


def _whole(sign: Styled, one: GlobalAnswer, width: int | None, *, colours: bool) -> str:
    """A variable that only one of the states has."""
    name = one_line(one.name)
    room = None if width is None else max(width - cells(name) - len("+  = "), 20)
    text = fit(one_line(one.preview), room)
    return f"{sign} {paint(name, STRONG)} = {values.value(text, colours=colours)}"


def _changed(pair: Pair) -> Iterator[str]:
    """One that both have, before and after."""
    before, after = pair.before, pair.after
    head = f"{Styled('~', DOUBTFUL)} {paint(one_line(before.name), STRONG)}"
    if before.type != after.type:
        head += paint(f"  {one_line(before.type)} → {one_line(after.type)}", FAINT)
    texts = before.preview, after.preview
    if max(map(len, texts)) <= _ONE_LINE and "\n" not in "".join(texts):
        was, now = map(one_line, texts)
        yield f"{head}  {paint(was, BAD)} → {paint(now, GOOD)}"
        return
    yield head
    for line in text_diff(*texts):
        yield f"    {line}"
