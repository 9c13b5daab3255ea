"""What the replay of one session and that of all have in common."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from cli.output import junit
from cli.target.client import Client
from cli.target.failures import Failed
from transports.rest.past_shapes import ReplayedEvent, ReplayEnd


class Wanted(NamedTuple):
    """What is to be run again."""

    session: str
    first: int
    """Number of the event with which it begins."""
    last: int | None
    """Of that with which it ends; None: the last that there is."""
    strict: bool
    """Whether what another version recorded must come out to the letter."""


class JUnitFile(click.Path):
    """A file that can be written, as far as that can be told before the work."""

    def __init__(self) -> None:
        super().__init__(dir_okay=False, writable=True, path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path. Fails for a folder, and in one that is not there."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not path.parent.is_dir():
            self.fail(f"there is no folder {path.parent}", param, ctx)
        return path


async def replayed(
    client: Client, wanted: Wanted, hear: Callable[[ReplayedEvent], Awaitable[None]]
) -> ReplayEnd:
    """What a replay comes to; ``hear`` is told of each event. Raises Failed."""
    path = f"/api/sessions/{wanted.session}/replay"
    query = {"first": wanted.first, "last": wanted.last, "strict": wanted.strict}
    async with client.lines(ReplayedEvent, ReplayEnd, "GET", path, query) as lines:
        async for event in lines:
            await hear(event)
        return lines.end
    raise AssertionError("unreachable")


def write_report(path: Path, cases: Sequence[junit.Case], seconds: float) -> None:
    """Write the results. Raises Failed."""
    try:
        junit.write(path, "mcp-v8 replay", cases, seconds)
    except OSError as error:
        raise Failed(f"{path} cannot be written: {error.strerror}") from error
