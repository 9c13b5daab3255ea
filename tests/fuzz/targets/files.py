"""Portable files of sessions: whoever made them may have had nothing good in mind."""

from __future__ import annotations

import re
import sqlite3
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from backports import zstd

from cli.redaction import Redactor
from engine import chain
from engine.errors import RequestError
from engine.events import FORMAT_VERSION, Created, Event
from engine.importcheck import ImportCheck
from engine.limits import LimitPolicy
from engine.portable import FORMAT, VERSION
from fuzz import answers
from fuzz.data import Data
from fuzz.shapes import packed, value
from persistence.heads import advance
from persistence.schema import event_row, session_values
from transports.rest.routes import json_answer
from transports.rest.shapes import event_answer

_MOST: Final = 1 << 22
_KNOWN: Final = {
    "v": FORMAT_VERSION,
    "session": "s1",
    "owner": "local",
    "name": "demo",
    "at": 1_700_000_000_000_000,
    "accepted_at": 1_700_000_000_000_000,
    "duration_us": 1_000,
    "execution_id": "e_0123456789abcdef",
    "target": 0,
    "tags": {"stage": "raw"},
    "seed": b"s" * 16,
    "digest": b"d" * 32,
    "idempotency_key": None,
    "time_ms": 1_000,
    "heap_mb": 64,
    "offheap_mb": 64,
    "console_bytes": 1_000,
    "result_chars": 1_000,
    "timers": 10,
    "clock_reads": 10,
    "cpu_ms": 1_000,
}
_REDACTOR: Final = Redactor([re.compile("demo|stage"), re.compile(r"\\+.")])


def files(raw: bytes) -> None:
    """A file is refused in a sentence, or all of its events can be stored, told and masked."""
    data = Data(raw)
    file = zstd.compress(b"".join(_lines(data)))
    if data.rarely():
        file = file[: data.below(len(file) + 1)] + data.octets()
    check = ImportCheck(_MOST, None if data.rarely() else "local", LimitPolicy())
    try:
        records = list(check.feed(file))
        check.finish()
    except RequestError:
        return
    row = None
    for record in records:
        answers.check_json(json_answer(event_answer(record, listed=False)).body)
        msgspec.json.encode(_REDACTOR.line(record))
        row = advance(None if isinstance(record.event, Created) else row, [record])
        _store(event_row(record))
    assert row is not None
    _store(session_values(row))
    assert (row.head_id, row.state_id) == (check.position.head_id, check.position.state_id)


def _store(values: tuple[Any, ...]) -> None:
    """That SQLite can hold them."""
    with sqlite3.connect(":memory:") as db:
        db.execute(f"SELECT {','.join('?' * len(values))}", values).fetchall()
    db.close()


def _lines(data: Data) -> list[bytes]:
    """The lines of a file: mostly such as an export writes, with events that chain."""
    lines: list[dict[str, Any]] = []
    prev = chain.GENESIS
    for seq in range(1 + data.byte() % 4):
        made = value(data, Event if seq else Created, {**_KNOWN, "seq": seq})
        body = packed(data, made)
        name = chain.event_id(prev, body)
        kind = made.get("type") if isinstance(made, dict) else "created"
        lines.append(
            {"event": seq, "type": kind, "id": name.hex(), "prev": prev.hex(), "body": body, "large": []}
        )
        prev = name
    header = {
        "format": FORMAT,
        "version": VERSION,
        "redacted": False,
        "session": "demo",
        "owner": "local",
        "head": prev.hex(),
        "events": len(lines),
        "exported_at": datetime(2026, 1, 1, tzinfo=UTC),
        "exported_by": "fuzz",
    }
    told = [_encoded(data, line) for line in (header, *lines, {"end": True, "head": prev.hex()})]
    if data.rarely():
        told.insert(data.below(len(told) + 1), data.octets())
    if data.rarely():
        del told[data.below(len(told))]
    return told


def _encoded(data: Data, line: dict[str, Any]) -> bytes:
    if data.rarely():
        line[data.choose([*line, "more"])] = data.choose((None, data.text(), data.integer(), data.octets()))
    try:
        return msgspec.json.encode(line) + b"\n"
    except (UnicodeEncodeError, TypeError):
        return b"{}\n"
