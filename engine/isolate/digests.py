"""The digests of V8's files: 55 MB, which take a processor a tenth of a second, so they are remembered.

They are in the cache folder, under a digest of each file's name, size and time of the last change (in whole
seconds, as in layers of an image). A record has its own digest in it: what is left of one that was not
written to its end says nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from engine.isolate import cache

KEPT: Final = 4
"""Records in the cache: several versions of V8 may be in use."""
_BYTES: Final = 32


def of(paths: Sequence[Path], folder: Path | None) -> list[bytes]:
    """The SHA-256 of each file. Raises OSError if one cannot be read."""
    states = [(str(path), state.st_size, int(state.st_mtime)) for path in paths for state in [path.stat()]]
    key = hashlib.sha256(msgspec.msgpack.encode(states)).digest()
    record = None if folder is None else folder / f"v8-{key.hex()[:32]}.digests"
    if record is not None:
        known = _read(record, key, len(paths))
        if known is not None:
            return known
    digests = [_digest(path) for path in paths]
    if record is not None:
        body = b"".join((key, *digests))
        cache.keep(record, body + hashlib.sha256(body).digest(), among="v8-*.digests", most=KEPT)
    return digests


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _read(record: Path, key: bytes, count: int) -> list[bytes] | None:
    try:
        data = record.read_bytes()
    except OSError:  # there is none
        return None
    body, end = data[:-_BYTES], data[-_BYTES:]
    if hashlib.sha256(body).digest() != end or len(body) != (count + 1) * _BYTES or body[:_BYTES] != key:
        return None
    return [body[at : at + _BYTES] for at in range(_BYTES, len(body), _BYTES)]
