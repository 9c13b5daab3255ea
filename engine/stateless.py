"""Executions without a session: a worker or a context each."""

from __future__ import annotations

import logging

import trio

from engine import outcomes
from engine.attempt import conclude, prepare, run
from engine.commands import Execute
from engine.errors import Elsewhere, EngineError, Unavailable
from engine.execution import Execution, Submission
from engine.isolate.wire import Done
from engine.keptworkers import KeptWorkers
from engine.limits import LimitPolicy
from engine.nodes import Nodes
from engine.outcomes import Abort
from engine.places import Places
from engine.scheduler import Scheduler
from engine.workers import Workers

_log = logging.getLogger(__name__)

_SEQ = 1  # the code is called exec-1.js, as in a new session


class StatelessRuns:
    """Those of one engine, each in a worker that holds nothing of others.

    With ``kept`` a worker runs further executions of the same owner, each in a context of its own.
    """

    def __init__(
        self,
        nursery: trio.Nursery,
        workers: Workers,
        places: Places,
        kept: KeptWorkers | None,
        scheduler: Scheduler,
        policy: LimitPolicy,
        nodes: Nodes,
    ) -> None:
        self._nursery = nursery
        self._workers = workers
        self._places = places
        self._kept = kept
        self._scheduler = scheduler
        self._policy = policy
        self._nodes = nodes

    def submit(self, submission: Submission, execution: Execution, *, here: bool) -> None:
        """Let it run, unless ``here`` is false and another node shall have it."""
        try:
            if not here:
                self._nodes.place(submission)
        except Elsewhere:
            self._nodes.forward(Execute(submission, execution), submission.owner, None)
        else:
            self._nursery.start_soon(self._run, submission, execution)

    async def _run(self, submission: Submission, execution: Execution) -> None:
        try:
            await self._execute(submission, execution)
        except EngineError as error:
            execution.fail(error)
        except Exception:  # noqa: BLE001 - one execution's bug must not end the server
            _log.exception("execution %s failed inside the engine", execution.id)
            execution.fail(EngineError("the engine failed: what was logged then has the details"))
        finally:
            if not execution.done:
                execution.fail(Unavailable("the server stopped before the execution was over"))

    async def _execute(self, submission: Submission, execution: Execution) -> None:
        """Run and finish it. Raises Unavailable."""
        worker = None
        execution.passed("queued_us")
        with execution.cancellable():
            worker = await (self._kept or self._places).take(submission.owner)
        execution.passed("restored_us")
        attempt = prepare(execution, submission, self._policy, self._workers.engine_id, _SEQ)
        result: Done | Abort = Abort("cancelled", 0)
        if worker is not None:
            try:
                result = await run(worker, attempt, execution, self._scheduler, execution.id)
                execution.passed("ran_us")
            finally:
                if self._kept is not None and isinstance(result, Done):
                    self._kept.keep(worker)
                else:
                    self._places.give_back(worker)
        event = conclude(attempt, "", result, execution.console)
        execution.finish(outcomes.report(event, session=None, heap=None))
