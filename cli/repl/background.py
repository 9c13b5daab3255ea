"""Trio in a thread beside the main one, which waits for keys there, and for signals.

readline and signals belong to the main thread, so what is asked of a session is asked in another one. The
main thread hands over work and waits for what it comes to; Ctrl-C ends the wait, not the work.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, Generic, TypeVar

import trio

from cli.target.failures import Failed, only

T = TypeVar("T")
V = TypeVar("V")

_START_SECONDS = 0.01
"""How often it is looked whether a thread that has just been started runs."""


class Task(Generic[T]):
    """Work that goes on in the background."""

    def __init__(self, token: trio.lowlevel.TrioToken) -> None:
        self.scope = trio.CancelScope()
        self.future: Future[T] = Future()
        self._token = token

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return self.future.done()

    def when_done(self, tell: Callable[[], object]) -> None:
        """Call it, in some thread, once the work is over."""
        self.future.add_done_callback(lambda _: tell())

    def result(self, seconds: float | None = None) -> T:
        """Wait for what it comes to. Raises what it raised, TimeoutError, Failed if the thread has ended."""
        return self.future.result(seconds)

    def cancel(self) -> None:
        """Have it end."""
        with suppress(trio.RunFinishedError):  # and it with that
            self._token.run_sync_soon(self.scope.cancel)


class Background(Generic[V]):
    """A thread with something open, the ``value``, as long as the context lasts."""

    def __init__(self, opened: Callable[[], AbstractAsyncContextManager[V]]) -> None:
        self._opened = opened
        self._ready: Future[V] = Future()
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None
        self._opening = trio.CancelScope()
        self._stop = trio.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._main, name="trio", daemon=True)

    def open(self) -> V:
        """Start the thread, and wait until it is open. Raises what opening it raised."""
        self._thread.start()
        return self._ready.result()

    def call(self, work: Callable[[], Awaitable[T]]) -> Task[T]:
        """Begin some work. Raises Failed if the thread has ended."""
        assert self._token is not None, "it is not open"
        task: Task[T] = Task(self._token)
        try:
            self._token.run_sync_soon(self._start, work, task)
        except trio.RunFinishedError:
            raise self._ended() from None
        return task

    def close(self, seconds: float | None = None) -> None:
        """End it, and wait for that, or for so long. Raises what went wrong in it, if anything did."""
        while self._token is None and self._thread.is_alive():
            self._thread.join(_START_SECONDS)
        if self._token is not None:
            with suppress(trio.RunFinishedError):
                self._token.run_sync_soon(self._end)
        self._thread.join(seconds)
        if self._failure is not None:
            raise self._failure

    def _main(self) -> None:
        try:
            trio.run(self._serve)
        except BaseException as raised:  # noqa: BLE001 (raised again in the main thread)
            failure = only(raised)
            if self._ready.done():
                self._failure = failure
            else:
                self._ready.set_exception(failure)

    async def _serve(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with self._opening:
            async with self._opened() as value, trio.open_nursery() as nursery:
                self._nursery = nursery
                self._ready.set_result(value)
                await self._stop.wait()
                nursery.cancel_scope.cancel()
        if not self._ready.done():
            self._ready.set_exception(self._ended())

    def _end(self) -> None:
        """What is open is closed in order; what is being opened is given up."""
        if self._ready.done():
            self._stop.set()
        else:
            self._opening.cancel()

    def _start(self, work: Callable[[], Awaitable[Any]], task: Task[Any]) -> None:
        assert self._nursery is not None
        try:
            self._nursery.start_soon(self._run, work, task)
        except RuntimeError:  # it is being closed
            task.future.set_exception(self._ended())

    async def _run(self, work: Callable[[], Awaitable[T]], task: Task[T]) -> None:
        try:
            with task.scope:
                task.future.set_result(await work())
        except Exception as raised:  # noqa: BLE001 (raised again where it is waited for)
            task.future.set_exception(only(raised))
        finally:
            if not task.done:
                task.future.set_exception(self._ended())

    def _ended(self) -> Failed:
        return Failed("it was given up, since this command is ending")
