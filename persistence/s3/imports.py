"""A history that was taken in, as objects that a change in the log names.

They are put before that change, so that one that is interrupted leaves some that nothing names. These are
removed once they are old (``persistence.s3.compaction``), and only while none is put: the same history may be
taken in again just then, and its parts have the same names.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from engine.chain import Record
from engine.errors import StoreCorrupt
from persistence import changes
from persistence.adoption import Lineage
from persistence.changes import Adopted, Part, Stored
from persistence.s3 import named
from persistence.s3.objects import Objects

IMPORTS = "imports/"
PART_BYTES = 8 << 20
"""A part ends with the record that brings it to this."""
_KIND, _VERSION = b"mcpv8im", 1
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(tuple[Stored, ...])


class Sending:
    """Whether any are being put, by this server. Safe for many threads."""

    def __init__(self) -> None:
        self._deciding = threading.Lock()
        self._begun = 0
        self._under_way = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        """One is put in the block; it waits for a removal to be over."""
        with self._deciding:
            self._begun += 1
            self._under_way += 1
        try:
            yield
        finally:
            with self._deciding:
                self._under_way -= 1

    def seen(self) -> int | None:
        """How many have begun; None while one is under way."""
        with self._deciding:
            return None if self._under_way else self._begun

    def unless_since(self, seen: int | None, remove: Callable[[], None]) -> None:
        """Remove something, unless one was under way when that was ``seen``, or has begun since."""
        with self._deciding:
            if seen == self._begun:
                remove()


def put(objects: Objects, lineage: Lineage) -> Adopted:
    """Keep a lineage; the change that takes it in. Raises Refused, Unanswered."""
    parts = tuple(_put(objects, part) for part in _parts(lineage.records()))
    return Adopted(lineage.sessions, parts, lineage.at)


def get(objects: Objects, adopted: Adopted, directory: Path) -> Lineage:
    """The lineage that was taken in, kept aside in ``directory``; to be closed.

    Raises StoreCorrupt if it is not there or altered, StoreError, OSError.
    """
    lineage = Lineage(directory, adopted.at)
    try:
        for part in adopted.parts:
            body = named.get(objects, IMPORTS, _KIND, _VERSION, part)
            try:
                records = _decoder.decode(body)
            except msgspec.DecodeError as broken:
                raise StoreCorrupt(f"{IMPORTS}{part.name} cannot be decoded: {broken}") from broken
            lineage.add(changes.opened(records))
    except BaseException:
        lineage.close()
        raise
    return lineage


def _put(objects: Objects, records: list[Record]) -> Part:
    return named.put(objects, IMPORTS, _KIND, _VERSION, _encoder.encode(changes.stored(records)))


def _parts(records: Iterator[Record]) -> Iterator[list[Record]]:
    part: list[Record] = []
    size = 0
    for record in records:
        part.append(record)
        size += len(record.body) + sum(map(len, record.large.values()))
        if size >= PART_BYTES:
            yield part
            part, size = [], 0
    if part:
        yield part
