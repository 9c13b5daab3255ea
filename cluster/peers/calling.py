"""The side of a connection that calls."""

from __future__ import annotations

from cluster.peers import carried
from cluster.peers.flow import Flow
from cluster.peers.frames import Breach, Cancel, Credit, End, Failed, Frame, Open, Piece
from cluster.peers.line import Line
from cluster.peers.wire import Wire
from engine.errors import NodeLost


class Exchange:
    """A call, for whoever makes it. One task may send, and one receive."""

    def __init__(self, flow: Flow) -> None:
        self._flow = flow

    async def send(self, frame: bytes) -> None:
        """Send a frame after the request, when there is room for it. What nobody reads there is dropped.

        Nothing can be sent after a ``send`` that was cancelled. Raises TooLarge, NodeLost, and the error of
        the engine with which the other side failed.
        """
        await self._flow.send(frame)

    async def end(self) -> None:
        """Say that no more frames come."""
        self._flow.say_end()

    async def receive(self) -> bytes | None:
        """The next frame of the answer; None at its end. Raises NodeLost, and the other side's error.

        A ``receive`` that is cancelled loses nothing.
        """
        return await self._flow.receive()


class Caller:
    """The calls of one connection."""

    def __init__(self, node: str, wire: Wire) -> None:
        self._node = node
        self._line = Line(wire, self._take)
        self._calls: dict[int, Flow] = {}
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
        """End the connection: every call on it fails at once."""
        self._line.lose(why)
        lost = NodeLost(f"node {self._node} was lost: {why}; whether it did what was asked is not known")
        for flow in self._calls.values():
            flow.end(lost)

    async def run(self) -> None:
        """Until the connection is over."""
        try:
            await self._line.run(calls=True)
        finally:
            assert self._line.end is not None
            self.lose(self._line.end[1])

    async def open(self, method: str, request: bytes) -> Flow:
        """Begin a call. Whoever does ends it with ``close``."""
        self._last += 1
        flow = self._calls[self._last] = Flow(self._last, self._line.put)
        self._line.put(Open(self._last, method))
        try:
            await flow.send(request)
        except BaseException:
            self.close(flow)
            raise
        return flow

    def close(self, flow: Flow) -> None:
        """Nobody is interested in a call any more."""
        del self._calls[flow.call]
        if not flow.heard:
            self._line.put(Cancel(flow.call))

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Open | Cancel) or not hasattr(frame, "call") or frame.call > self._last:
            raise Breach("the side that is called says what only the other one may")
        flow = self._calls.get(frame.call)
        if flow is None:
            return  # it was cancelled, which the other side did not know
        if isinstance(frame, Piece):
            flow.take(frame)
        elif isinstance(frame, Credit):
            flow.credit(frame.amount)
        elif isinstance(frame, End):
            flow.end()
        elif isinstance(frame, Failed):
            flow.end(carried.read(frame))
