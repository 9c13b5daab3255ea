"""A portable file of the first version is read for ever, and sessions of every event format go through files.

``session-v1.jsonl.zst`` is of "branch" in ``v3.jsonl``, which goes on from "golden". It was written once, as
``mcp-v8 export`` did then, and is to stay as it is.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from itertools import groupby
from pathlib import Path

import msgspec
import pytest
from engines import CALLER, OWNER, OpenEngine
from histories import FOLDER, path_of, read
from portable_files import check, file_of, lines_of, pieces

from engine.chain import Record
from engine.events import FORMAT_VERSION, Closed, Created, Forked

FILE = FOLDER / "session-v1.jsonl.zst"


def lineages(version: int) -> dict[str, Sequence[Record]]:
    """By the names of the sessions that were not deleted: all events that led to where they are."""
    own = {
        session: list(records)
        for session, records in groupby(read(path_of(version)), key=lambda record: record.event.session)
    }
    found: dict[str, Sequence[Record]] = {}
    for records in own.values():
        begun = records[0].event
        assert isinstance(begun, Created | Forked)
        if not isinstance(records[-1].event, Closed):
            parent = own[begun.parent][: begun.seq] if isinstance(begun, Forked) else []
            found[begun.name] = [*parent, *records]
    return found


def test_a_file_of_version_1_is_read_and_would_be_written_so_today() -> None:
    data = FILE.read_bytes()
    records = lineages(3)["branch"]
    assert check(data, owner=OWNER) == records
    first, *lines = lines_of(data)
    assert msgspec.json.decode(first) == {
        "format": "mcp-v8 session",
        "version": 1,
        "redacted": False,
        "session": "branch",
        "owner": OWNER,
        "head": records[-1].id.hex(),
        "events": len(records),
        "exported_at": "2026-01-02T00:00:00Z",
        "exported_by": "mcp-v8 0.1.0",
    }
    assert lines_of(file_of(records, exported_by="mcp-v8 0.1.0")) == [first, *lines]


@pytest.mark.parametrize("version", range(1, FORMAT_VERSION + 1))
async def test_sessions_of_every_event_format_are_exported_and_imported_and_replay_as_they_were(
    version: int, open_engine: OpenEngine, tmp_path: Path
) -> None:
    kept = lineages(version)
    assert set(kept) >= {"golden", "branch"}

    async def arriving(name: str) -> AsyncGenerator[bytes, None]:
        for piece in pieces(file_of(kept[name])):
            yield piece

    async with open_engine(tmp_path) as engine:
        for name in reversed(kept):
            assert (await engine.supervisor.store.import_session(OWNER, arriving(name), CALLER)).is_new
        for name, records in kept.items():
            file = [chunk async for chunk in await engine.supervisor.store.export(OWNER, name, "test")]
            assert check(b"".join(file)) == records
            replayed = await engine.supervisor.past.replay(OWNER, name, at=None)
            assert (replayed.different, replayed.failed) == (0, None)
            assert await engine.value("'goes on'", session=name) == "'goes on'"
