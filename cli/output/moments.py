"""Points in time, as people write and read them: in the zone of their own machine."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import click

from cli.output import quantities

_UNITS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_AGO = re.compile(rf"(\d{{1,6}}(?:\.\d{{1,3}})?)\s*({'|'.join(_UNITS)})(?:\s+ago)?")
_CLOCK = re.compile(r"\d{1,2}:\d{2}(:\d{2})?")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_FORMS = "give 23:00, 2026-11-28, 2026-11-28T23:00, 2h, today or yesterday"


def now() -> datetime:
    """This moment."""
    return datetime.now(UTC)


def clock(at: datetime, since: datetime, *, seconds: bool = False) -> str:
    """When something was, as short as can be ``since`` now: ``23:14``, ``28 Nov 23:14``, with a year."""
    there, here = at.astimezone(), since.astimezone()
    of_day = there.strftime("%H:%M:%S" if seconds else "%H:%M")
    if there.date() == here.date():
        return of_day
    day = f"{there.day} {there:%b}" if there.year == here.year else f"{there.day} {there:%b} {there.year}"
    return f"{day} {of_day}"


def ago(at: datetime, since: datetime) -> str:
    """How long ago something was: ``5 s ago``, ``3 h ago``, and its day when that is long ago."""
    passed = (since - at).total_seconds()
    if passed < 1:
        return "now"
    for limit, unit, name in (
        (60, 1, "s"),
        (3_600, 60, "min"),
        (86_400, 3_600, "h"),
        (14 * 86_400, 86_400, "d"),
    ):
        if passed < limit:
            return f"{int(passed / unit)} {name} ago"
    return f"{at.astimezone():%Y-%m-%d}"


def full(at: datetime) -> str:
    """A moment to the millisecond, with its zone: ``2026-11-28 23:14:05.120 +0100``."""
    there = at.astimezone()
    return f"{there:%Y-%m-%d %H:%M:%S}.{there.microsecond // 1_000:03} {there:%z}"


def between(earlier: datetime, later: datetime) -> str:
    """How long it was from one moment to another."""
    return quantities.duration((later - earlier).total_seconds() * 1_000)


def parse(text: str, since: datetime) -> datetime:
    """The moment that ``text`` names, seen from ``since``, now. A time of day is the last that has been.

    Raises ValueError, with a sentence, for anything else.
    """
    here, asked = since.astimezone(), text.strip().lower()
    day = {"today": here.date(), "yesterday": here.date() - timedelta(days=1)}.get(asked)
    if day is not None:
        return _local(day, time())
    if asked == "now":
        return since
    try:
        if (passed := _AGO.fullmatch(asked)) is not None:
            return since - timedelta(seconds=float(passed[1]) * _UNITS[passed[2]])
        if _CLOCK.fullmatch(asked):
            found = _local(
                here.date(), time.fromisoformat(asked.zfill(len("00:00:00") if asked.count(":") > 1 else 5))
            )
            return found if found <= since else _local(here.date() - timedelta(days=1), found.time())
        if _DATE.fullmatch(asked):
            return _local(date.fromisoformat(asked), time())
        given = datetime.fromisoformat(text.strip())
        return given.astimezone()  # one without a zone is taken for local
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no point in time: {_FORMS}") from None


def _local(day: date, of_day: time) -> datetime:
    return datetime.combine(day, of_day.replace(tzinfo=None)).astimezone()


class Moment(click.ParamType[datetime]):
    """A point in time, as an option is given it."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The moment. Fails for what is none."""
        if isinstance(value, datetime):
            return value
        try:
            return parse(value, now())
        except ValueError as wrong:
            self.fail(str(wrong), param, ctx)
