"""Sessions and points in them, as commands are given them."""

from __future__ import annotations

from typing import Any, NamedTuple

import click
from click.shell_completion import CompletionItem

from engine.errors import InvalidField
from transports.request import session_point


class Point(NamedTuple):
    """A session, and the number of an event of it where one was given."""

    session: str
    event: int | None

    def __str__(self) -> str:
        return self.session if self.event is None else f"{self.session}@{self.event}"


class SessionPoint(click.ParamType[Point]):
    """``SESSION`` or ``SESSION@N``."""

    name = "session[@n]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Point:
        """The point. Fails for anything else."""
        if isinstance(value, Point):
            return value
        try:
            return Point(*session_point(value, field=self.name))
        except InvalidField as wrong:
            self.fail(wrong.message, param, ctx)

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """The names of the target's sessions."""
        return _sessions(ctx, incomplete)


class SessionName(click.ParamType[str]):
    """``SESSION`` alone."""

    name = "session"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name. Fails for anything else."""
        point = SessionPoint().convert(value, param, ctx)
        if point.event is not None:
            self.fail(f"a session is meant, not a point in one: give {point.session}", param, ctx)
        return point.session

    def shell_complete(
        self,
        ctx: click.Context,
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """The names of the target's sessions."""
        return _sessions(ctx, incomplete)


def _sessions(ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    from cli.target.completing import session_names  # for a shell alone

    return [CompletionItem(name) for name in session_names(ctx.params, incomplete)]
