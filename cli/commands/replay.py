"""``mcp-v8 replay``: runs what was recorded again, and says whether it comes out the same."""

from __future__ import annotations

import time
from pathlib import Path

import click

from cli.commands import replayall
from cli.commands.replayed import JUnitFile, Wanted, replayed, write_report
from cli.entry import INTERRUPTED
from cli.interrupts import until_interrupted
from cli.output import junit, replays
from cli.output.json import as_json, print_line
from cli.output.progress import Progress
from cli.output.quantities import counted
from cli.output.styles import FAINT, paint
from cli.target import pages
from cli.target.client import Client
from cli.target.failures import DIFFERS
from cli.target.options import Target, with_target
from cli.target.point import SessionName
from transports.rest.past_shapes import ReplayedEvent, ReplayEnd

MAX_SHOWN = 10
"""Differences that are shown in full; of more each event has a line."""


@click.command
@click.argument("session", type=SessionName(), metavar="[SESSION]", required=False)
@click.option("--from", "first", type=click.IntRange(0), metavar="N", help="Begin with event N.")
@click.option("--to", "last", type=click.IntRange(0), metavar="N", help="End with event N.")
@click.option("--all", "every", is_flag=True, help="Every session, on all processors.")
@click.option(
    "--engine",
    type=click.Choice(("recorded", "current")),
    default="recorded",
    show_default=True,
    help="What must agree of events that another version recorded: all, or with 'current', which tries an "
    "upgrade, only what code can act upon.",
)
@click.option("-v", "--verbose", is_flag=True, help="A line for every event.")
@click.option("--junit", "report", type=JUnitFile(), metavar="FILE", help="Write results as JUnit XML.")
@as_json
@with_target
async def replay(
    target: Target,
    session: str | None,
    first: int | None,
    last: int | None,
    *,
    every: bool,
    engine: str,
    verbose: bool,
    report: Path | None,
    as_json: bool,
) -> int:
    """Run a session's events again, and say which do not give what was recorded.

    Nothing of it is kept. The status is 0 only if all agree.

    \b
    mcp-v8 replay demo
    mcp-v8 replay demo --from 2 --to 4 -v
    mcp-v8 replay --all --junit replay.xml
    mcp-v8 replay --all --engine current    before an upgrade goes live
    """
    if every == (session is not None):
        raise click.UsageError(
            "give a SESSION, or --all" if session is None else "give a SESSION or --all, not both"
        )
    strict = engine == "recorded"
    if session is None:
        if first is not None or last is not None:
            raise click.UsageError("--from and --to are for one session, not for --all")
        return await replayall.replay_all(target, strict=strict, report=report, as_json=as_json)
    wanted = Wanted(session, first or 0, last, strict)
    async with target.client() as client:
        return await _One(client, wanted, verbose=verbose, report=report, as_json=as_json).run()


class _One:
    """The replay of one session."""

    def __init__(
        self, client: Client, wanted: Wanted, *, verbose: bool, report: Path | None, as_json: bool
    ) -> None:
        self._client, self._wanted = client, wanted
        self._verbose, self._report, self._as_json = verbose, report, as_json
        self._replay = replays.Replay.begin(wanted.session, wanted.first)
        self._shown = 0
        self._ran = 0
        self._cases: list[junit.Case] = []
        self._codes: dict[int, str] = {}

    async def run(self) -> int:
        """Its exit status."""
        began = time.monotonic()
        wanted, end = self._wanted, None
        last = wanted.last
        if last is None:
            last = (await pages.session(self._client, wanted.session)).event
        before = max(wanted.first, 1) - 1  # event 0 is never run
        with Progress(f"replaying {wanted.session}", last - before, "events") as progress:
            async with until_interrupted() as scope:

                async def hear(event: ReplayedEvent) -> None:
                    progress.at(event.event - before)
                    await self._hear(event, progress)

                end = await replayed(self._client, wanted, hear)
        if end is None:
            assert scope.cancelled_caught
            click.echo(f"mcp-v8: interrupted after {counted(self._ran, 'event')}", err=True)
            return INTERRUPTED
        self._tell(end)
        if self._report is not None:
            write_report(self._report, self._cases, time.monotonic() - began)
        return 0 if end.agrees else DIFFERS

    async def _hear(self, event: ReplayedEvent, progress: Progress) -> None:
        self._ran += 1
        self._replay.hear(event)
        if self._report is not None:
            self._cases.append(_case(self._wanted.session, event))
        if self._as_json:
            print_line(event)
        elif self._verbose or not event.agrees:
            in_full = (not event.agrees or event.drifted) and self._shown < MAX_SHOWN
            code = await self._code(event.event) if in_full or self._verbose else ""
            progress.clear()
            click.echo(replays.event_line(self._wanted.session, event, code))
            if in_full:
                self._shown += 1
                click.echo("\n".join(replays.difference(event)))

    async def _code(self, number: int) -> str:
        """Code of an event; where that of every event is wanted, with that of those behind it."""
        if number not in self._codes:
            last = number + (pages.PAGE - 1 if self._verbose else 0)
            found = pages.events(self._client, self._wanted.session, number, last)
            self._codes = {event.event: event.code or "" async for event in found}
        return self._codes[number]

    def _tell(self, end: ReplayEnd) -> None:
        if end.failed_event is not None and self._report is not None:
            name = f"{self._wanted.session}@{end.failed_event}"
            self._cases.append(
                junit.Case(
                    group=end.session, name=name, error="it ended its process each time that it was run"
                )
            )
        if self._as_json:
            print_line(end)
            return
        click.echo(replays.verdict(end))
        for line in replays.advice(self._replay, end, strict=self._wanted.strict):
            click.echo(paint(line, FAINT))


def _case(session: str, event: ReplayedEvent) -> junit.Case:
    failure = None
    if not event.agrees:
        failure = f"differs in {event.field}", click.unstyle("\n".join(replays.difference(event)))
    return junit.Case(group=session, name=f"{session}@{event.event}", failure=failure)
