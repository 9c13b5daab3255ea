"""What of the log is in etcd, read as it was at one revision, in the order in which it became durable.

Each writer's batches are in the order of their keys; those of several are merged by the revisions that put
them. So as much is in memory as a page of each writer, however long the log is.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from persistence.etcd import batches
from persistence.etcd.client import Etcd
from persistence.etcd.requests import KeyValue, prefix_end

PAGE = 16
"""Batches of a writer that are read at once."""


class _Column:
    """One writer's batches."""

    def __init__(self, etcd: Etcd, first: bytes, end: bytes, revision: int) -> None:
        self._etcd = etcd
        self._next = first
        self._end = end
        self._revision = revision
        self._page: list[KeyValue] = []
        self._more = True

    async def first(self) -> KeyValue | None:
        """The first that was not taken; None at the end."""
        if not self._page and self._more:
            found = await self._etcd.get(self._next, self._end, limit=PAGE, revision=self._revision)
            self._page, self._more = [*reversed(found.items)], found.more
            if found.items:
                self._next = found.items[-1].key + b"\0"
        return self._page[-1] if self._page else None

    def take(self) -> KeyValue:
        """The first, which is not it any more."""
        return self._page.pop()


async def writers(etcd: Etcd, prefix: bytes, revision: int) -> list[str]:
    """Those that had batches in etcd at that revision. Raises EtcdError."""
    folder = prefix + batches.FOLDER
    after, end = folder, prefix_end(folder)
    names: list[str] = []
    while (found := await etcd.get(after, end, limit=1, keys_only=True, revision=revision)).items:
        name, _ = batches.place(prefix, found.items[0].key)
        names.append(name)
        after = prefix_end(folder + name.encode() + b"/")
    return names


async def read(etcd: Etcd, prefix: bytes, revision: int) -> AsyncIterator[KeyValue]:
    """All batches as they were at that revision, those first that were put first.

    Raises StoreCorrupt for a key that is none; EtcdError, Compacted if etcd has forgotten that revision.
    """
    columns = []
    for name in await writers(etcd, prefix, revision):
        start = prefix + batches.FOLDER + name.encode() + b"/"
        columns.append(_Column(etcd, start, prefix_end(start), revision))
    while columns:
        heads = [(await column.first(), column) for column in columns]
        columns = [column for head, column in heads if head is not None]
        if not columns:
            return
        _, earliest = min(
            ((head.create_revision, column) for head, column in heads if head is not None),
            key=lambda one: one[0],
        )
        yield earliest.take()
