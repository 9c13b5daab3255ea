"""Sees to it that the idempotency keys of a history that is taken in are not used by another node meanwhile.

An append compares that nobody has used its key; of a history there are too many for one transaction. So they
are put before, as if they were used just then. What was used before that is in the index by then, which knows
whether that is the same execution.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice

import trio

from engine.chain import Record
from engine.errors import Conflict, StoreFailed
from engine.events import Aborted, Executed
from persistence.etcd.client import Etcd
from persistence.etcd.failures import EtcdError
from persistence.etcd.guards import used_key
from persistence.etcd.requests import created, delete, put

_log = logging.getLogger(__name__)

AT_ONCE = 60
"""In a transaction: etcd takes 128 keys."""
ATTEMPTS = 3
CATCH_UP_SECONDS = 10.0

_NOT_STORED = "the import was not stored"

Key = tuple[str, str]
"""An owner, and what it has used as an idempotency key."""


def keys_of(records: Iterable[Record]) -> list[Key]:
    """Those of the executions among records."""
    events = (record.event for record in records)
    return [
        (event.owner, event.idempotency_key)
        for event in events
        if isinstance(event, Executed | Aborted) and event.idempotency_key is not None
    ]


def unknown(db: sqlite3.Connection, keys: Sequence[Key]) -> list[Key]:
    """Those that were not used, as far as the index knows."""
    used = "SELECT 1 FROM events WHERE owner = ? AND idempotency_key = ?"
    return [key for key in keys if db.execute(used, key).fetchone() is None]


class Reservation:
    """Of the keys of one history. ``lease``: for how long they are there, at most."""

    def __init__(self, etcd: Etcd, prefix: bytes, lease: int) -> None:
        self._etcd = etcd
        self._prefix = prefix
        self._lease = lease
        self._put: list[tuple[int, list[bytes]]] = []
        """The keys that were put at each revision."""

    async def make(
        self,
        left: Callable[[], Awaitable[Sequence[Key]]],
        caught_up: Callable[[int], Awaitable[None]],
    ) -> None:
        """Let no other node use the keys that are ``left``, which tells those that the index does not know.

        Raises Conflict if another node uses one just now, StoreFailed.
        """
        for _ in range(ATTEMPTS):
            taken_at = 0
            keys = (used_key(self._prefix, *key) for key in await left())
            mine = {key for _, put_then in self._put for key in put_then}
            free = iter([key for key in keys if key not in mine])
            while some := [*islice(free, AT_ONCE)]:
                taken_at = max(taken_at, await self._reserve(some))
            if not taken_at:
                return
            with trio.move_on_after(CATCH_UP_SECONDS):
                await caught_up(taken_at)
        raise Conflict("an idempotency key of the history is used just now: import it some minutes later")

    async def give_up(self) -> None:
        """Others may use them: the history was not taken in."""
        for revision, keys in self._put:
            try:
                await self._etcd.transact(
                    [created(key, revision) for key in keys], [delete(key) for key in keys], again=True
                )
            except EtcdError as failed:  # they are gone after some time
                _log.warning("idempotency keys stay reserved for some minutes: %s", failed)

    async def _reserve(self, keys: list[bytes]) -> int:
        """Put keys; if others have put some of them, the revision at which they are there, else 0."""
        if not self._lease:
            raise StoreFailed(f"{_NOT_STORED}: etcd has granted no lease for its idempotency keys")
        try:
            answer = await self._etcd.transact(
                [created(key, 0) for key in keys], [put(key, b"", self._lease) for key in keys]
            )
        except EtcdError as failed:
            raise StoreFailed(f"{_NOT_STORED}: {failed}") from failed
        if not answer.succeeded:
            return answer.revision
        self._put.append((answer.revision, keys))
        return 0
