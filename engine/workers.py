"""Ready workers: a zygote kept alive, and a few spare workers kept forked, sandboxed and warm.

    async with open_workers(cache_dir=folder, data_budget_mb=512) as workers:
        worker = await workers.acquire()
        try:
            done = await worker.run(message, show)
        finally:
            await worker.aclose()

Spares are handed out first come, first served, and replaced after that. A zygote that dies takes its
workers with it (their runs raise WorkerDied); another one is started, a few times in a row at most.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import trio

from engine import idle
from engine.errors import PlatformRefused, Unavailable, WorkerFailed
from engine.isolate.sandbox.layers import Layers, Mode
from engine.placement import Placement
from engine.worker import DeathReason, OnConsole, Worker, WorkerDied
from engine.zygote import Zygote, start_zygote

__all__ = ["DeathReason", "OnConsole", "Worker", "WorkerDied", "Workers", "open_workers"]

ACQUIRE_SECONDS: Final = 30.0
READY_SECONDS: Final = 10.0
MAX_FORKING: Final = 4
"""Workers asked for or getting ready at once; a zygote forks one after the other anyway."""
MAX_RESTARTS: Final = 5
BACKOFF_SECONDS: Final = 0.2
"""Pauses before the restarts of a row: 0, 0.2, 0.6, 1.4, 3 s."""
STABLE_SECONDS: Final = 60.0
"""A zygote that lived this long died of something new: its predecessors no longer count."""

_log = logging.getLogger(__name__)


class Workers:
    """The pool. Made by ``open_workers``."""

    def __init__(
        self, workers: dict[int, Worker], start: Callable[[], Awaitable[Zygote]], spares: int
    ) -> None:
        self._workers = workers
        self._zygote: Zygote
        self._start = start
        self._starting = trio.Lock()
        self._spares = spares
        self._numbers = itertools.count(1)
        self._forking: set[int] = set()
        self.has_started = False
        """Whether there is, or was, a zygote."""
        self._up = False
        self._nursery: trio.Nursery | None = None
        # A worker, or why there is none for the one who waited longest. Never full: spares and
        # forking workers bound it.
        self._hand_out, self._handed_out = trio.open_memory_channel[Worker | Unavailable](
            spares + MAX_FORKING
        )

    @property
    def engine_id(self) -> str:
        """Names V8, its flags and the base image."""
        return self._zygote.engine_id

    @property
    def image_id(self) -> str:
        """Names the engine and the bytes of the base image."""
        return self._zygote.image_id

    @property
    def sandbox(self) -> Layers:
        """What confines the workers on this machine."""
        return self._zygote.sandbox

    @property
    def zygote_pid(self) -> int:
        """Process id of the current zygote, for diagnosis and measuring."""
        return self._zygote.pid

    @property
    def live(self) -> int:
        """Worker processes that exist, spares included."""
        return sum(worker.alive for worker in self._workers.values())

    async def start(self) -> None:
        """Start V8, unless that was done; before it, there is no ``engine_id`` and no worker.

        Raises PlatformRefused, WorkerFailed.
        """
        async with self._starting:
            if not self.has_started:
                self._zygote = await self._start()
                self.has_started = self._up = True
                if self._nursery is not None:
                    self._begin(self._nursery)

    async def acquire(self) -> Worker:
        """A worker that nobody has used; the caller must ``aclose`` it.

        Waits for a fork if no spare is ready, and for another zygote if there is none. Raises
        Unavailable when no worker can be started or the pool is closing.
        """
        with trio.move_on_after(ACQUIRE_SECONDS):
            while True:
                try:
                    worker = await self._next()
                except (trio.EndOfChannel, trio.ClosedResourceError):
                    raise Unavailable("the server is stopping") from None
                if isinstance(worker, Unavailable):
                    raise worker
                if worker.running() and self._up:
                    return worker
                # It died while it waited here, or is about to, with its zygote.
                await worker.aclose()
        raise Unavailable(f"no worker became ready within {ACQUIRE_SECONDS:.0f} s; try again later")

    async def _next(self) -> Worker | Unavailable:
        try:
            return self._handed_out.receive_nowait()
        except trio.WouldBlock:
            self._refill(for_caller=1)
            return await self._handed_out.receive()
        finally:
            self._refill()

    def _open(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        if self.has_started:
            self._begin(nursery)

    def _begin(self, nursery: trio.Nursery) -> None:
        nursery.start_soon(self._supervise)
        nursery.start_soon(idle.watch, self._workers.values)
        self._refill()

    def _refill(self, *, for_caller: int = 0) -> None:
        """Ask for as many workers as are missing."""
        if not self._up:
            return
        channel = self._handed_out.statistics()
        wanted = self._spares + for_caller + channel.tasks_waiting_receive - channel.current_buffer_used
        while len(self._forking) < min(wanted, MAX_FORKING):
            number = next(self._numbers)
            self._forking.add(number)
            self._zygote.fork(number)

    def _on_forked(self, worker: Worker) -> None:
        assert self._nursery is not None, "who forks was told so in there"
        self._nursery.start_soon(self._get_ready, worker)

    async def _get_ready(self, worker: Worker) -> None:
        problem = f"was not ready within {READY_SECONDS:.0f} s"
        with trio.move_on_after(READY_SECONDS):
            try:
                await worker.wait_ready()
            except WorkerDied as died:
                problem = died.message
            else:
                self._forking.discard(worker.number)
                self._hand_out.send_nowait(worker)
                return
        await worker.aclose()
        self._on_fork_failed(worker.number, problem)

    def _on_fork_failed(self, number: int, reason: str) -> None:
        """Tell one who waits, unless another worker is on its way; the next ``acquire`` tries again."""
        _log.warning("no worker %d: %s", number, reason)
        self._forking.discard(number)
        if self._up and self._handed_out.statistics().tasks_waiting_receive > len(self._forking):
            why = f"no worker could be started ({reason}): the server is short of processes, files or memory"
            self._hand_out.send_nowait(Unavailable(f"{why}; try again later"))
            self._refill()

    async def _supervise(self) -> None:
        """Serve the zygote, and its successors when it dies.

        Raises WorkerFailed after too many deaths in a row, and if V8 was changed.
        """
        deaths = 0
        while True:
            began = trio.current_time()
            reason = await self._serve()
            deaths = 1 if trio.current_time() - began > STABLE_SECONDS else deaths + 1
            _log.error("zygote %d %s; starting another", self._zygote.pid, reason)
            deaths = await self._replace(deaths)

    async def _serve(self) -> str:
        """Until the zygote is dead and its workers are. Returns why."""
        reason = "died"
        try:
            await self._zygote.serve(self._on_forked, self._on_fork_failed)
        except WorkerFailed as broken:
            reason = broken.message
        self._up = False
        await self._zygote.aclose()
        await self._drop_dead_spares()
        # Whoever was asked for and not forked never will be; the others fail where they get ready.
        self._forking.intersection_update(self._workers)
        return reason

    async def _replace(self, deaths: int) -> int:
        """Start another zygote; returns how many died in a row meanwhile."""
        while deaths <= MAX_RESTARTS:
            await trio.sleep(BACKOFF_SECONDS * (2 ** (deaths - 1) - 1))
            try:
                zygote = await self._start()
            except (WorkerFailed, PlatformRefused) as failed:
                # the platform was fit for the first one: something has killed a child of the self-test
                _log.error("no zygote: %s", failed.message)
                deaths += 1
                continue
            if zygote.engine_id != self._zygote.engine_id:
                await zygote.aclose()
                raise WorkerFailed("V8 or the program was changed on disk: restart the server")
            self._zygote, self._up = zygote, True
            self._refill()
            return deaths
        raise WorkerFailed(f"the zygote died {deaths} times in a row: see the log above")

    async def _drop_dead_spares(self) -> None:
        with contextlib.suppress(trio.WouldBlock):
            while True:
                spare = self._handed_out.receive_nowait()
                assert isinstance(spare, Worker), "only who waits is told of a failure"
                await spare.aclose()

    async def _aclose(self) -> None:
        """End every process and close every descriptor."""
        self._up = False
        self._hand_out.close()
        self._handed_out.close()
        if self.has_started:
            await self._zygote.aclose()
        for worker in list(self._workers.values()):
            await worker.aclose()


@asynccontextmanager
async def open_workers(
    *,
    cache_dir: Path | None,
    spares: int = 2,
    data_budget_mb: int,
    sandbox: Mode = "auto",
    placement: Placement | None = None,
    at_once: bool = True,
) -> AsyncIterator[Workers]:
    """A pool of workers; when it is left, no process and no descriptor of it remains.

    ``cache_dir`` keeps the base image (None: built anew at each start). ``spares`` workers are kept
    ready. ``data_budget_mb`` is the private writable memory of a worker beyond what it is forked
    with, in MiB: heap and buffers of an execution at its maximum, with a replay's headroom. ``sandbox``
    says which layers there must be, and ``placement`` where they run, by default where this process does.
    V8 starts ``at_once``, or when ``start`` is called.

    Raises PlatformRefused with the sentence of the self-test or of the sandbox, and WorkerFailed if
    the first zygote does not come up. As from any nursery, what is raised inside comes out in an
    ExceptionGroup; so does the WorkerFailed of a zygote that died too often.
    """
    processes: dict[int, Worker] = {}
    start = partial(
        start_zygote,
        processes,
        cache_dir=cache_dir,
        data_budget_mb=data_budget_mb,
        sandbox=sandbox,
        placement=placement,
    )
    workers = Workers(processes, start, spares)
    if at_once:
        await workers.start()
    try:
        async with trio.open_nursery() as nursery:
            workers._open(nursery)
            try:
                yield workers
            finally:
                nursery.cancel_scope.cancel()
    finally:
        await workers._aclose()
