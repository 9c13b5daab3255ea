"""``mcp-v8 export`` and ``mcp-v8 import``: sessions as portable files."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, Any

import click
import msgspec
from msgspec import Struct

from cli.options import MAX_IMPORT_BYTES, Whole, variable
from cli.output import terminal
from cli.output.json import as_json, print_json
from cli.output.quantities import counted
from cli.output.text import one_line
from cli.redaction import Redactor
from cli.target.client import Client
from cli.target.failures import CORRUPT, DIFFERS, Failed, Refused
from cli.target.options import Target, with_target
from cli.target.point import SessionName
from engine.errors import EngineError, FileCorrupt
from engine.importcheck import ImportCheck
from engine.portable import End, Packer
from transports.rest.shapes import EventsAnswer, ImportAnswer

_PIECE = 1 << 18
"""Bytes of a file that are read at once."""
_PAGE = 1_000
"""Events that are asked for at once to find what is wrong with one."""


class ExportedFile(Struct, frozen=True, kw_only=True):
    """What ``--json`` tells of an export."""

    session: str
    event: int
    """Number of its last event."""
    head: str
    """Id of that event."""
    events: int
    redacted: bool
    bytes: int
    """Of the file."""


class _Pattern(click.ParamType[re.Pattern[str]]):
    """A regular expression that matches something."""

    name = "pattern"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> re.Pattern[str]:
        """The compiled pattern. Fails for anything else."""
        if isinstance(value, re.Pattern):
            return value
        try:
            pattern = re.compile(value)
        except re.error as wrong:
            self.fail(f"{value!r} is no regular expression: {wrong}", param, ctx)
        if pattern.search(""):
            self.fail(f"{value!r} matches where there is nothing, so everywhere", param, ctx)
        return pattern


@click.command
@click.argument("session", type=SessionName(), metavar="SESSION")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Write it there."
)
@click.option(
    "--redact",
    "patterns",
    type=_Pattern(),
    multiple=True,
    metavar="PATTERN",
    help="Mask what the regular expression matches, in all texts; may be given more than once.",
)
@as_json
@with_target
async def export(
    target: Target, session: str, *, output: Path | None, patterns: tuple[re.Pattern[str], ...], as_json: bool
) -> None:
    """Write a SESSION to one portable file: its whole log.

    The file is JSON Lines, compressed with zstd. Another store can import it. It is checked while it is
    written. With --redact it can be shown to others, but neither be verified nor imported. What is split, cut
    or encoded in some way is not found by a pattern: look at the file before you give it away.

    \b
    mcp-v8 export demo -o demo.jsonl.zst
    mcp-v8 export demo | zstdcat | jq .type
    mcp-v8 export demo -o demo.jsonl.zst --redact 'sk-\\w+' --redact '(?i)password\\S*'
    """
    if output is None and (as_json or sys.stdout.isatty()):
        raise click.UsageError(
            "give the file's name, as -o demo.jsonl.zst"
            if as_json
            else "the file is not for a terminal: give -o FILE, or a pipe"
        )
    async with target.client() as client:
        with _written(output) as write:
            told = await _export(client, session, Redactor(patterns) if patterns else None, write)
    if as_json:
        print_json(told)
        return
    said = f"exported {session}: {counted(told.events, 'event')}, head {session}@{told.event} {told.head}"
    if told.redacted:
        said += "\nIt is redacted: it cannot be verified, nor imported."
    click.echo(said, err=output is None)


@click.command("import")
@click.argument("file", type=click.File("rb"))
@click.option("--check", "only_check", is_flag=True, help="Only verify the file; ask nobody.")
@click.option(
    "--max-import-bytes",
    "most",
    type=Whole(1_024),
    default=MAX_IMPORT_BYTES,
    show_default=True,
    envvar=variable("max_import_bytes"),
    metavar="N",
    help="Length of the file, unpacked.",
)
@as_json
@with_target
async def import_(target: Target, file: IO[bytes], *, only_check: bool, most: int, as_json: bool) -> None:
    """Take in the session of a FILE that an export wrote.

    It keeps its name, its owner and all ids. The file (- for stdin) is verified first, to the last byte; a
    session that is there already, with the same events, is left as it is.

    \b
    mcp-v8 import demo.jsonl.zst
    mcp-v8 import --check demo.jsonl.zst     only verify it; exit status 4 if it is damaged
    """
    with _seekable(file, most) as source:
        told = _verified(source, most)
        if not only_check:
            if target.url is None and target.owner is None:
                target = msgspec.structs.replace(target, owner=told.owner)
            with _progress("Importing", source.seek(0, os.SEEK_END)) as bar:
                source.seek(0)
                async with target.client("write") as client:
                    told = await client.send_file(
                        ImportAnswer, "POST", "/api/import", _Pieces(source, bar.update)
                    )
    if as_json:
        print_json(told)
        return
    place = f"{counted(told.events, 'event')}, head {told.session}@{told.event} {told.head}"
    if only_check:
        click.echo(f"whole: session {told.session} of {one_line(told.owner)}, {place}")
    elif told.imported:
        click.echo(f"imported {told.session}: {place}")
    else:
        click.echo(f"{told.session} is there already: {place}")


async def _export(
    client: Client, session: str, redactor: Redactor | None, write: Callable[[bytes], object]
) -> ExportedFile:
    """Write what comes, and check it. Raises Failed."""
    path = f"/api/sessions/{session}"
    check, packer = ImportCheck(sys.maxsize), Packer()
    size = events = 0

    def put(data: bytes) -> None:
        nonlocal size
        size += len(data)
        write(data)

    try:
        with _progress("Exporting") as bar:
            async with client.stream("GET", f"{path}/export") as response:
                async for chunk in response.chunks:
                    before = events
                    for record in check.feed(chunk):
                        if redactor is not None:
                            if events == 0:
                                put(packer.add(redactor.header(check.header)))
                            put(packer.add(redactor.line(record)))
                        events += 1
                    if redactor is None:
                        put(chunk)
                    bar.length = check.events
                    bar.update(events - before)
        check.finish()
    except Refused:
        raise
    except (Failed, FileCorrupt) as broken:
        await _find_damage(client, path, events)
        raise Failed(f"what came from {client.where} is no whole export: {broken}") from broken
    if redactor is not None:
        put(packer.add(End(end=True, head=None)) + packer.finish())
    return ExportedFile(
        session=session,
        event=check.position.head_seq,
        head=check.position.head_id.hex(),
        events=check.events,
        redacted=redactor is not None,
        bytes=size,
    )


async def _find_damage(client: Client, path: str, first: int) -> None:
    """An export that cannot go on says no more why: raise Refused for the event that cannot be read."""
    following: int | None = first
    while following is not None:
        page = await client.ask(EventsAnswer, "GET", f"{path}/events", {"first": following, "limit": _PAGE})
        following = page.next


def _verified(source: IO[bytes], most: int) -> ImportAnswer:
    """What is in a file, which is checked to its end. Raises Failed."""
    check = ImportCheck(most)
    try:
        while data := source.read(_PIECE):
            for _ in check.feed(data):
                pass
        check.finish()
    except EngineError as wrong:
        raise Failed(wrong.message, CORRUPT if isinstance(wrong, FileCorrupt) else DIFFERS) from wrong
    position = check.position
    return ImportAnswer(
        session=position.name,
        owner=position.owner,
        event=position.head_seq,
        head=position.head_id.hex(),
        heap=position.heap,
        events=check.events,
        imported=False,
    )


class _Pieces:
    """A file as it is sent."""

    def __init__(self, source: IO[bytes], sent: Callable[[int], object]) -> None:
        """``sent`` hears of how many bytes were sent more."""
        self._source = source
        self._sent = sent

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if data := self._source.read(_PIECE):
            self._sent(len(data))
            return data
        raise StopAsyncIteration


@contextmanager
def _seekable(file: IO[bytes], most: int) -> Iterator[IO[bytes]]:
    """The file, or what comes from a pipe, kept in one without a name; as far as need be."""
    if file.seekable():
        yield file
        return
    with tempfile.TemporaryFile() as kept:
        while kept.tell() <= most and (data := file.read(_PIECE)):
            kept.write(data)
        kept.seek(0)
        yield kept


def _progress(label: str, length: int = 0) -> AbstractContextManager[Any]:
    """A bar on stderr, where that is a terminal."""
    hidden = not terminal.is_terminal(err=True)
    return click.progressbar(length=length, label=label, file=sys.stderr, hidden=hidden)


@contextmanager
def _written(path: Path | None) -> Iterator[Callable[[bytes], object]]:
    """What writes to stdout, or to a file that takes the place of the one at ``path`` once it is whole.

    A device or a pipe that is there is written to: /dev/null is to stay what it is, also where root exports.
    """
    if path is None:
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as there:
                yield there.write
            return
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}-", delete=False) as file:
            try:
                yield file.write
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink()
                raise
    except OSError as failed:
        raise Failed(f"{path} cannot be written: {failed.strerror}") from failed
