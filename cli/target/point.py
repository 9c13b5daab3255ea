"""Sessions and points in them, as commands are given them."""

from __future__ import annotations

from typing import Any, NamedTuple

import click

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


class SessionName(click.ParamType[str]):
    """``SESSION`` alone."""

    name = "session"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The name. Fails for anything else."""
        point = SessionPoint().convert(value, param, ctx)
        if point.event is not None:
            self.fail(f"a session is meant, not a point in one: give {point.session}", param, ctx)
        return point.session
