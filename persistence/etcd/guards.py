"""What a transaction that appends to the log compares, and what it means if that does not hold. Pure.

A batch is put if the node is still a member and still has the sessions, and if nobody has used the
idempotency keys. Else the same transaction reads what there is instead.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence

from msgspec import Struct

from engine.errors import AppendConflict, EngineError, NodeFenced, NotOwner
from engine.events import Aborted, Executed
from persistence import changes
from persistence.appends import Append
from persistence.changes import Remembered
from persistence.etcd.fences import Fence, Fences
from persistence.etcd.requests import Compare, KeyValue, Operation, created, delete, get, put

KEYS, RUNNING = b"keys/", b"running/"
"""Below the prefix of the cluster: idempotency keys used lately, and executions that are not over."""


class Guard(Struct, frozen=True):
    """What one append needs."""

    append: Append
    own: tuple[tuple[str, Fence], ...]
    """Names of sessions, and what says that this node has them."""
    keys: tuple[bytes, ...]
    """Of idempotency keys."""
    over: tuple[bytes, ...]
    """Of executions that are over with it."""


class Guards:
    """Of one transaction; ``log_key`` is where its batch is put."""

    def __init__(self, node: Fence, guards: Sequence[Guard], log_key: bytes) -> None:
        self._node = node
        self._guards = guards
        self._log_key = log_key
        self._own = {fence.key: fence for guard in guards for _, fence in guard.own}
        self.keys = [key for guard in guards for key in guard.keys]

    def compare(self) -> list[Compare]:
        """What must hold."""
        return [
            created(self._node.key, self._node.revision),
            created(self._log_key, 0),
            *(created(fence.key, fence.revision) for fence in self._own.values()),
            *(created(key, 0) for key in self.keys),
        ]

    def success(self, value: bytes, keys_lease: int) -> list[Operation]:
        """What is written then."""
        return [
            put(self._log_key, value),
            *(put(key, self._log_key, keys_lease) for key in self.keys),
            *(delete(key) for guard in self._guards for key in guard.over),
        ]

    def failure(self) -> list[Operation]:
        """What is read if it does not."""
        found = (self._node.key, *self._own, *self.keys)
        return [get(key, keys_only=True) for key in found]

    def judge(self, found: Sequence[Sequence[KeyValue]]) -> dict[Append, EngineError]:
        """Why what did not hold did not, as ``failure`` has found it, for each append. Raises NodeFenced."""
        there = {item.key: item.create_revision for items in found for item in items}
        if there.get(self._node.key) != self._node.revision:
            raise not_a_member()
        refused: dict[Append, EngineError] = {}
        for guard in self._guards:
            lost = [name for name, fence in guard.own if there.get(fence.key) != fence.revision]
            if lost:
                refused[guard.append] = not_its_owner(lost[0])
            elif any(key in there for key in guard.keys):
                refused[guard.append] = _key_was_used(guard.append)
        return refused


def guard(db: sqlite3.Connection, prefix: bytes, append: Append, fences: Fences) -> Guard | EngineError:
    """What an append needs that was written in the open transaction; or why it may not be, NotOwner."""
    own: list[tuple[str, Fence]] = []
    for owner, name in sorted(set(_names(db, append))):
        fence = fences.of(owner, name)
        if fence is None:
            return not_its_owner(name)
        own.append((name, fence))
    executions = [record.event for record in append.records if isinstance(record.event, Executed | Aborted)]
    keys = [
        used_key(prefix, one.owner, one.idempotency_key)
        for one in executions
        if one.idempotency_key is not None
    ]
    over = [prefix + RUNNING + one.execution_id.encode() for one in executions]
    return Guard(append, tuple(own), tuple(keys), tuple(over))


def used_key(prefix: bytes, owner: str, idempotency_key: str) -> bytes:
    """The key that says that an owner has used an idempotency key."""
    return prefix + KEYS + hashlib.sha256(f"{owner}\0{idempotency_key}".encode()).hexdigest()[:32].encode()


def not_a_member() -> NodeFenced:
    """Of a node that no one writes for any more."""
    return NodeFenced("this node is not a member of its cluster now, and takes nothing: ask another node")


def not_its_owner(name: str) -> NotOwner:
    """Of a session that another node may have."""
    return NotOwner(f"this node does not have session {name} any more: ask again")


def _names(db: sqlite3.Connection, append: Append) -> Iterator[tuple[str, str]]:
    """Owner and name of each session that only the node that has it may change so."""
    if append.lineage is not None:
        yield append.lineage.row.owner, append.lineage.row.name
    sessions = {record.event.session for record in append.records}
    sessions |= {one.checkpoint.session for one in append.noted if isinstance(one, Remembered)}
    for session in sessions:
        row = changes.session_of(db, session)
        if row is not None:
            yield row.owner, row.name


def _key_was_used(append: Append) -> AppendConflict:
    event = append.records[0].event
    return AppendConflict(
        f"event {event.seq} cannot be appended to session {event.session}: "
        "the idempotency key was used before"
    )
