"""What two nodes say to each other on their connection, as bytes.

A message of the WebSocket is a msgpack array of *frames*. Each belongs to a call, by the number that the node
which calls has given it (from 1, rising). So many calls share a connection, and what is said at the same time
shares a message. What a call carries, of any length, goes in pieces.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta, Raw, Struct

from transports.hypercorn_trio.limits import MAX_WEBSOCKET_MESSAGE

VERSION: Final = 1
"""Of everything in this package that travels."""
MAX_MESSAGE: Final = MAX_WEBSOCKET_MESSAGE
"""Bytes of a message: what the server takes of any WebSocket."""
MAX_PIECE: Final = 48 << 10
"""Bytes of a payload that one frame carries."""
MAX_FRAMES: Final = 4_096
"""In a message."""
MAX_PAYLOAD: Final = 16 << 20
"""Bytes of a payload: of what one ``send`` takes, and the other side's ``receive`` gives."""
MAX_SENTENCE: Final = 4_000
"""Characters of an error that is told."""

Number = Annotated[int, Meta(ge=1, lt=1 << 62)]
"""Of a call."""


class Open(Struct, array_like=True, tag=1, frozen=True):
    """A call begins; its first payload is the request."""

    call: Number
    method: Annotated[str, Meta(max_length=64)]


class Piece(Struct, array_like=True, tag=2, frozen=True):
    """A piece of a payload, from either side."""

    call: Number
    data: Annotated[bytes, Meta(max_length=MAX_PIECE)]
    more: bool
    """Whether the payload goes on."""


class End(Struct, array_like=True, tag=3, frozen=True):
    """This side says nothing more in the call. From the side that serves: it is over."""

    call: Number


class Failed(Struct, array_like=True, tag=4, frozen=True):
    """The side that serves: the call is over, with an error."""

    call: Number
    code: Annotated[str, Meta(max_length=64)]
    message: Annotated[str, Meta(max_length=MAX_SENTENCE)]
    field: Annotated[str, Meta(max_length=128)] | None


class Cancel(Struct, array_like=True, tag=5, frozen=True):
    """The side that calls: nobody waits for the answer any more."""

    call: Number


class Credit(Struct, array_like=True, tag=6, frozen=True):
    """Pieces were read: as much may be sent again (``cost``)."""

    call: Number
    amount: Annotated[int, Meta(ge=1, le=1 << 30)]


class Ping(Struct, array_like=True, tag=7, frozen=True):
    """The side that calls: I am there, are you?"""


class Pong(Struct, array_like=True, tag=8, frozen=True):
    """The side that serves: I am."""


Frame = Open | Piece | End | Failed | Cancel | Credit | Ping | Pong

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[list[Frame]] = msgspec.msgpack.Decoder(
    Annotated[list[Frame], Meta(min_length=1, max_length=MAX_FRAMES)]
)

PIECE_COST: Final = 64
"""What a piece takes of memory beside its bytes, about: so many small ones count, too."""


class Breach(Exception):
    """The other side said what nobody may say; the message is a sentence."""


def cost(piece: Piece) -> int:
    """What a piece takes of the room that its receiver has for the call."""
    return len(piece.data) + PIECE_COST


def encode(frame: Frame) -> bytes:
    """One frame; ``join`` makes a message of several."""
    return _encoder.encode(frame)


def join(frames: list[bytes]) -> bytes:
    """The message of encoded frames."""
    return _encoder.encode([Raw(frame) for frame in frames])


def decode(message: bytes) -> list[Frame]:
    """The frames of a message. Raises Breach."""
    try:
        return _decoder.decode(message)
    except (msgspec.DecodeError, RecursionError) as broken:
        raise Breach(f"a message cannot be read: {broken}") from None
