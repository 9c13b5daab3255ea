"""Records of the log: what a store holds, whoever wrote it."""

from __future__ import annotations

import hashlib
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from engine import chain, session
from engine.errors import StoreCorrupt
from engine.events import FORMAT_VERSION, Event
from fuzz.data import Data
from fuzz.shapes import packed, value

_PREV: Final = b"p" * 32
_KNOWN: Final = {
    "v": FORMAT_VERSION,
    "session": "s1",
    "seq": 1,
    "at": 1_700_000_000_000_000,
    "accepted_at": 1_700_000_000_000_000,
    "duration_us": 1_000,
    "seed": b"s" * 16,
    "digest": b"d" * 32,
}


def records(raw: bytes) -> None:
    """Bytes that hash to their name are an event, which can be recorded again, or the store is corrupt."""
    data = Data(raw)
    made = value(data, Event, _KNOWN)
    large: dict[bytes, bytes] = {}
    if isinstance(made, dict):
        for name in list(made):
            if data.rarely():
                made[name] = _taken_out(data, made[name], large)
    body = packed(data, made) if data.byte() % 8 else data.octets()
    try:
        record = chain.unseal(chain.event_id(_PREV, body), _PREV, body, large)
    except StoreCorrupt:
        return
    again = chain.seal(_PREV, record.event)
    assert chain.unseal(again.id, _PREV, again.body, again.large).event == record.event


def events(raw: bytes) -> None:
    """An event is read as it was written, found altered if a bit of it is, and told as JSON."""
    data = Data(raw)
    try:
        event: Event = msgspec.convert(value(data, Event, _KNOWN), Event, builtin_types=(bytes,))
        record = chain.seal(_PREV, replace(event, v=FORMAT_VERSION))
    except (msgspec.ValidationError, OverflowError, UnicodeEncodeError, RecursionError):
        return
    assert chain.unseal(record.id, _PREV, record.body, record.large) == record
    altered = bytearray(record.body)
    altered[data.below(len(altered))] ^= 1 << data.byte() % 8
    _refuse(record, bytes(altered), record.large)
    for digest, encoded in record.large.items():
        _refuse(record, record.body, {**record.large, digest: encoded[:-1] + bytes([encoded[-1] ^ 1])})
        _refuse(record, record.body, {name: kept for name, kept in record.large.items() if name != digest})
    position = None
    for following in (record, record):
        try:
            position = session.apply(position, following)
        except StoreCorrupt:
            break


def _refuse(record: chain.Record, body: bytes, large: dict[bytes, bytes]) -> None:
    try:
        chain.unseal(record.id, _PREV, body, large)
    except StoreCorrupt:
        return
    raise AssertionError("an altered record was read")


def _taken_out(data: Data, field: Any, large: dict[bytes, bytes]) -> msgspec.msgpack.Ext:
    """A reference to the field, mostly a right one."""
    encoded = packed(data, field)
    digest = hashlib.sha256(encoded).digest()
    if not data.rarely():
        large[digest] = encoded
    reference = len(encoded).to_bytes(8, "big") + digest
    return msgspec.msgpack.Ext(
        data.choose((1, 1, 1, 2, -1)), reference[: data.choose((40, 40, 40, 39, 8, 0))]
    )
