"""What people and models read: texts, pages of a console, lines of the log."""

from __future__ import annotations

import logging

import msgspec

from cli import rustlog
from cli.logformat import FIELDS, TRACEBACK
from engine import attempt, outcomes
from engine.errors import InvalidField
from engine.events import Line
from engine.isolate.wire import Done
from engine.outcomes import Abort
from fuzz.answers import FORMATTERS, MCP_CHARS
from fuzz.data import Data
from fuzz.shapes import value
from fuzz.targets.worker import ATTEMPT, KNOWN
from transports.guard import HostGuard
from transports.mcp.text import outcome_text
from transports.paging import MAX_PAGE_BYTES, joined, page


def texts(raw: bytes) -> None:
    """The text of an outcome is as long as it may be, and ends with the handle."""
    data = Data(raw)
    try:
        kind = data.choose((Done, Abort))
        made: Done | Abort = msgspec.convert(value(data, kind, KNOWN), kind, builtin_types=(bytes,))
    except (msgspec.ValidationError, UnicodeEncodeError):
        return
    if isinstance(made, Done) and not attempt._plausible(made, ATTEMPT):
        return
    console = [Line("log", data.text()) for _ in range(data.byte() % 3)]
    event = attempt.conclude(ATTEMPT, "s1", made, console)
    report = outcomes.report(event, session="demo", heap="a" * 64)
    text = outcome_text(report, MCP_CHARS)
    assert len(text) <= MCP_CHARS, f"a text of {len(text)} characters"
    assert text.endswith("[demo@1]")


def pages(raw: bytes) -> None:
    """Pages lead to the next one until all has been read, by lines and by bytes; others are refused."""
    data = Data(raw)
    lines = [Line("log", data.text()[:3_000]) for _ in range(data.byte() % 6)]
    whole = joined(lines)
    numbers = {
        name: data.integer()
        for name in ("line_offset", "line_limit", "byte_offset", "byte_limit")
        if data.byte() % 2
    }
    try:
        part = page(lines, **numbers)
    except InvalidField:
        pass
    else:
        assert len(part.data.encode()) <= MAX_PAGE_BYTES
        assert part.data in whole
    at: int | None = 0
    read = ""
    limit = 1 + data.byte()
    for _ in range(2_000):
        assert at is not None
        part = page(lines, byte_offset=at, byte_limit=limit)
        read += part.data
        assert part.has_more == (part.end_byte < part.total_bytes)
        if part.next_byte_offset is None:
            assert read == whole
            break
        assert part.next_byte_offset > at
        at = part.next_byte_offset
        if part.end_byte > 64_000:
            break


def lines(raw: bytes) -> None:
    """Whatever a record of the log carries, it is one line, or one and an indented traceback; and whatever
    names a host or a level has an answer."""
    data = Data(raw)
    said = {
        "name": data.choose(("mcp_v8", "hypercorn.error")),
        "levelname": "INFO",
        "msg": data.text()[:3_000].replace("%", "%%"),
        FIELDS: {"session": data.text()[:3_000], "error": data.text()[:3_000]},
    }
    if data.byte() % 4 == 0:
        said[TRACEBACK] = data.text()[:3_000]
    for form in FORMATTERS:
        first, *more = form.format(logging.makeLogRecord(said)).split("\n")
        assert first.isprintable()
        assert all(line.startswith("    ") and line.isprintable() for line in more)
    rustlog.level(data.text()[:3_000])
    headers = [
        (
            data.choose((b"host", b"origin")),
            data.choose((b"localhost:8080", b"http://localhost"))
            if data.byte() % 2
            else data.take(data.byte() % 40),
        )
        for _ in range(data.byte() % 4)
    ]
    refusal = HostGuard().refusal(headers)
    assert refusal is None or refusal.status in (403, 421)
