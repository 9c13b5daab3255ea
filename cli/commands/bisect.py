"""``mcp-v8 bisect``: the first event after which an expression holds, by binary search."""

from __future__ import annotations

import click
from msgspec import Struct

from cli.output import events, moments, terminal, values
from cli.output.json import as_json, print_json
from cli.output.quantities import counted
from cli.target import pages
from cli.target.client import Client
from cli.target.evaluation import evaluate, is_syntax_error
from cli.target.failures import USAGE, Failed
from cli.target.options import Target, with_target
from cli.target.point import Point, SessionName
from transports.rest.past_shapes import EvaluatedAnswer
from transports.rest.shapes import EventAnswer

FALSY = frozenset({"false", "0", "-0", "0n", "''", "null", "undefined", "NaN"})
"""Values that do not hold, as they are inspected."""


class Found(Struct, frozen=True, kw_only=True):
    """What a search came to."""

    session: str
    event: int | None
    """Number of the first event after which it holds; null if it does not even after the last."""
    evaluations: int


@click.command
@click.argument("session", type=SessionName(), metavar="SESSION")
@click.argument("expression")
@click.option("--from", "first", type=click.IntRange(0), default=0, metavar="N", help="Not before event N.")
@click.option("--to", "last", type=click.IntRange(0), metavar="N", help="Not after event N.")
@click.option("--not", "negated", is_flag=True, help="The first after which it does not hold.")
@click.option("-v", "--verbose", is_flag=True, help="Say what each evaluation came to.")
@as_json
@with_target
async def bisect(
    target: Target,
    session: str,
    expression: str,
    first: int,
    last: int | None,
    *,
    negated: bool,
    verbose: bool,
    as_json: bool,
) -> int:
    """Find the first event after which an EXPRESSION holds.

    It holds where its value is truthy, and does not where it throws. The search halves the events each
    time: it takes it that what holds once, holds from there on. The expression runs on copies that are
    thrown away.

    \b
    mcp-v8 bisect demo 'rows.length === 0'
    mcp-v8 bisect demo 'total >= 0' --not
    mcp-v8 bisect demo 'rows.includes(7)' --from 2 --to 6
    """
    async with target.client("revisit") as client:
        if last is None:
            last = (await pages.session(client, session)).event
        if first > last:
            raise Failed(f"there are no events from {first} to {last}", USAGE)
        search = Search(client, session, expression, negated=negated, verbose=verbose)
        found = await search.run(first, last)
        took = counted(search.evaluations, "evaluation")
        if as_json:
            print_json(Found(session=session, event=found, evaluations=search.evaluations))
        if found is None:
            end = Point(session, last)
            said = ("holds", "does not") if negated else ("does not hold", "does")
            raise Failed(f"it {said[0]} after {end}: there is no event from which on it {said[1]} ({took})")
        if not as_json:
            since = "so from the first event on" if found == first else "found"
            await _tell(client, Point(session, found), f"{since}, by {took}:")
    return 0


async def _tell(client: Client, found: Point, how: str) -> None:
    """The point on stdout; how it was found, and its event, beside that."""
    event = await client.ask(EventAnswer, "GET", f"/api/sessions/{found.session}/events/{found.event}")
    now, width = moments.now(), terminal.width(err=True)
    click.echo(str(found))
    click.echo(how, err=True)
    click.echo(events.table([event], now, width).line(events.row(event, now, width)), err=True)


class Search:
    """A binary search in a session."""

    def __init__(
        self, client: Client, session: str, expression: str, *, negated: bool, verbose: bool
    ) -> None:
        self._client, self._session, self._expression = client, session, expression
        self._negated, self._verbose = negated, verbose
        self.evaluations = 0

    async def run(self, first: int, last: int) -> int | None:
        """Number of the first event from ``first`` to ``last`` after which it is as wanted. Raises Failed.

        At most one evaluation more than halvings of their number.
        """
        state, wanted = await self._at(last)
        if not wanted:
            return None
        found, low = state, first
        while low < found:
            middle = (low + found) // 2
            state, wanted = await self._at(middle)
            if wanted:
                found = state  # the event that made the state, which may be an earlier one
            else:
                low = middle + 1
        return max(found, first)

    async def _at(self, event: int) -> tuple[int, bool]:
        """The event that made the state after ``event``, and whether it is as wanted there. Raises Failed."""
        told = await evaluate(self._client, self._session, event, self._expression)
        self.evaluations += 1
        if is_syntax_error(told):
            raise Failed(
                "\n".join(["the expression cannot be read", *map(click.unstyle, values.failure(told))]), USAGE
            )
        if told.status not in ("completed", "failed"):
            raise Failed(
                f"after {self._session}@{event} the expression gave no value: {told.error or told.status}"
            )
        holds = told.status == "completed" and told.pending is not True and told.result not in FALSY
        if self._verbose:
            click.echo(f"{self._session}@{told.event}: {_value(told)}", err=True)
        return told.event, holds is not self._negated


def _value(told: EvaluatedAnswer) -> str:
    if told.status == "failed":
        return " ".join(list(values.failure(told))[:1])
    return (
        "a promise that is pending"
        if told.pending is True
        else values.value(told.result or "undefined", colours=False)
    )
