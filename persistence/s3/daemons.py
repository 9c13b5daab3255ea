"""Threads that the end of the process does not wait for, as it does for those of Python's own executors.

What they do is to ask a service that may be silent for long: once nobody wants the answer, nothing is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, TypeVar

import outcome
import trio

T = TypeVar("T")


class Daemons(Executor):
    """At most ``count`` of them at once: ``submit`` waits until one of these is free."""

    def __init__(self, count: int, name: str) -> None:
        self._free = threading.Semaphore(count)
        self._name = name
        self._is_over = False

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """See ``Executor``. Raises RuntimeError after ``shutdown``, or where there are no more threads."""
        future: Future[T] = Future()

        def deliver(result: outcome.Outcome[T]) -> None:
            self._free.release()
            if isinstance(result, outcome.Error):
                future.set_exception(result.error)
            else:
                future.set_result(result.unwrap())

        self._free.acquire()
        if self._is_over:
            self._free.release()
            raise RuntimeError("nothing more is begun")
        future.set_running_or_notify_cancel()
        try:
            trio.lowlevel.start_thread_soon(lambda: fn(*args, **kwargs), deliver, self._name)
        except RuntimeError:
            self._free.release()
            raise
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = True) -> None:  # noqa: ARG002
        """Begin nothing more. What has begun goes on, and nobody waits for it."""
        self._is_over = True
