"""What one node of a cluster says to another: before it is known to be one, and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import trio

from cluster.peers import Call
from cluster.peers.calling import Caller
from cluster.peers.frames import Frame, Open, decode, encode, join
from cluster.peers.handshake import Hello, Passport, Proof, Refused, Welcome, admit, introduce
from cluster.peers.serving import Service
from cluster.peers.wire import Closed
from engine.errors import EngineError
from fuzz.data import Data
from fuzz.shapes import packed, value

_SECRET: Final = b"what nobody knows who is no node"
_KNOWN_FRAME: Final = {"call": 1, "method": "echo", "more": False}
_KNOWN_HELLO: Final = {
    "version": 1,
    "cluster": "mcp-v8",
    "node": "a",
    "wanted": "b",
    "nonce": bytes(32),
    "mac": bytes(32),
}
_A_MOMENT: Final = 12
"""Steps of the scheduler, in which what is called answers."""


class _Wire:
    """Messages that come, whatever is said; then the connection ends."""

    def __init__(self, messages: Sequence[bytes]) -> None:
        self._messages = iter(messages)
        self.said: list[bytes] = []

    async def send(self, message: bytes) -> None:
        self.said.append(message)
        await trio.lowlevel.checkpoint()

    async def receive(self) -> bytes:
        for _ in range(_A_MOMENT):
            await trio.lowlevel.checkpoint()
        for message in self._messages:
            return message
        raise Closed(1006, "")


def calls(raw: bytes) -> None:
    """Whatever comes on a connection ends it, or the calls that it is about; what is said itself can be read."""
    data = Data(raw)
    messages = [
        packed(data, [value(data, Frame, _KNOWN_FRAME) for _ in range(1 + data.byte() % 5)])
        for _ in range(data.byte() % 6)
    ]
    messages.append(data.rest())
    opened = join([encode(Open(1, "echo")), encode(Open(2, "late"))])
    trio.run(_serve, [opened, *messages])
    trio.run(_call, messages)


def introductions(raw: bytes) -> None:
    """Whoever does not know the secret is refused with a sentence, on either side, and gets no proof by connecting."""
    data = Data(raw)
    hello, proof = (packed(data, value(data, kind, _KNOWN_HELLO)) for kind in (Hello, Proof))
    welcome = packed(data, value(data, Welcome, _KNOWN_HELLO))
    accepted = _Wire([hello, proof, data.rest()])
    trio.run(_refused, admit, accepted, Passport("mcp-v8", "b", _SECRET))
    assert len(accepted.said) <= 1, "a proof was given to a stranger"
    trio.run(_refused, introduce, _Wire([welcome, proof]), Passport("mcp-v8", "a", _SECRET), "b")


async def _refused(meet: Any, *arguments: Any) -> None:
    try:
        await meet(*arguments)
    except Refused as refused:
        told = str(refused)
    except Closed:
        return
    else:
        raise AssertionError("a stranger was let in")
    assert told.isprintable()


async def _echo(call: Call) -> None:
    await call.send(call.request)
    while (frame := await call.receive()) is not None:
        await call.send(frame)


async def _late(call: Call) -> None:
    await call.receive()
    raise EngineError("for no reason")


async def _serve(messages: Sequence[bytes]) -> None:
    wire = _Wire(messages)
    service = Service("a", wire, {"echo": _echo, "late": _late})
    await service.run()
    assert service.end is not None
    assert service.calls == 0
    for message in wire.said:
        decode(message)


async def _call(messages: Sequence[bytes]) -> None:
    wire = _Wire(messages)
    caller = Caller("b", wire)
    async with trio.open_nursery() as nursery:
        for _ in range(2):
            flow = await caller.open("echo", b"request")
            nursery.start_soon(_listen, caller, flow)
        await caller.run()
    assert caller.end is not None
    assert caller.calls == 0
    for message in wire.said:
        decode(message)


async def _listen(caller: Caller, flow: Any) -> None:
    try:
        while await flow.receive() is not None:
            pass
    except EngineError:
        pass
    finally:
        caller.close(flow)
