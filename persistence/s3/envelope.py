"""The outermost form of what is kept in a bucket, beside blobs:

what it is, 7 bytes of ASCII, and the version of its form, 1 byte
SHA-256 of the body, 32 bytes
the body, compressed with Zstandard
"""

from __future__ import annotations

import hashlib

from backports import zstd

from engine.errors import StoreCorrupt, StoreError

MAX_BODY_BYTES = 1 << 30
"""What a body may take in memory."""
_KIND_BYTES = 7
_HEADER_BYTES = _KIND_BYTES + 1 + 32
_LEVEL = 3


def digest(body: bytes) -> bytes:
    """What names a body: 32 bytes."""
    return hashlib.sha256(body).digest()


def seal(kind: bytes, version: int, body: bytes) -> bytes:
    """The object of a body."""
    return kind + bytes([version]) + digest(body) + zstd.compress(body, _LEVEL)


def unseal(kind: bytes, version: int, data: bytes, name: str) -> bytes:
    """The body in an object, whose form is of that version at most.

    Raises StoreCorrupt if it is no such object or was altered, StoreError if a newer mcp-v8 wrote it; both
    call it by its ``name``.
    """
    if len(data) < _HEADER_BYTES or not data.startswith(kind):
        raise StoreCorrupt(f"{name} is not what should be there, but something else")
    if data[_KIND_BYTES] > version:
        raise StoreError(
            f"{name} has format {data[_KIND_BYTES]}; this program knows format {version}: "
            "run the newer mcp-v8 that wrote it"
        )
    try:
        body = _decompressed(data[_HEADER_BYTES:])
    except zstd.ZstdError as broken:
        raise StoreCorrupt(f"{name} cannot be decompressed: it was altered") from broken
    if digest(body) != data[_KIND_BYTES + 1 : _HEADER_BYTES]:
        raise StoreCorrupt(f"{name} was altered: it does not hash to what it says")
    return body


def _decompressed(data: bytes) -> bytes:
    decompressor = zstd.ZstdDecompressor()
    body = decompressor.decompress(data, MAX_BODY_BYTES)
    if not decompressor.eof or decompressor.unused_data:
        raise zstd.ZstdError("it does not end where it should")
    return body
