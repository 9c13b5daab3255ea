"""A bucket in memory in which somebody else ages and alters objects, and which a test hears of in time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

from s3_memory import MemoryObjects, Operation, utc_now


class Bucket(MemoryObjects):
    def __init__(self) -> None:
        super().__init__(lambda: utc_now() - self.slow_by)
        self.slow_by = timedelta()
        """What the service's clock is behind that of this machine."""
        self.after_call: Callable[[Operation, str], None] = lambda operation, key: None
        """Called in the thread of each call once it has taken effect, before it is answered."""

    @contextmanager
    def _call(self, operation: Operation, key: str) -> Iterator[None]:
        with super()._call(operation, key):
            yield
        self.after_call(operation, key)

    def alter(self, key: str, data: bytes) -> None:
        """The time stays as it was."""
        self.stored[key] = data, self.stored[key][1]

    def age(self, key: str, seconds: float) -> None:
        """It was put so much earlier."""
        data, modified = self.stored[key]
        self.stored[key] = data, modified - timedelta(seconds=seconds)
