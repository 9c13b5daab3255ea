"""``mcp-v8 report``: a session as one HTML page."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import click
from msgspec import Struct

from cli.output.json import as_json, print_json
from cli.output.progress import Progress
from cli.output.quantities import counted, size
from cli.target.client import Client
from cli.target.failures import USAGE, Failed, Refused
from cli.target.options import Target, with_target
from cli.target.point import SessionName
from engine.errors import Busy, PlatformRefused, TooLarge, Unavailable, WorkerFailed
from transports.rest.past_shapes import ReplayedEvent, ReplayEnd
from transports.rest.shapes import EventAnswer, SessionAnswer

MAX_EVENTS = 20_000
"""Events of a page; a browser opens these in a few seconds."""
STDOUT = Path("-")
_OF_REPLAYS = {one.code for one in (Busy, TooLarge, Unavailable, PlatformRefused, WorkerFailed)}


class Reported(Struct, frozen=True):
    """What was made."""

    session: str
    first: int
    last: int
    path: str
    bytes: int
    replay: ReplayEnd | None


@click.command
@click.argument("session", type=SessionName(), metavar="SESSION")
@click.option("--from", "first", type=click.IntRange(0), metavar="N", help="From event N on.  [default: 0]")
@click.option("--to", "last", type=click.IntRange(0), metavar="N", help="Up to event N.  [default: the last]")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write it; - is stdout.  [default: SESSION.html]",
)
@click.option("--force", is_flag=True, help="Write over a file that is no report.")
@click.option("--no-replay", is_flag=True, help="Faster: without running it again, so without variables.")
@as_json
@with_target
async def report(
    target: Target,
    session: str,
    first: int | None,
    last: int | None,
    output: Path | None,
    *,
    force: bool,
    no_replay: bool,
    as_json: bool,
) -> int:
    """Make a page of a session: timeline, code, console, results, variables.

    It is one HTML file that needs nothing else. The session is replayed, to tell what each event did to the
    variables and whether it does what the log says. A report that is there already is written over.

    \b
    mcp-v8 report demo                  writes demo.html
    mcp-v8 report demo --from 100 --to 200 -o part.html
    mcp-v8 report demo --no-replay -o - | gzip > demo.html.gz
    """
    path = Path(f"{session}.html") if output is None else output
    _refuse_to_overwrite(path, force=force)
    if as_json and path == STDOUT:
        raise Failed("--json and the page cannot both go to stdout: give -o FILE", USAGE)
    async with target.client() as client:
        told = await client.ask(SessionAnswer, "GET", f"/api/sessions/{session}")
        begin, end = _range(told, first or 0, last)
        with _opened(path) as out:
            replay = await _write(client, told, begin, end, out, replay=not no_replay)
    written = 0 if path == STDOUT or not path.is_file() else path.stat().st_size
    if as_json:
        print_json(Reported(session, begin, end, str(path), written, replay))
    elif path != STDOUT:
        click.echo(f"{path}: {counted(end - begin + 1, 'event')}, {size(written)}")
    return 0


def _range(session: SessionAnswer, first: int, last: int | None) -> tuple[int, int]:
    head = session.event
    if first > head or (last is not None and last > head):
        raise Failed(f"{session.session} has no event {max(first, last or 0):,}: its last is {head:,}", USAGE)
    end = head if last is None else last
    if end < first:
        raise Failed(f"there is nothing from event {first:,} to event {end:,}", USAGE)
    if end - first >= MAX_EVENTS:
        raise Failed(
            f"a report has at most {MAX_EVENTS:,} events, and these are {end - first + 1:,}: choose, as by "
            f"--from {max(first, end - MAX_EVENTS + 1)} --to {end}",
            USAGE,
        )
    return first, end


async def _write(
    client: Client, session: SessionAnswer, first: int, last: int, out: IO[str], *, replay: bool
) -> ReplayEnd | None:
    from cli.report.collect import collect  # the templates take a moment to import
    from cli.report.page import Page

    with (
        tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as spool,
        Progress(f"report of {session.session}", last - first + 1, "events") as progress,
    ):
        page = Page(session, first, last, spool)

        def show(event: EventAnswer, replayed: ReplayedEvent | None) -> None:
            page.add(event, replayed)
            progress.at(event.event - first + 1)

        try:
            ended = await collect(client, session.session, first, last, replay=replay, show=show)
        except Refused as refused:
            if replay and refused.code in _OF_REPLAYS:
                refused.sentence += "; --no-replay makes a report without replaying"
            raise
        page.write(out, ended)
    return ended


def _refuse_to_overwrite(path: Path, *, force: bool) -> None:
    """Raises Failed if there is a file that somebody might miss."""
    if force or path == STDOUT or not path.is_file():
        return
    from cli.report.page import MARKER

    with path.open("rb") as there:
        if MARKER not in there.read(1_000):
            raise Failed(f"{path} is there, and no report: give another -o FILE, or --force", USAGE)


@contextmanager
def _opened(path: Path) -> Iterator[IO[str]]:
    """Where the page is written; a file is there only once it is whole."""
    is_stream = path == STDOUT or (path.exists() and not path.is_file())
    part = path if is_stream else path.with_name(f".{path.name[:100]}.{os.getpid()}")
    try:
        try:
            with click.open_file(str(part), "w", encoding="utf-8") as out:
                yield out
            if not is_stream:
                part.replace(path)
        finally:
            if not is_stream:
                part.unlink(missing_ok=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise Failed(f"{path} cannot be written: {error.strerror or error}") from error
