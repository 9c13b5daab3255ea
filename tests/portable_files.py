"""Portable files of sessions, as an export writes them and as it never would."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from backports import zstd

from engine.chain import GENESIS, Record, seal
from engine.events import Caller, Created, Executed, Forked, Outcome, Trace
from engine.importcheck import ImportCheck
from engine.limits import Limits
from engine.portable import FORMAT, VERSION, End, Header, Packer, line_of

MOST = 1 << 30


def header_of(records: Sequence[Record], **changes: Any) -> Header:
    """The first line of a history."""
    begun = [record.event for record in records if isinstance(record.event, Created | Forked)]
    fields: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "redacted": False,
        "session": begun[-1].name if begun else "nothing",
        "owner": begun[-1].owner if begun else "nobody",
        "head": records[-1].id.hex(),
        "events": len(records),
        "exported_at": datetime(2026, 1, 2, tzinfo=UTC),
        "exported_by": "test",
        **changes,
    }
    return Header(**fields)


def file_of(records: Sequence[Record], **changes: Any) -> bytes:
    """The file of a history."""
    packer = Packer()
    lines = [header_of(records, **changes), *map(line_of, records), End(end=True, head=records[-1].id.hex())]
    return b"".join(packer.add(line) for line in lines) + packer.finish()


def lines_of(file: bytes) -> list[bytes]:
    """Its lines, each with its end."""
    return zstd.decompress(file).splitlines(keepends=True)


def packed(lines: Iterable[bytes]) -> bytes:
    """The file that has those lines."""
    return zstd.compress(b"".join(lines))


def check(file: bytes, *, piece: int = 4_096, most: int = MOST, **options: Any) -> list[Record]:
    """The events of a file that came in pieces of so many bytes. Raises what is wrong with it."""
    one = ImportCheck(most, **options)
    records: list[Record] = []
    for data in pieces(file, piece):
        records += one.feed(data)
    one.finish()
    return records


def pieces(file: bytes, size: int = 4_096) -> Iterator[bytes]:
    """The file, so many bytes at a time."""
    for at in range(0, len(file), size):
        yield file[at : at + size]


def long_history(events: int, size: int, owner: str = "local") -> list[Record]:
    """A session of so many executions, each with so many bytes of code that cannot be compressed."""
    noise = random.Random(7)
    caller, session = Caller(transport="test"), "i_" + "0" * 32
    created = Created(session=session, seq=0, at=1, owner=owner, name="long", engine="x", caller=caller)
    records = [seal(GENESIS, created)]
    for seq in range(1, events + 1):
        event = Executed(
            session=session,
            seq=seq,
            at=seq,
            accepted_at=seq,
            execution_id=f"e_{seq:016}",
            owner=owner,
            caller=caller,
            engine="x",
            code=f"'{noise.randbytes(size // 2).hex()}'",
            limits=Limits(),
            trace=Trace(start=1, seed=bytes(16)),
            outcome=Outcome(status="completed"),
            digest=bytes(32),
        )
        records.append(seal(records[-1].id, event))
    return records
