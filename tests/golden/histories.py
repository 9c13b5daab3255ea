"""Recorded logs as files: one record a line, as the store keeps them, with bytes in base64."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from engine.chain import Record, unseal

FOLDER = Path(__file__).parent


class Line(msgspec.Struct, frozen=True):
    """A record in a file."""

    id: bytes
    prev: bytes
    body: bytes
    large: list[bytes]
    """The fields that were taken out of the body."""


def path_of(version: int) -> Path:
    """The file of a version of the event format: what that version recorded, and never changed after that."""
    return FOLDER / f"v{version}.jsonl"


def write(path: Path, records: Iterable[Record]) -> None:
    """Write a file that is not there yet. Raises FileExistsError."""
    lines = [Line(one.id, one.prev, one.body, list(one.large.values())) for one in records]
    with path.open("xb") as file:
        file.write(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))


def read(path: Path) -> Iterator[Record]:
    """The records of a file, verified. Raises StoreCorrupt."""
    for text in path.read_bytes().splitlines():
        line = msgspec.json.decode(text, type=Line)
        large = {hashlib.sha256(field).digest(): field for field in line.large}
        yield unseal(line.id, line.prev, line.body, large)
