"""Canonical encoding of events and the hash chain over them.

An event is encoded as MessagePack with its fields in the order of their definition. The encoding of
every top-level field that is longer than ``INLINE_MAX`` bytes is taken out and replaced by an
extension value (type 1) of its length (8 bytes, big-endian) and SHA-256, so that a record has the
same identity wherever the bytes of its large fields are kept. Then

    id(event) = SHA-256(b"mcp-v8/event/1\\0" + id(previous event) + record)

where a chain's first predecessor is 32 zero bytes, or, for a fork, the event it forked from.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from engine.errors import StoreCorrupt
from engine.events import FORMAT_VERSION, Event

INLINE_MAX = 1_024
GENESIS = bytes(32)
_DOMAIN = b"mcp-v8/event/1\0"
_REF = 1
_READ_VERSIONS = range(1, FORMAT_VERSION + 1)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder()


class Record(Struct, frozen=True, kw_only=True):
    """An event with its place in the chain, as a store keeps it."""

    event: Event
    id: bytes
    """32 bytes: the event's name, and the ``heap`` if it is a state event."""
    prev: bytes
    """32 bytes: id of the event before it."""
    body: bytes
    """Canonical encoding, large fields replaced by references."""
    large: dict[bytes, bytes]
    """SHA-256 to encoded bytes of the fields that were taken out."""


def event_id(prev: bytes, body: bytes) -> bytes:
    """The 32-byte identity of a record that follows ``prev``."""
    return hashlib.sha256(_DOMAIN + prev + body).digest()


def seal(prev: bytes, event: Event) -> Record:
    """Encode ``event`` as the successor of the event named ``prev``."""
    # Not msgspec.to_builtins: that would visit every console line before it is encoded.
    fields: dict[str, Any] = {"type": event.__struct_config__.tag}
    fields |= {name: getattr(event, name) for name in event.__struct_fields__}
    large: dict[bytes, bytes] = {}
    for name, value in fields.items():
        if isinstance(value, (str, bytes, tuple, dict, Struct)):
            encoded = _encoder.encode(value)
            if len(encoded) > INLINE_MAX:
                digest = hashlib.sha256(encoded).digest()
                large[digest] = encoded
                fields[name] = msgspec.msgpack.Ext(_REF, len(encoded).to_bytes(8, "big") + digest)
    body = _encoder.encode(fields)
    return Record(event=event, id=event_id(prev, body), prev=prev, body=body, large=large)


def unseal(id: bytes, prev: bytes, body: bytes, large: Mapping[bytes, bytes]) -> Record:
    """Verify and decode a stored record.

    Raises StoreCorrupt if the body does not hash to ``id``, a large field is missing or altered, the
    format version is newer than this program's, or the record is not an event.
    """
    if event_id(prev, body) != id:
        raise StoreCorrupt(f"event {id.hex()} does not hash to its name: the store was altered")
    used: dict[bytes, bytes] = {}
    try:
        fields = _decoder.decode(body)
        for name, value in fields.items():
            if isinstance(value, msgspec.msgpack.Ext):
                reference = bytes(value.data)
                length, digest = int.from_bytes(reference[:8], "big"), reference[8:]
                encoded = large.get(digest)
                if encoded is None or len(encoded) != length or hashlib.sha256(encoded).digest() != digest:
                    raise StoreCorrupt(f"field {name} of event {id.hex()} is missing or altered")
                used[digest] = encoded
                fields[name] = _decoder.decode(encoded)
        version = fields.get("v")
        if version not in _READ_VERSIONS:
            raise StoreCorrupt(
                f"event {id.hex()} has format version {version!r}; this program reads versions 1 to "
                f"{FORMAT_VERSION}: run a newer mcp-v8"
            )
        event = msgspec.convert(fields, Event, builtin_types=(bytes,))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError) as broken:
        raise StoreCorrupt(f"event {id.hex()} cannot be decoded: {broken}") from broken
    return Record(event=event, id=id, prev=prev, body=body, large=used)
