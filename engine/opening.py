"""A running engine: what there is to be one, put together; every actor, execution and worker lives inside."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from engine import looking
from engine.isolate.sandbox.layers import Mode
from engine.keptworkers import Isolation
from engine.limits import LimitPolicy
from engine.looking import LooksBack
from engine.nodes import Alone, Nodes
from engine.observer import Observer, Observers
from engine.placement import Placement, usable
from engine.supervisor import Stores, Supervisor
from engine.workers import open_workers

_MIB_PER_WORKER_BASE = 128
"""Private writable memory that a worker needs beside heap and buffers, in MiB."""


@asynccontextmanager
async def open_supervisor(
    *,
    stores: Stores | None,
    policy: LimitPolicy,
    cache_dir: Path | None,
    max_workers: int,
    spares: int = 2,
    max_executions: int = 10_000,
    idle_seconds: float = 600.0,
    restore_target_seconds: float = 0.5,
    max_recovery_seconds: float = 600.0,
    sandbox: Mode = "auto",
    max_store_bytes: int = 64 << 30,
    session_ttl_seconds: float = 604_800.0,
    placement: Placement | None = None,
    processors: int | None = None,
    observers: Sequence[Observer] = (),
    for_command: bool = False,
    isolation: Isolation = "process",
    nodes: Nodes | None = None,
) -> AsyncIterator[Supervisor]:
    """A running engine. ``stores`` None means stateless.

    ``max_workers`` bounds the worker processes that hold a session, ``spares`` are kept ready beside them;
    ``max_executions`` bounds what is queued and running; a session that was idle for ``idle_seconds`` gives
    its worker up. Checkpoints are made so that a recovery takes about ``restore_target_seconds``, and one
    that takes ``max_recovery_seconds`` is put off. ``sandbox`` says which layers must confine workers. When
    the stores take ``max_store_bytes`` only what makes room is still stored; sessions without a name that
    were not used for ``session_ttl_seconds`` are closed (0: never). Workers run where ``placement`` says, or
    where this process does; ``processors`` of them are shared out among sessions (by default, as many as
    there are). ``observers`` are told of every execution, change, checkpoint and recovery that is over; what
    they raise is only logged. ``for_command``: it works for one user who waits, on a store that others serve;
    V8 starts when it is needed, there is no upkeep, and looks at the past take as long as they need, on as
    many processors as there are.
    ``isolation`` says what each stateless execution has for itself, ``nodes`` which others there are.
    Leaving the context kills what still runs: ``drain`` first. Raises PlatformRefused or WorkerFailed at
    start.
    """
    budget = 2 * (policy.max_heap_mb + policy.default.offheap_mb) + _MIB_PER_WORKER_BASE
    async with (
        open_workers(
            cache_dir=cache_dir,
            spares=spares,
            data_budget_mb=budget,
            sandbox=sandbox,
            placement=placement,
            at_once=not for_command,
        ) as workers,
        trio.open_nursery() as nursery,
    ):
        processors = processors or usable(placement)
        looks_back = LooksBack(processors, processors, math.inf) if for_command else LooksBack()
        engine = Supervisor(
            nursery,
            workers,
            stores,
            policy,
            max_workers=max_workers,
            processors=processors,
            max_executions=max_executions,
            idle_seconds=idle_seconds,
            restore_target_seconds=restore_target_seconds,
            max_recovery_seconds=max_recovery_seconds,
            max_store_bytes=max_store_bytes,
            session_ttl_seconds=session_ttl_seconds,
            open_sessions={} if stores is None else await stores.log.open_sessions(),
            looks_back=looks_back,
            walks=looks_back if for_command else LooksBack(looking.MAX_WALKS),
            searches=looks_back if for_command else LooksBack(looking.MAX_SEARCHES),
            parses=looks_back if for_command else LooksBack(looking.MAX_PARSES),
            for_command=for_command,
            isolation=isolation,
            observers=Observers(observers),
            nodes=nodes or Alone(),
        )
        try:
            yield engine
        finally:
            if stores is not None:
                stores.log.leave()  # sessions wait for their last events
        nursery.cancel_scope.cancel()
