"""Calls of all kinds between three nodes whose connections break, fall silent and come back, at random."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import AsyncExitStack

import pytest
import trio
from meeting import Node, between, echo, node

from cluster.peers import Call
from cluster.peers.flow import WINDOW
from cluster.peers.frames import MAX_PIECE
from engine.errors import EngineError, NodeLost, NotFound

NAMES = ("a", "b", "c")
SIZES = (0, 1, 100, MAX_PIECE, MAX_PIECE + 1, WINDOW, 3 * WINDOW)


async def refuse(call: Call) -> None:
    """After some frames."""
    for _ in range(call.request[0]):
        await call.send(call.request)
    raise NotFound("there is none")


class Caller:
    """Makes calls at random, each of which is answered rightly, or fails as it may."""

    def __init__(self, node: Node, others: tuple[str, ...], rng: random.Random) -> None:
        self._node, self._others, self._rng = node, others, rng
        self.seen: Counter[str] = Counter()

    async def run(self, calls: int) -> None:
        for _ in range(calls):
            with trio.move_on_after(self._rng.choice((0.001, 0.02, 1_000))) as left:
                try:
                    await self._rng.choice((self._echo, self._refused, self._leave))()
                    self.seen["answered"] += 1
                except NodeLost:
                    self.seen["lost"] += 1
            if left.cancelled_caught:
                self.seen["left"] += 1

    async def _echo(self) -> None:
        rng = self._rng
        frames = [rng.randbytes(rng.choice(SIZES)) for _ in range(rng.randrange(1, 5))]
        came = []
        failure: EngineError | None = None
        async with (
            self._node.peers.call(rng.choice(self._others), "echo", frames[0]) as exchange,
            trio.open_nursery() as nursery,
        ):

            async def say() -> None:
                try:
                    for frame in frames[1:]:
                        await exchange.send(frame)
                    await exchange.end()
                except NodeLost:
                    self.seen["not heard"] += 1

            nursery.start_soon(say)
            try:
                while (frame := await exchange.receive()) is not None:
                    came.append(frame)
            except NodeLost as lost:
                failure = lost
        assert came == frames[: len(came)]
        if failure is not None:
            raise failure
        assert came == frames

    async def _refused(self) -> None:
        count = self._rng.randrange(4)
        async with self._node.peers.call(
            self._rng.choice(self._others), "refuse", bytes([count])
        ) as exchange:
            for _ in range(count):
                assert await exchange.receive() == bytes([count])
            try:
                await exchange.receive()
            except NotFound:
                return
            raise AssertionError("it was not refused")

    async def _leave(self) -> None:
        """In the middle, without a word."""
        async with self._node.peers.call(self._rng.choice(self._others), "echo", bytes(WINDOW)) as exchange:
            await exchange.receive()


async def test_every_call_is_answered_rightly_or_lost_and_nothing_stays_behind() -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")  # noqa: T201 - shown where it fails
    await traffic(seed, calls=40)


@pytest.mark.torture
async def test_the_same_for_longer() -> None:
    for _ in range(5):
        seed = random.randrange(1 << 32)
        print(f"seed {seed}")  # noqa: T201 - shown where it fails
        await traffic(seed, calls=200)


async def traffic(seed: int, calls: int) -> None:
    rng = random.Random(seed)
    seen: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        book: dict[str, str] = {}
        nodes = [
            await stack.enter_async_context(node(name, book, {"echo": echo, "refuse": refuse}))
            for name in NAMES
        ]
        proxies = [await stack.enter_async_context(between(book, name)) for name in NAMES]
        callers = [
            Caller(one, tuple(name for name in NAMES if name != mine), random.Random(rng.random()))
            for mine, one in zip(NAMES, nodes, strict=True)
            for _ in range(8)
        ]

        async def harm() -> None:
            while True:
                await trio.sleep(rng.random() * 0.2)
                match rng.randrange(3):
                    case 0:
                        await rng.choice(proxies).cut()
                    case 1:
                        rng.choice(nodes).peers.lost(rng.choice(NAMES))
                    case _:
                        address = book.pop(name := rng.choice(NAMES))
                        await trio.sleep(0.01)
                        book[name] = address

        async with trio.open_nursery() as harming:
            harming.start_soon(harm)
            with trio.fail_after(200):
                async with trio.open_nursery() as calling:
                    for caller in callers:
                        calling.start_soon(caller.run, calls)
            harming.cancel_scope.cancel()
        for caller in callers:
            seen += caller.seen
        with trio.fail_after(20):
            while any(one.door.calls for one in nodes):  # noqa: ASYNC110
                await trio.sleep(0.01)
        assert not any(one.peers.calls for one in nodes)
    print(dict(seen))  # noqa: T201 - shown where it fails
    assert seen["answered"] > 0
    assert seen["lost"] > 0
