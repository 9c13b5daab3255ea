"""The side of a connection that is called."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import trio

from cluster.peers import carried
from cluster.peers.flow import Flow
from cluster.peers.frames import Breach, Cancel, Credit, End, Failed, Frame, Open, Piece
from cluster.peers.line import Line
from cluster.peers.wire import Wire
from engine.errors import Busy, EngineError, RequestError, Unavailable

_log = logging.getLogger(__name__)

MAX_CALLS: Final = 2_000
"""Of one node at once."""


class Call:
    """A call, for whoever serves it. One task may send, and one receive."""

    def __init__(self, node: str, method: str, request: bytes, flow: Flow) -> None:
        self.node = node
        """Which calls."""
        self.method = method
        self.request = request
        self._flow = flow

    async def send(self, frame: bytes) -> None:
        """Send a frame of the answer, when the other side has room for it. Raises TooLarge.

        Nothing can be sent after a ``send`` that was cancelled.
        """
        await self._flow.send(frame)

    async def receive(self) -> bytes | None:
        """The caller's next frame after the request; None when it has said all.

        A ``receive`` that is cancelled loses nothing.
        """
        return await self._flow.receive()


Handler = Callable[[Call], Awaitable[None]]
"""Serves a call; the answer ends when it returns.

It is cancelled when the caller takes the call back, or is lost. An EngineError is raised again where it was
called from; of any other the caller is told that this node failed.
"""


class _Served:
    """A call under way."""

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self.life = trio.CancelScope()


class Service:
    """Serves the calls of one connection."""

    def __init__(self, node: str, wire: Wire, handlers: Mapping[str, Handler]) -> None:
        """``node`` is the one that calls; ``handlers`` has each method's."""
        self._node = node
        self._handlers = handlers
        self._line = Line(wire, self._take)
        self._calls: dict[int, _Served] = {}
        self._last = 0

    @property
    def end(self) -> tuple[int, str] | None:
        """Once it is over: the code to close the connection with, and why."""
        return self._line.end

    @property
    def calls(self) -> int:
        """How many are under way."""
        return len(self._calls)

    def lose(self, why: str) -> None:
        """End the connection."""
        self._line.lose(why)

    async def run(self) -> None:
        """Until the connection is over, and every handler with it."""
        async with trio.open_nursery() as self._nursery:
            await self._line.run(calls=False)
            self._nursery.cancel_scope.cancel()

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Open):
            self._open(frame)
            return
        if isinstance(frame, Failed) or not hasattr(frame, "call") or frame.call > self._last:
            raise Breach("the side that calls says what only the other one may")
        served = self._calls.get(frame.call)
        if served is None:
            return  # it was answered, which the other side did not know
        if isinstance(frame, Piece):
            served.flow.take(frame)
        elif isinstance(frame, Credit):
            served.flow.credit(frame.amount)
        elif isinstance(frame, End):
            served.flow.end(over=False)
        elif isinstance(frame, Cancel):
            served.life.cancel()

    def _open(self, frame: Open) -> None:
        if frame.call <= self._last:
            raise Breach("a call's number comes again")
        self._last = frame.call
        if len(self._calls) >= MAX_CALLS:
            busy = Busy(f"node {self._node} has {MAX_CALLS:,} calls under way here: try again later")
            self._line.put(carried.written(frame.call, busy))
            return
        served = self._calls[frame.call] = _Served(Flow(frame.call, self._line.put))
        self._nursery.start_soon(self._serve, served, frame.method)

    async def _serve(self, served: _Served, method: str) -> None:
        flow = served.flow
        try:
            with served.life:
                self._line.put(await self._end(flow, method))
        finally:
            del self._calls[flow.call]

    async def _end(self, flow: Flow, method: str) -> Frame:
        """Serve a call; the frame that ends it."""
        try:
            await self._answer(flow, method)
        except Exception as error:  # noqa: BLE001 (the boundary: logged, and told)
            expected = _only(error)
            if not isinstance(expected, EngineError):
                _log.exception("a call of node %s failed: %s", self._node, method)
                expected = EngineError(f"the node that was asked failed at `{method}`")
            return carried.written(flow.call, expected)
        except BaseExceptionGroup as several:
            # It was cancelled, and failed in that: nobody is there to be told, and the other calls go on.
            raise several.subgroup(trio.Cancelled) or several from None
        return End(flow.call)

    async def _answer(self, flow: Flow, method: str) -> None:
        handler = self._handlers.get(method)
        if handler is None:
            raise Unavailable(f"the node that was asked is of a version that does not know `{method}`")
        request = await flow.receive()
        if request is None:
            raise RequestError("the call has no request")
        await handler(Call(self._node, method, request, flow))
        if flow.torn:
            raise RuntimeError("a part of the answer was cut off")


def _only(error: BaseException) -> BaseException:
    """The error in the groups that nurseries of a handler put it in, if it is the only one."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
