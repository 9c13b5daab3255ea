"""The portable file of a session: its whole history, as another store can take it and anybody can read it.

JSON Lines, compressed with zstd as one frame. The first line is a ``Header``, the last one an ``End``, so
that a file that was cut off is noticed. Between them is a line for each event from event 0 on, those of the
sessions that it was forked from included: with the canonical bytes of its record, since to encode an event
of an older format anew could give it another id. Checkpoints are not in it: they only save time.

In a file that was redacted there are readable events in the place of records, and no ids: nothing in it can
be verified, and so it cannot be imported. An id is a hash of what was masked, by which it could be guessed.

Here is only the form of the lines. What they must say is checked by ``engine.importcheck``. Pure.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from backports import zstd
from msgspec import Meta, Struct

from engine.chain import INLINE_MAX, Record, event_id, unseal
from engine.errors import FileCorrupt, InvalidField, StoreCorrupt, TooLarge

FORMAT: Literal["mcp-v8 session"] = "mcp-v8 session"
VERSION: Literal[1] = 1
SUFFIX = ".jsonl.zst"
"""How files are called by default."""

MAX_LINE_BYTES = 64 << 20
"""A line of a file that is read: an event takes up to three times that in memory."""
MAX_HEADER_BYTES = 1 << 16
MAX_FIELDS = 64
"""More than any event has."""
MAX_BODY_BYTES = MAX_FIELDS * (INLINE_MAX + 64)
"""Of an event without its large fields."""
WINDOW_LOG = 23
"""Of what a decompressor keeps, 8 MiB: what zstd's levels up to 19 need."""
LEVEL = 3
_STEP = 1 << 18
"""Bytes that are decompressed at once."""

Name = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
"""An id in hex."""
T = TypeVar("T", bound=Struct)


class Header(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line."""

    format: Literal["mcp-v8 session"]
    version: Literal[1]
    redacted: bool
    session: str
    """Its name."""
    owner: str
    head: Name | None
    """Id of its last event; null in a redacted file."""
    events: int
    """How many there are in the file, one a line."""
    exported_at: datetime
    """Like the program's name it is only told."""
    exported_by: str


class Line(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event as it is in the log, its bytes in base64."""

    event: int
    """Its number."""
    type: str
    id: Name
    prev: Name
    body: bytes
    """Canonical encoding (``engine.chain``), large fields replaced by references."""
    large: Annotated[list[bytes], Meta(max_length=MAX_FIELDS)]
    """The encodings of the fields that were taken out."""


class RedactedLine(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An event to be read only."""

    event: int
    type: str
    fields: dict[str, Any]
    """All that it says, with what was masked."""


class End(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The last line."""

    end: bool
    head: Name | None
    """Id of the last event; null in a redacted file."""


class _Any(Struct):
    """What the first line of a file of any version has."""

    format: Literal["mcp-v8 session"]
    version: int


_encoder = msgspec.json.Encoder()


def line_of(record: Record) -> Line:
    """The line of a record."""
    tag = record.event.__struct_config__.tag
    assert isinstance(tag, str)
    return Line(
        event=record.event.seq,
        type=tag,
        id=record.id.hex(),
        prev=record.prev.hex(),
        body=record.body,
        large=list(record.large.values()),
    )


def record_of(line: Line) -> Record:
    """The record of a line. Raises FileCorrupt unless it hashes to its id and all in it belongs to it."""
    name, prev = bytes.fromhex(line.id), bytes.fromhex(line.prev)
    if len(line.body) > MAX_BODY_BYTES:
        raise FileCorrupt("it has a large field where small ones are")
    if event_id(prev, line.body) != name:
        raise FileCorrupt("the event does not hash to its id")
    large = {hashlib.sha256(field).digest(): field for field in line.large}
    try:
        record = unseal(name, prev, line.body, large)
    except StoreCorrupt as broken:
        raise FileCorrupt(broken.message) from broken
    event = record.event
    if (line.event, line.type) != (event.seq, event.__struct_config__.tag):
        raise FileCorrupt("the line and its event differ in number or type")
    if len(record.large) != len(line.large):
        raise FileCorrupt("it has a field that the event does not refer to")
    return record


def decode_header(text: bytes) -> Header:
    """The first line. Raises FileCorrupt, or InvalidField for a version that this program does not know."""
    if len(text) > MAX_HEADER_BYTES:
        raise FileCorrupt("its first line is longer than any that `mcp-v8 export` writes")
    try:
        found = msgspec.json.decode(text, type=_Any)
    except (msgspec.DecodeError, UnicodeDecodeError) as broken:
        raise FileCorrupt("it does not begin as `mcp-v8 export` begins a file") from broken
    if found.version != VERSION:
        raise InvalidField(
            f"the file has version {found.version}; this program reads version {VERSION}: run a newer mcp-v8",
            field="file",
        )
    header = _decode(text, Header)
    if not header.redacted and header.head is None:
        raise FileCorrupt("its first line names no head")
    return header


def decode_line(text: bytes) -> Line | End:
    """A line of a file that was not redacted. Raises FileCorrupt."""
    if text.count(b",") > 2 * MAX_FIELDS:  # a list of millions would keep other threads waiting
        raise FileCorrupt("it has more fields than any event")
    return _decode(text, End) if text.startswith(b'{"end"') else _decode(text, Line)


def _decode(text: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as broken:
        raise FileCorrupt(f"it cannot be read: {broken}") from broken


class Packer:
    """Compresses the lines of a file."""

    def __init__(self) -> None:
        self._zstd = zstd.ZstdCompressor(
            options={
                zstd.CompressionParameter.compression_level: LEVEL,
                zstd.CompressionParameter.checksum_flag: 1,
                zstd.CompressionParameter.window_log: WINDOW_LOG,
            }
        )

    def add(self, line: Header | Line | RedactedLine | End) -> bytes:
        """What can be written of the file now, maybe nothing."""
        return self._zstd.compress(_encoder.encode(line) + b"\n")

    def finish(self) -> bytes:
        """The rest."""
        return self._zstd.flush()


class Unpacker:
    """Decompresses a file into its lines: ``most`` bytes of them, and no more bytes of the file."""

    def __init__(self, most: int) -> None:
        self._zstd = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: WINDOW_LOG})
        self._most = most
        self._packed = 0
        self._unpacked = 0
        self._lines = 0
        self._rest: list[bytes] = []
        """What there is of the line that is not complete."""
        self._rest_size = 0

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The lines that are complete with the next ``data`` of the file. Raises FileCorrupt, TooLarge."""
        self._packed += len(data)
        if self._packed > self._most:
            raise self._too_large()
        if self._zstd.eof and data:
            raise FileCorrupt("something follows its end")
        while data or not (self._zstd.eof or self._zstd.needs_input):
            try:
                unpacked = self._zstd.decompress(data, max_length=_STEP)
            except zstd.ZstdError as broken:
                raise self._damaged(broken) from broken
            data = b""
            self._unpacked += len(unpacked)
            if self._unpacked > self._most:
                raise self._too_large()
            yield from self._split(unpacked)
        if self._zstd.unused_data:
            raise FileCorrupt("something follows its end")

    def finish(self) -> None:
        """The file is over. Raises FileCorrupt if it should not be."""
        if not self._zstd.eof:
            raise FileCorrupt("it is cut off" if self._packed else "it is empty")
        if self._rest:
            raise FileCorrupt("its last line has no end")

    def _split(self, unpacked: bytes) -> Iterator[bytes]:
        *ended, rest = unpacked.split(b"\n")
        for end in ended:
            line = b"".join([*self._rest, end])
            self._rest, self._rest_size = [], 0
            self._lines += 1
            yield line
        if rest:
            self._rest.append(rest)
            self._rest_size += len(rest)
            if self._rest_size > MAX_LINE_BYTES:
                raise TooLarge(
                    f"line {self._lines + 1} of the file has over {MAX_LINE_BYTES:,} bytes", field="file"
                )

    def _damaged(self, broken: zstd.ZstdError) -> FileCorrupt:
        if "too much memory" in str(broken):  # that is, for its window
            return FileCorrupt("it needs too large a window: compress it with zstd -19 or less")
        what = "it is damaged" if self._unpacked else "it is not compressed with zstd"
        return FileCorrupt(f"{what} ({broken})")

    def _too_large(self) -> TooLarge:
        return TooLarge(
            f"the file has over {self._most:,} bytes unpacked, which is the limit (--max-import-bytes)",
            field="file",
        )
