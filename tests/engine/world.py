"""An engine that lives in a thread of its own, for tests that are no coroutines; it can be ended in any manner."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import trio
from engines import Engine, StoreKind, buckets, opened, stored_blobs
from stored_blobs import StoredBlobs

T = TypeVar("T")
CALL_SECONDS = 60.0


class World:
    """An engine on the store in ``directory``, with a checkpoint after every event."""

    def __init__(self, directory: Path, cache_dir: Path, store: StoreKind) -> None:
        self._directory = directory
        self._cache_dir = cache_dir
        self._store = store
        self._up = threading.Event()
        self._over = False
        self._thread = threading.Thread(target=trio.run, args=(self._main,), daemon=True)
        self._thread.start()
        self._wait()

    def call(self, function: Callable[[Engine], Awaitable[T]]) -> T:
        """What ``function`` of the engine comes to."""

        async def bounded() -> T:
            with trio.fail_after(CALL_SECONDS):
                return await function(self._engine)

        return trio.from_thread.run(bounded, trio_token=self._token)

    def restart(self, *, drain: bool) -> None:
        """End the engine, in good order or in the middle of what it does, and open another one."""
        if drain:
            self.call(lambda engine: engine.supervisor.drain(10))
        self._up.clear()
        self._token.run_sync_soon(self._scope.cancel)
        self._wait()

    def close(self) -> None:
        """End it for good."""
        self._over = True
        self._token.run_sync_soon(self._scope.cancel)
        self._thread.join(CALL_SECONDS)
        buckets.pop(self._directory, None)

    def stored_blobs(self) -> StoredBlobs:
        """What somebody may harm."""
        return stored_blobs(self._directory, self._store)

    def _wait(self) -> None:
        assert self._up.wait(CALL_SECONDS), "the engine did not open"

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        while not self._over:
            with trio.CancelScope() as self._scope:
                async with opened(
                    self._directory,
                    self._cache_dir,
                    store=self._store,
                    max_workers=2,
                    restore_target_seconds=0.0,
                ) as self._engine:
                    self._up.set()
                    await trio.sleep_forever()
