"""A bucket in memory, whose clock and whose faults a test decides."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from datetime import UTC, datetime, timedelta

from persistence.s3.objects import Exists, Found, Missing


class Bucket:
    """``Objects``. ``before`` and ``after`` each call, they are told of the operation and its keys."""

    def __init__(self) -> None:
        self.stored: dict[str, tuple[bytes, datetime]] = {}
        self.calls: list[tuple[str, str]] = []
        """Operation and key, or the first of some."""
        self.slow_by = timedelta()
        """What the service's clock is behind that of this machine."""
        self.before: Callable[[str, Collection[str]], None] = lambda operation, keys: None
        self.after: Callable[[str, Collection[str]], None] = lambda operation, keys: None
        self._lock = threading.Lock()

    def put(self, key: str, data: bytes, *, new: bool = False) -> None:
        self._begin("put", [key])
        with self._lock:
            if new and key in self.stored:
                raise Exists(f"{key} is there")
            self.stored[key] = data, datetime.now(UTC) - self.slow_by
        self.after("put", [key])

    def get(self, key: str) -> bytes:
        self._begin("get", [key])
        with self._lock:
            found = self.stored.get(key)
        if found is None:
            raise Missing(f"{key} is not there")
        self.after("get", [key])
        return found[0]

    def find(self, start: str, *, after: str = "") -> Iterator[Found]:
        self._begin("find", [start])
        with self._lock:
            found = [
                Found(key, len(data), modified)
                for key, (data, modified) in sorted(self.stored.items())
                if key.startswith(start) and key > after
            ]
        yield from found
        self.after("find", [start])

    def delete(self, keys: Collection[str]) -> None:
        self._begin("delete", keys)
        with self._lock:
            for key in keys:
                self.stored.pop(key, None)
        self.after("delete", keys)

    def _begin(self, operation: str, keys: Collection[str]) -> None:
        self.calls.append((operation, min(keys)))
        self.before(operation, keys)

    def alter(self, key: str, data: bytes) -> None:
        """Somebody does, and the time stays as it was."""
        self.stored[key] = data, self.stored[key][1]

    def age(self, key: str, seconds: float) -> None:
        data, modified = self.stored[key]
        self.stored[key] = data, modified - timedelta(seconds=seconds)
