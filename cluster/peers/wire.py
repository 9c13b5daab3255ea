"""A WebSocket to or from another node: whole messages, whichever library has the socket."""

from __future__ import annotations

from typing import Final, Protocol

GOING_AWAY: Final = 1001
BROKEN_PROTOCOL: Final = 1002
ABNORMAL: Final = 1006
REFUSED: Final = 4403
"""Codes with which a connection is closed (RFC 6455, section 7.4; the last is our own)."""
MAX_REASON: Final = 123
"""Bytes of UTF-8 that a reason may have (section 5.5)."""


class Closed(Exception):
    """The connection is over: nothing more comes or goes."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(
            reason
            or ("the connection broke" if code == ABNORMAL else f"the connection was closed with {code}")
        )
        self.code = code


class Wire(Protocol):
    """One connection."""

    async def send(self, message: bytes) -> None:
        """Send a message; waits while the other side does not read. Raises Closed."""
        ...

    async def receive(self) -> bytes:
        """The next message. Raises Closed."""
        ...


def short(reason: str) -> str:
    """As much of a reason as a close can carry."""
    return reason.encode()[:MAX_REASON].decode(errors="ignore")
