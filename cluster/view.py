"""What a node sees of its cluster in etcd: the members, and who has which session. Pure but for who waits."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from typing import Generic, TypeVar

import msgspec
import trio
from msgspec import Struct

from cluster.keys import Keys
from cluster.records import Member, Owned, Running
from persistence.etcd.requests import Event, KeyValue

_log = logging.getLogger(__name__)

T = TypeVar("T", bound=Struct)

FREED_SECONDS = 1.0
"""So long it is remembered that a session was given up."""


class Seen(Struct, Generic[T], frozen=True):
    """What a key says."""

    value: T
    created: int
    """Revision at which the key came to be: the token of whoever made it."""
    at: float
    """When it was seen, in Trio's time."""


class View:
    """Follows the keys of a cluster, as of ``revision``."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self.revision = 0
        self.members: dict[str, Member] = {}
        """By id."""
        self.heard: dict[str, float] = {}
        """When each was last heard of, in Trio's time."""
        self.owned: dict[bytes, Seen[Owned]] = {}
        """By key."""
        self._freed: dict[bytes, tuple[float, str]] = {}
        """When sessions were given up, and by which nodes that are there; those of a moment ago."""
        self.running: dict[bytes, Seen[Running]] = {}
        """By key."""
        self.leader: str | None = None
        self.format = 0
        """In which the nodes write; 0 while it is not known."""
        self.changed = trio.Event()
        """Set, and replaced, whenever there is something new."""

    def member(self, node: str) -> Member | None:
        """A node, if it is one of the members."""
        return self.members.get(node)

    def freed_at(self, key: bytes, here: str) -> float:
        """When a node that is there, other than ``here``, gave up a session that none has; in Trio's time."""
        at, node = self._freed.get(key, (-math.inf, ""))
        return -math.inf if node == here else at

    def reset(self, items: Iterable[KeyValue], revision: int) -> None:
        """All there is at a revision."""
        self.members.clear()
        self.owned.clear()
        self.running.clear()
        self.leader = None
        for item in items:
            self._put(item)
        self._passed(revision)

    def apply(self, events: Iterable[Event], revision: int) -> None:
        """What happened at a revision."""
        for event in events:
            if event.kind == "put":
                self._put(event.item)
            else:
                self._delete(event.item.key)
        self._passed(revision)

    async def reached(self, revision: int) -> None:
        """Until all is seen that happened up to that revision."""
        while self.revision < revision:
            await self.changed.wait()

    def _passed(self, revision: int) -> None:
        self.revision = revision
        changed, self.changed = self.changed, trio.Event()
        changed.set()

    def _put(self, item: KeyValue) -> None:
        key, keys = item.key, self._keys
        if key == keys.leader:
            self.leader = item.value.decode(errors="replace")
        elif key == keys.format and item.value.isdigit():
            self.format = int(item.value)
        elif key.startswith(keys.nodes):
            if (member := _read(item, Member)) is not None:
                self.members[member.value.node] = member.value
                self.heard[member.value.node] = member.at
        elif key.startswith(keys.owned):
            if (owned := _read(item, Owned)) is not None:
                self.owned[key] = owned
                self._freed.pop(key, None)
        elif key.startswith(keys.running) and (running := _read(item, Running)) is not None:
            self.running[key] = running

    def _delete(self, key: bytes) -> None:
        keys = self._keys
        if key == keys.leader:
            self.leader = None
        elif key.startswith(keys.nodes):
            self.members.pop(key[len(keys.nodes) :].decode(), None)
        else:
            freed = self.owned.pop(key, None)
            if freed is not None and freed.value.node in self.members:
                self._free(key, freed.value.node)
            self.running.pop(key, None)

    def _free(self, key: bytes, node: str) -> None:
        now = trio.current_time()
        while self._freed and next(iter(self._freed.values()))[0] < now - FREED_SECONDS:
            del self._freed[next(iter(self._freed))]
        self._freed[key] = now, node


def _read(item: KeyValue, kind: type[T]) -> Seen[T] | None:
    try:
        value = msgspec.json.decode(item.value, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        _log.error("%s in etcd is not what a node writes there, and is ignored: %s", item.key, wrong)
        return None
    return Seen(value, item.create_revision, trio.current_time())
