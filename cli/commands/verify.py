"""``mcp-v8 verify``: whether a store holds what was written, and what can still be had where it does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager

import click

from cli.output import terminal
from cli.output.json import as_json, print_line
from cli.output.progress import Progress
from cli.output.quantities import counted
from cli.output.styles import BAD, GOOD, STRONG, Styled, paint
from cli.output.table import Column, Table
from cli.output.text import one_line
from cli.target.client import Client
from cli.target.failures import CORRUPT
from cli.target.options import Target, with_target
from transports.rest.storage import FaultAnswer, VerifiedSession, VerifyEnd

_OF_EVENTS = {"damaged", "missing", "chain", "origin"}
_INDENT = "  "


@click.command
@as_json
@with_target
async def verify(target: Target, *, as_json: bool) -> int:
    """Check that all sessions are stored as they were written.

    Looks at every event's hash and link, at what is derived from events, and at the blobs of checkpoints: of
    all owners in a store, unless --owner says whose, and of one's own sessions on a server. Nothing is run
    (see replay for that) or changed. The exit status is 4 if anything is wrong.

    \b
    mcp-v8 verify
    mcp-v8 verify --directory-path backup --json
    """
    whole = target.url is None and target.owner is None
    damaged, end = await verified(target.clients(), print_line if as_json else None, whole=whole)
    if as_json:
        print_line(end)
    else:
        for line in report(damaged, end):
            click.echo(line)
    return 0 if end.sound else CORRUPT


async def verified(
    asked: AbstractAsyncContextManager[Sequence[Client]],
    tell: Callable[[VerifiedSession], object] | None = None,
    *,
    whole: bool,
) -> tuple[list[VerifiedSession], VerifyEnd]:
    """Look at all that is meant, or at the ``whole`` store: the sessions that are damaged, and what it came
    to; ``tell`` hears of each.
    """
    body = {"store": whole}
    damaged: list[VerifiedSession] = []
    async with (
        asked as clients,
        clients[0].lines(VerifiedSession, VerifyEnd, "POST", "/api/verify", body=body) as lines,
    ):
        with Progress("verifying", 0, "sessions") as progress:
            async for one in lines:
                progress.within(one.number, one.of)
                if tell is not None:
                    tell(one)
                if one.faults or one.sound_to != one.head:
                    damaged.append(one)
        return damaged, lines.end


def report(damaged: Sequence[VerifiedSession], end: VerifyEnd) -> Iterator[str]:
    """What it came to, in lines for people."""
    looked = ", ".join(
        (
            counted(end.sessions, "session"),
            counted(end.events, "event"),
            counted(end.checkpoints, "checkpoint"),
        )
    )
    if end.sound:
        yield f"{looked}: {paint('all as they were written', GOOD)}"
        return
    for one in damaged:
        yield from _of_session(one)
    if end.store_faults:
        yield paint("The database itself", STRONG)
        yield from (f"{_INDENT}{one_line(sentence)}" for sentence in end.store_faults)
    faults = paint(counted(end.faults + len(end.store_faults), "fault"), BAD)
    yield f"{looked}: {faults}. If there is a backup from before, restore the store from it."


def _of_session(one: VerifiedSession) -> Iterator[str]:
    """What is wrong with it, and what that means."""
    name = one_line(one.session or f"A session without a name ({one.id})")
    yield f"{paint(name, STRONG)}{' (deleted)' if one.deleted else ''}: {counted(one.events, 'event')}"
    rows = [(Styled(_place(fault), BAD), one_line(fault.what)) for fault in one.faults]
    if rows:
        width = terminal.width()
        table = Table((Column(), Column(least=20)), rows, None if width is None else width - len(_INDENT))
        yield from (f"{_INDENT}{line}" for line in table.lines(rows, titles=False))
    if one.more_faults:
        yield f"{_INDENT}… {one.more_faults:,} more"
    yield from (f"{_INDENT}{sentence}" for sentence in _consequences(one, name))


def _consequences(one: VerifiedSession, name: str) -> Iterator[str]:
    """What the faults mean for whoever needs the session, and what to do."""
    kinds = {fault.kind for fault in one.faults}
    if not one.has_entry:
        yield "It cannot be found by its name any more: nothing of it can be had."
    elif one.sound_to == one.head and not kinds & _OF_EVENTS:
        if "entry" in kinds:
            yield "Its events are whole, but it may be listed wrongly."
        if "labels" in kinds:
            yield "Its events are whole: set its labels again, with mcp-v8 tag."
        if "checkpoint" in kinds:
            yield "Nothing is lost: where it is needed, its events are replayed instead."
    elif one.deleted:
        yield "It is deleted: its events are only needed for forks of it."
    else:
        if not kinds & _OF_EVENTS:
            yield "Its own events are whole, but not all that it comes from are."
        yield from _what_is_left(one, name)


def _what_is_left(one: VerifiedSession, name: str) -> Iterator[str]:
    """Which states can be had of a session some of whose events are lost."""
    later = True
    if one.sound_to is None:
        lost = "None of its states can be rebuilt from its events"
    else:
        yield f"The states up to {name}@{one.sound_to} can be had. To go on from there:"
        yield f"{_INDENT}mcp-v8 fork {name}@{one.sound_to}"
        later = one.head is not None and one.head > one.sound_to + 1
        lost = (
            f"{name}@{one.sound_to + 1}{' and later states' if later else ''} cannot be rebuilt from events"
        )
    if one.restorable_from is not None:
        yield (
            f"{lost}, but from {name}@{one.restorable_from} on there is a checkpoint, which only the engine "
            "that made it can use: save what you need of it before an upgrade."
        )
    else:
        yield f"{lost}.{' Events that follow a whole one can still be shown, one by one.' if later else ''}"


def _place(fault: FaultAnswer) -> str:
    if fault.first is None:
        return fault.kind
    if fault.kind == "checkpoint":
        return f"checkpoint of event {fault.first}"
    many = fault.last is not None and fault.last != fault.first
    return f"events {fault.first} to {fault.last}" if many else f"event {fault.first}"
