"""What this node does for others: runs, changes and tells, as they ask in their clients' place."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec
import trio

from cluster import messages
from cluster.messages import (
    ASK,
    CANCEL,
    DESCRIBE,
    EXECUTE,
    FOLLOW,
    NOTE,
    UNDER_WAY,
    Held,
    Moved,
    Over,
    Printed,
    Taken,
    ToAsk,
    ToDescribe,
    ToExecute,
    ToFollow,
    ToList,
    ToNote,
)
from cluster.peers import Call
from engine.catalog import SessionInfo
from engine.commands import Request
from engine.errors import NotFound
from engine.execution import Execution, Submission

Handler = Callable[[Call], Awaitable[None]]

_execute = msgspec.msgpack.Decoder(ToExecute)
_ask = msgspec.msgpack.Decoder(ToAsk)
_follow = msgspec.msgpack.Decoder(ToFollow)
_note = msgspec.msgpack.Decoder(ToNote)
_describe = msgspec.msgpack.Decoder(ToDescribe)
_list = msgspec.msgpack.Decoder(ToList)


class Engine(Protocol):
    """The engine of this node."""

    async def run_here(self, submission: Submission, execution_id: str, accepted_at: int) -> Execution:
        """Accept what another node accepted. Raises Elsewhere, and what accepting does."""
        ...

    async def do_here(self, asked: ToAsk) -> Request[Any]:
        """Post what another node was asked. Raises Elsewhere, and what posting does."""
        ...

    async def noted(self, execution: Execution) -> None:
        """Until the execution is known to be under way, also if this node is lost."""
        ...

    def held(self, execution_id: str) -> Execution | None:
        """An execution that is in memory here."""
        ...

    def running_here(self, owner: str) -> list[Execution]:
        """What an owner has under way on this node."""
        ...

    async def described(self, owner: str, name: str) -> SessionInfo:
        """A session as this node knows it. Raises NotFound."""
        ...

    @property
    def revision(self) -> int:
        """Up to which revision this node has written."""
        ...


class Service:
    """Answers other nodes' calls."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def handlers(self) -> Mapping[str, Handler]:
        """By the call's name."""
        return {
            EXECUTE: self._run,
            ASK: self._do,
            FOLLOW: self._tell_of,
            NOTE: self._note,
            UNDER_WAY: self._tell_all,
            DESCRIBE: self._describe,
        }

    async def _run(self, call: Call) -> None:
        asked = _execute.decode(call.request)
        execution = await self._engine.run_here(asked.submission, asked.execution_id, asked.accepted_at)
        if asked.is_promised:
            await self._engine.noted(execution)
        await self._tell(call, execution)

    async def _tell_of(self, call: Call) -> None:
        asked = _follow.decode(call.request)
        await self._tell(call, self._held(asked.owner, asked.execution_id))

    async def _note(self, call: Call) -> None:
        asked = _note.decode(call.request)
        await self._engine.noted(self._held(asked.owner, asked.execution_id))

    def _held(self, owner: str, execution_id: str) -> Execution:
        execution = self._engine.held(execution_id)
        if execution is None or execution.is_elsewhere or execution.owner != owner:
            raise NotFound(f"there is no execution {execution_id!r}", field="execution_id")
        return execution

    async def _tell(self, call: Call, execution: Execution) -> None:
        """Tell of an execution until it is over; that the caller goes away changes nothing for it."""
        await call.send(
            messages.encode(
                Taken(
                    code=execution.first_line,
                    caller=execution.caller,
                    accepted_at=execution.accepted_at,
                    idempotency_key=execution.idempotency_key,
                    request_hash=execution.request_hash,
                    execution_id=execution.id,
                )
            )
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_if_asked, call, execution)
            await self._follow(call, execution)
            nursery.cancel_scope.cancel()

    async def _follow(self, call: Call, execution: Execution) -> None:
        told, session = 0, None
        while True:
            changed = execution.changed
            if execution.session != session:
                session = execution.session
                await call.send(messages.encode(Moved(session)))
            report = await execution.wait(0) if execution.done else None
            # those of the report are the same
            if report is None and len(execution.console) > told:
                lines = tuple(execution.console[told:])
                told += len(lines)
                await call.send(messages.encode(Printed(lines)))
            if report is not None:
                await call.send(messages.encode(Over(report, self._engine.revision)))
                return
            if changed is execution.changed and not execution.done:
                await changed.wait()

    async def _do(self, call: Call) -> None:
        command = await self._engine.do_here(_ask.decode(call.request))
        told = await command.result()
        await call.send(messages.encode(messages.answer_of(told, self._engine.revision)))

    async def _tell_all(self, call: Call) -> None:
        asked = _list.decode(call.request)
        for execution in self._engine.running_here(asked.owner):
            if asked.session in (None, execution.session):
                held = Held(
                    execution_id=execution.id,
                    session=execution.session,
                    accepted_at=execution.accepted_at,
                    code=execution.first_line,
                    caller=execution.caller,
                )
                await call.send(messages.encode(held))

    async def _describe(self, call: Call) -> None:
        asked = _describe.decode(call.request)
        await call.send(messages.encode(await self._engine.described(asked.owner, asked.session)))


async def _cancel_if_asked(call: Call, execution: Execution) -> None:
    while (frame := await call.receive()) is not None:
        if frame == CANCEL:
            execution.cancel()
