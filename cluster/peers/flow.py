"""What is said in one call, at either end of it: payloads go out and come in in pieces, and wait to be read.

The side that sends has room for WINDOW, counted by ``frames.cost``; the side that reads gives it back. So
little of a call waits for a slow reader, the connection never waits for any, and no call for another.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from cluster.peers.frames import MAX_PAYLOAD, MAX_PIECE, PIECE_COST, Breach, Credit, End, Frame, Piece, cost
from engine.errors import EngineError, TooLarge

WINDOW: Final = 256 << 10
"""Of a call, in one direction, unread."""
_GIVEN_BACK_AT: Final = WINDOW // 4
"""What is read is told only now and then: of most calls never."""
_MOST_UNREAD: Final = WINDOW + MAX_PIECE + PIECE_COST
"""The last piece may go over."""


class Flow:
    """Payloads in both directions. At most one task sends, and one receives."""

    def __init__(self, call: int, put: Callable[[Frame], None]) -> None:
        """``put`` sends a frame, sooner or later, in order."""
        self.call = call
        self._put = put
        self._room = WINDOW
        self.torn = False
        """Whether a payload is being sent; it stays so if that was cut off."""
        self._said = False
        """Whether this side has said all."""
        self._unread: deque[Piece] = deque()
        self._unread_cost = 0
        self._owed = 0
        """Read, and not given back."""
        self._coming = 0
        """Bytes of the payload whose last piece has not come."""
        self._parts: list[bytes] = []
        """Read of the payload whose last piece was not."""
        self.heard = False
        """Whether the other side has said all, or what failed."""
        self._failure: EngineError | None = None
        self._deaf = False
        """Whether the other side listens no more."""
        self._reading, self._sending = trio.lowlevel.ParkingLot(), trio.lowlevel.ParkingLot()

    # What the connection tells.

    def take(self, piece: Piece) -> None:
        """A piece has come. Raises Breach."""
        if self.heard:
            raise Breach("a call goes on after its end")
        self._unread.append(piece)
        self._unread_cost += cost(piece)
        if self._unread_cost > _MOST_UNREAD:
            raise Breach("more was sent in a call than there is room for")
        self._coming += len(piece.data)
        if self._coming > MAX_PAYLOAD:
            raise Breach(f"what was sent in a call has over {MAX_PAYLOAD:,} bytes")
        if not piece.more:
            self._coming = 0
        self._reading.unpark()

    def credit(self, amount: int) -> None:
        """The other side has read. Raises Breach."""
        self._room += amount
        if self._room > WINDOW:
            raise Breach("more was given back in a call than was sent")
        self._sending.unpark_all()

    def end(self, failure: EngineError | None = None, *, over: bool = True) -> None:
        """The other side has said all, or failed; ``over``: and listens no more. Raises Breach."""
        if self.heard:
            return
        if failure is None and self._coming:
            raise Breach("a call ends within what was being sent")
        self.heard, self._failure, self._deaf = True, failure, over
        self._reading.unpark_all()
        self._sending.unpark_all()

    # What whoever makes or serves the call does.

    async def send(self, payload: bytes) -> None:
        """Send a payload, when there is room. What the other side does not listen to any more is dropped.

        Nothing can be sent after a ``send`` that was cancelled. Raises TooLarge, and what made the call fail.
        """
        if len(payload) > MAX_PAYLOAD:
            raise TooLarge(f"between nodes a message has at most {MAX_PAYLOAD:,} bytes")
        if self.torn:
            raise trio.BusyResourceError("another task sends in this call, or was cut off")
        assert not self._said, "the end was sent"
        self.torn = True
        begin = 0
        while await self._has_room():
            end = min(begin + MAX_PIECE, len(payload))
            piece = Piece(self.call, payload[begin:end], end < len(payload))
            self._room -= cost(piece)
            self._put(piece)
            begin = end
            if end == len(payload):
                break
        self.torn = False

    async def _has_room(self) -> bool:
        """Wait for it; False if the other side listens no more."""
        while self._room <= 0 and not self._deaf:
            await self._sending.park()
        if self._deaf and self._failure is not None:
            raise self._failure
        return not self._deaf

    def say_end(self) -> None:
        """Send that this side says no more."""
        if self.torn:
            raise trio.BusyResourceError("a task sends in this call, or was cut off")
        if not self._said and not self._deaf:
            self._put(End(self.call))
        self._said = True

    async def receive(self) -> bytes | None:
        """The other side's next payload; None when it has said all. Raises what made the call fail.

        What came before a failure is given first. A ``receive`` that is cancelled loses nothing.
        """
        while True:
            while not self._unread:
                if self._failure is not None:
                    raise self._failure
                if self.heard:
                    return None
                await self._reading.park()
            piece = self._unread.popleft()
            self._give_back(piece)
            self._parts.append(piece.data)
            if not piece.more:
                parts, self._parts = self._parts, []
                return b"".join(parts)

    def _give_back(self, piece: Piece) -> None:
        self._unread_cost -= cost(piece)
        self._owed += cost(piece)
        if self._owed >= _GIVEN_BACK_AT and not self.heard:
            self._put(Credit(self.call, self._owed))
            self._owed = 0
