"""Bodies of requests to etcd's JSON gateway, and of its answers. Pure.

Keys and values are base64 there; numbers of 64 bits are strings in answers; what is zero, false or empty is
left out. https://etcd.io/docs/v3.5/dev-guide/api_grpc_gateway/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NewType, TypeVar

import msgspec
from msgspec import Struct

Compare = NewType("Compare", dict[str, object])
"""A condition of a transaction."""
Operation = NewType("Operation", dict[str, object])
"""What a transaction does if its conditions hold, or if one does not."""


class KeyValue(Struct, frozen=True):
    """A key and what it holds, as of some revision."""

    key: bytes
    value: bytes = b""
    """Empty too where only keys were asked for, and of a key that was deleted."""
    create_revision: int = 0
    mod_revision: int = 0
    lease: int = 0
    """0: it stays until it is deleted."""


class Answer(Struct, frozen=True):
    """What a transaction came to."""

    revision: int
    """Of the store after it; its own if it wrote anything."""
    succeeded: bool
    found: tuple[tuple[KeyValue, ...], ...]
    """What its ranges found, in their order."""


class Found(Struct, frozen=True):
    """What a range found."""

    revision: int
    """Of the store that was read."""
    items: tuple[KeyValue, ...]
    more: bool
    """There are others, beyond the limit."""


class Event(Struct, frozen=True):
    """What happened to a key."""

    kind: Literal["put", "delete"]
    item: KeyValue
    """Of a key that was deleted: the key, and the revision of that."""


class Changes(Struct, frozen=True):
    """All that one revision changed below the prefix that is watched."""

    revision: int
    events: tuple[Event, ...]


class Status(Struct, frozen=True):
    """What a member says of itself."""

    version: str
    member: int
    leader: int
    """Member; 0: it knows none."""
    db_size: int
    """Bytes of its file."""
    db_in_use: int
    """Bytes of them that hold something: the rest is free again after defragment."""
    errors: tuple[str, ...]
    """Such as ``memberID:… alarm:NOSPACE``."""

    @property
    def is_leader(self) -> bool:
        """Whether it leads the others."""
        return self.leader == self.member


def created(key: bytes, revision: int) -> Compare:
    """The key exists since that revision; 0: it does not exist."""
    return Compare({"key": key, "target": "CREATE", "result": "EQUAL", "create_revision": str(revision)})


def put(key: bytes, value: bytes, lease: int = 0) -> Operation:
    """Write a key; it goes with its lease."""
    body = {"key": key, "value": value}
    return Operation({"request_put": {**body, "lease": str(lease)} if lease else body})


def get(
    key: bytes,
    end: bytes | None = None,
    *,
    limit: int = 0,
    keys_only: bool = False,
    oldest_first: bool = False,
) -> Operation:
    """Read a key, or those from it up to ``end`` without that. See ``range_body``."""
    return Operation(
        {"request_range": range_body(key, end, limit=limit, keys_only=keys_only, oldest_first=oldest_first)}
    )


def delete(key: bytes, end: bytes | None = None) -> Operation:
    """Delete a key, or those from it up to ``end`` without that; none there is no fault."""
    return Operation({"request_delete_range": _span(key, end)})


def prefix_end(prefix: bytes) -> bytes:
    """The first key after all that begin so: where the range of a prefix ends."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1]) if kept else b"\0"


def range_body(
    key: bytes,
    end: bytes | None,
    *,
    limit: int = 0,
    keys_only: bool = False,
    oldest_first: bool = False,
    revision: int = 0,
) -> dict[str, object]:
    """Keys ascending, or by creation; ``limit`` at most (0: all); as of now (0) or then."""
    body: dict[str, object] = {**_span(key, end), "limit": str(limit), "revision": str(revision)}
    if oldest_first:
        body |= {"sort_order": "ASCEND", "sort_target": "CREATE"}
    return body | {"keys_only": True} if keys_only else body


def transaction_body(
    compare: Sequence[Compare], success: Sequence[Operation], failure: Sequence[Operation]
) -> dict[str, object]:
    """All of ``success`` if all of ``compare`` hold, else all of ``failure``; at most 128 operations each."""
    return {"compare": list(compare), "success": list(success), "failure": list(failure)}


def watch_body(prefix: bytes, start_revision: int) -> dict[str, object]:
    """All that happens below a prefix from that revision on; many events come in several messages."""
    body = _span(prefix, prefix_end(prefix)) | {"start_revision": str(start_revision), "fragment": True}
    return {"create_request": body}


def encoded(body: dict[str, object]) -> bytes:
    """What is sent."""
    return msgspec.json.encode(body)


T = TypeVar("T")


def decoded(data: bytes, kind: type[T]) -> T:
    """An answer, of one of the types below. Raises msgspec.ValidationError, DecodeError: it is none."""
    return msgspec.json.decode(data, type=kind, strict=False)


class Header(Struct, frozen=True):
    """Of every answer."""

    revision: int = 0
    member_id: int = 0


class RangeAnswer(Struct, frozen=True):
    """To a range, by itself or in a transaction."""

    header: Header
    kvs: tuple[KeyValue, ...] = ()
    more: bool = False

    def found(self) -> Found:
        """What it found."""
        return Found(self.header.revision, self.kvs, self.more)


class _Response(Struct, frozen=True):
    response_range: RangeAnswer | None = None


class TransactionAnswer(Struct, frozen=True):
    """To a transaction."""

    header: Header
    succeeded: bool = False
    responses: tuple[_Response, ...] = ()

    def answer(self) -> Answer:
        """What it came to."""
        ranges = (one.response_range for one in self.responses)
        return Answer(
            self.header.revision, self.succeeded, tuple(one.kvs for one in ranges if one is not None)
        )


class GrantAnswer(Struct, frozen=True, rename={"id": "ID"}):
    """To the wish for a lease."""

    id: int


class _KeptAlive(Struct, frozen=True, rename={"ttl": "TTL"}):
    ttl: int = 0


class KeepAliveAnswer(Struct, frozen=True):
    """To the wish to prolong a lease: how many seconds it has; 0: it is gone."""

    result: _KeptAlive


class StatusAnswer(Struct, frozen=True, rename={"db_size": "dbSize", "db_in_use": "dbSizeInUse"}):
    """Of a member."""

    header: Header
    version: str
    leader: int = 0
    db_size: int = 0
    db_in_use: int = 0
    errors: tuple[str, ...] = ()

    def status(self) -> Status:
        """What it says of itself."""
        return Status(
            self.version, self.header.member_id, self.leader, self.db_size, self.db_in_use, self.errors
        )


class _Alarm(Struct, frozen=True, rename={"member": "memberID"}):
    member: int
    alarm: str = "NONE"


class AlarmsAnswer(Struct, frozen=True):
    """All alarms of all members."""

    alarms: tuple[_Alarm, ...] = ()


class TokenAnswer(Struct, frozen=True):
    """To a user's password."""

    token: str


class Empty(Struct, frozen=True):
    """An answer of which nothing is wanted."""


class _WireEvent(Struct, frozen=True):
    kv: KeyValue
    type: Literal["PUT", "DELETE"] = "PUT"

    def event(self) -> Event:
        return Event("put" if self.type == "PUT" else "delete", self.kv)


class WatchMessage(Struct, frozen=True):
    """A message of a watch."""

    canceled: bool = False
    cancel_reason: str = ""
    compact_revision: int = 0
    fragment: bool = False
    """More of the same message follows, perhaps of the same revision."""
    events: tuple[_WireEvent, ...] = ()


class ErrorAnswer(Struct, frozen=True):
    """Why something was refused: gRPC's code and a text. ``grpc_code``: in a stream of older gateways."""

    message: str
    code: int = 0
    grpc_code: int = 0


class WatchLine(Struct, frozen=True):
    """A line of a watch: a message, or what ends it."""

    result: WatchMessage | None = None
    error: ErrorAnswer | None = None


def _span(key: bytes, end: bytes | None) -> dict[str, object]:
    return {"key": key} if end is None else {"key": key, "range_end": end}
