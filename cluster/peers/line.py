"""Both directions of one connection between nodes, once they have made sure of each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from cluster.peers.frames import MAX_FRAMES, MAX_MESSAGE, Breach, Frame, Ping, Pong, decode, encode, join
from cluster.peers.wire import BROKEN_PROTOCOL, GOING_AWAY, Closed, Wire

PING_SECONDS: Final = 1.0
"""Between two pings of the side that calls; each is answered."""
SILENT_SECONDS: Final = 3.0
"""Without a word the other side counts as lost."""
_ROOM: Final = MAX_MESSAGE - 8
"""For the frames of a message, beside what says how many they are."""


class Line:
    """Sends the frames that are put, and passes on those that come, until the connection ends."""

    def __init__(self, wire: Wire, take: Callable[[Frame], None]) -> None:
        """``take`` gets each frame but Ping and Pong, and may raise Breach."""
        self._wire = wire
        self._take = take
        self._waiting: deque[bytes] = deque()
        self._filled = trio.lowlevel.ParkingLot()
        self._life = trio.CancelScope()
        self._heard = trio.CancelScope()
        self.end: tuple[int, str] | None = None
        """Once it is over: the code to close the connection with, and a sentence that says why."""

    def put(self, frame: Frame) -> None:
        """Send a frame after those put before it; those of the same moment go in one message."""
        self._waiting.append(encode(frame))
        self._filled.unpark()

    def lose(self, why: str, code: int = GOING_AWAY) -> None:
        """End it."""
        if self.end is None:
            self.end = code, why
        self._life.cancel()

    async def run(self, *, calls: bool) -> None:
        """Until the connection is over, as ``end`` then says; ``calls``: this is the side that calls."""
        try:
            with self._life:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._send)
                    if calls:
                        nursery.start_soon(self._ping)
                    await self._receive()
        finally:
            self.lose("this node stops")

    async def _send(self) -> None:
        while True:
            while not self._waiting:
                await self._filled.park()
                # what other tasks say in this moment goes along: a message costs far more than a frame
                await trio.lowlevel.checkpoint()
            try:
                await self._wire.send(self._message())
            except Closed as closed:
                self.lose(str(closed))
                await trio.sleep_forever()

    def _message(self) -> bytes:
        """Of as many frames as go into it."""
        frames = [self._waiting.popleft()]
        room = _ROOM - len(frames[0])
        while self._waiting and len(self._waiting[0]) <= room and len(frames) < MAX_FRAMES:
            frames.append(self._waiting.popleft())
            room -= len(frames[-1])
        return join(frames)

    async def _ping(self) -> None:
        while True:
            self._first(Ping())
            await trio.sleep(PING_SECONDS)

    def _first(self, frame: Frame) -> None:
        """Send a frame before all that wait."""
        self._waiting.appendleft(encode(frame))
        self._filled.unpark()

    async def _receive(self) -> None:
        try:
            with self._heard:
                while True:
                    self._heard.deadline = trio.current_time() + SILENT_SECONDS
                    for frame in decode(await self._wire.receive()):
                        self._pass_on(frame)
        except Closed as closed:
            self.lose(str(closed))
        except Breach as breach:
            self.lose(str(breach), BROKEN_PROTOCOL)
        else:
            self.lose(f"it has said nothing for {SILENT_SECONDS:g} s")

    def _pass_on(self, frame: Frame) -> None:
        if isinstance(frame, Ping):
            self._first(Pong())
        elif not isinstance(frame, Pong):
            self._take(frame)
