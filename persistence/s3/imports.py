"""A history that was taken in, as objects that a change in the log names.

They are put before that change, so that one that is interrupted leaves some that nothing names.
"""

from __future__ import annotations

from collections.abc import Iterator
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
