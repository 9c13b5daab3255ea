"""``Objects`` in memory, whose calls fail as a test has planned it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal

from persistence.s3.objects import Exists, Found, Missing, Refused, Unanswered

Operation = Literal["put", "get", "find", "delete"]
Fault = Literal["refused", "before", "after"]
"""Refused; or Unanswered, before the call took effect, or after. A read has none: to it they are the same."""


def utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryObjects:
    """``Objects`` in memory. Safe for many threads; each call takes effect at one moment."""

    def __init__(self, clock: Callable[[], datetime] = utc_now) -> None:
        self.stored: dict[str, tuple[bytes, datetime]] = {}
        """What is there: bytes and when they were put, by key. A test may change it."""
        self.calls: list[tuple[Operation, str]] = []
        """All so far, with the key, the start of keys, or the keys with blanks between them."""
        self.before_call: Callable[[Operation, str], None] = lambda operation, key: None
        """Called in the thread of each call before it does anything: to wait in, or to look."""
        self._clock = clock
        self._lock = threading.RLock()
        self._planned: dict[Operation, deque[Fault | None]] = {}

    def plan(self, operation: Operation, *faults: Fault | None) -> None:
        """What the next calls of this kind come to, after those that are planned already; None: no fault."""
        with self._lock:
            self._planned.setdefault(operation, deque()).extend(faults)

    @property
    def planned(self) -> int:
        """How many faults have not come yet: 0 at the end of a test that had them all."""
        return sum(sum(fault is not None for fault in faults) for faults in self._planned.values())

    def put(self, key: str, data: bytes, *, new: bool = False) -> None:
        with self._call("put", key):
            if new and key in self.stored:
                raise Exists(f"there is an object {key!r} already")
            self.stored[key] = (bytes(data), self._clock())

    def get(self, key: str) -> bytes:
        with self._call("get", key):
            if key not in self.stored:
                raise Missing(f"there is no object {key!r}")
            return self.stored[key][0]

    def find(self, start: str, *, after: str = "") -> Iterator[Found]:
        with self._call("find", start):
            found = [
                Found(key, len(data), modified)
                for key, (data, modified) in sorted(self.stored.items(), key=lambda one: one[0].encode())
                if key.startswith(start) and key > after
            ]
        yield from found

    def delete(self, keys: Collection[str]) -> None:
        with self._call("delete", " ".join(keys)):
            for key in keys:
                self.stored.pop(key, None)

    @contextmanager
    def _call(self, operation: Operation, key: str) -> Iterator[None]:
        """Around what takes effect; the fault that is planned for it."""
        self.before_call(operation, key)
        with self._lock:
            self.calls.append((operation, key))
            faults = self._planned.get(operation)
            fault = faults.popleft() if faults else None
            if fault == "refused":
                raise Refused(f"{operation} of {key!r} was refused, as planned")
            if fault == "before":
                raise Unanswered(f"{operation} of {key!r} had no answer, as planned")
            yield
            if fault == "after":
                raise Unanswered(f"{operation} of {key!r} took effect and had no answer, as planned")
