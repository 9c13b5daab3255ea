"""A watch of etcd: in order, whole and without gaps, whatever happens to whom it listens to."""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial

import pytest
import trio
from etcd_server import EtcdServer

from persistence.etcd.client import Etcd
from persistence.etcd.failures import Compacted, Unanswered
from persistence.etcd.requests import Changes, created, delete, put
from persistence.etcd.watch import Watch

CLOSED = "http://127.0.0.1:1"


@pytest.fixture
async def client(etcd: EtcdServer) -> AsyncIterator[Etcd]:
    async with Etcd(etcd.urls) as client:
        yield client


async def take(watch: Watch, count: int) -> list[Changes]:
    with trio.fail_after(60):
        return [await anext(watch) for _ in range(count)]


def shown(changes: Iterable[Changes], prefix: bytes) -> list[str]:
    return [
        " ".join(f"{event.kind} {event.item.key.removeprefix(prefix).decode()}" for event in one.events)
        for one in changes
    ]


async def test_it_tells_each_revision_whole_from_the_one_asked_for(client: Etcd, prefix: bytes) -> None:
    a, b, other = prefix + b"a", prefix + b"b", b"/other" + prefix
    await client.transact([], [put(a, b"before")])
    first = await client.transact([], [put(a, b"1"), put(b, b"2"), put(other, b"3")])
    async with client.watch(prefix, first.revision) as watch:
        assert shown(await take(watch, 1), prefix) == ["put a put b"]
        await client.transact([], [put(other, b"4")])
        last = await client.transact([], [delete(a), put(b, b"5")])
        (changes,) = await take(watch, 1)
    assert shown([changes], prefix) == ["delete a put b"]
    assert changes.revision == last.revision == first.revision + 2
    item = changes.events[1].item
    assert (item.value, item.create_revision, item.mod_revision) == (b"5", first.revision, last.revision)


async def test_a_revision_that_is_larger_than_a_message_comes_whole(client: Etcd, prefix: bytes) -> None:
    size = 1_000_000
    first = await client.transact([], [put(prefix + b"a", bytes(size))])
    await client.transact([], [put(prefix + b"%d" % n, bytes(size // 10)) for n in range(10)])
    await client.transact([], [put(prefix + b"b", bytes(size))])
    async with client.watch(prefix, first.revision) as watch:
        changes = await take(watch, 3)
    assert [len(one.events) for one in changes] == [1, 10, 1]
    assert sum(len(event.item.value) for one in changes for event in one.events) == 3 * size


async def test_what_etcd_has_forgotten_is_not_passed_over(client: Etcd, prefix: bytes) -> None:
    first = await client.transact([], [put(prefix, b"1")])
    last = await client.transact([], [put(prefix, b"2")])
    await client.compact(last.revision)
    async with client.watch(prefix, first.revision) as watch:
        with pytest.raises(Compacted, match="read it all again") as failed:
            await take(watch, 1)
        assert failed.value.revision == last.revision
    async with client.watch(prefix, last.revision) as watch:
        assert len(await take(watch, 1)) == 1


async def test_one_that_is_given_up_while_it_waits_goes_on_without_a_gap(client: Etcd, prefix: bytes) -> None:
    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 (pytest shows it with a failure)
    chance, found = random.Random(seed), list[Changes]()
    start = (await client.transact([], [put(prefix, b"")])).revision + 1

    async def write() -> None:
        for n in range(20):
            await client.transact([], [put(prefix + b"%d" % n, bytes(chance.randrange(20_000)))])

    with trio.fail_after(60):
        async with client.watch(prefix, start) as watch, trio.open_nursery() as nursery:
            nursery.start_soon(write)
            while len(found) < 20:
                with trio.move_on_after(chance.random() * 0.1):
                    found.append(await anext(watch))
    assert shown(found, prefix) == [f"put {n}" for n in range(20)]
    assert [one.revision for one in found] == list(range(start, start + 20))


async def beats(client: Etcd, prefix: bytes, written: list[bytes]) -> None:
    """Write a key after the other, each once, as long as it is let."""
    for n in range(100_000):
        key = prefix + b"%06d" % n
        while True:
            try:
                await client.transact([created(key, 0)], [put(key, b"")], again=True)
            except Unanswered:
                await trio.sleep(0.05)
            else:
                break
        written.append(key)
        await trio.sleep(0.02)


@pytest.mark.parametrize("turns", [1, pytest.param(6, marks=pytest.mark.torture)])
async def test_it_goes_on_when_members_hang_and_die_and_come_back(
    etcd_three: EtcdServer, prefix: bytes, turns: int
) -> None:
    written, found = list[bytes](), list[bytes]()

    async def hang(at: int) -> None:
        etcd_three.members[at].stop()
        await more()
        etcd_three.members[at].go_on()

    async def die(at: int) -> None:
        etcd_three.members[at].kill()
        await more()
        etcd_three.restart(etcd_three.members[at])

    arrived = trio.Condition()

    async def more() -> None:
        async with arrived:
            count = len(found) + 20
            while len(found) < count:
                await arrived.wait()

    async def listen(watch: Watch) -> None:
        async for changes in watch:
            async with arrived:
                found.extend(event.item.key for event in changes.events)
                arrived.notify_all()

    seed = secrets.randbits(32)
    print(f"seed {seed}")  # noqa: T201 (pytest shows it with a failure)
    chance = random.Random(seed)
    leader = etcd_three.members.index(etcd_three.leader())
    others = [partial(chance.choice([hang, die]), chance.randrange(3)) for _ in range(turns)]
    faults = [partial(hang, leader), *others]
    async with (
        Etcd(etcd_three.urls, answer_seconds=1) as client,
        Etcd(etcd_three.urls) as other,
        other.watch(prefix, 1, silent_seconds=0.5) as watch,
    ):
        with trio.fail_after(120):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(beats, client, prefix, written)
                nursery.start_soon(listen, watch)
                await more()
                for fault in faults:
                    await fault()
                    await more()
                nursery.cancel_scope.cancel()
    assert found[: len(written)] == written[: len(found)]
    assert len(found) >= 20 * (1 + 2 * len(faults))


Handler = Callable[[trio.SocketStream, bytes], Awaitable[None]]


@asynccontextmanager
async def gateway(*handlers: Handler) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server whose connections are handled so, one after the other, those after them as the last.

    Its URL, and what it was asked.
    """
    asked: list[bytes] = []

    async def serve(stream: trio.SocketStream) -> None:
        data = b""
        while b"\r\n\r\n" not in data or not data.endswith(b"}"):
            data += await stream.receive_some()
        asked.append(data)
        await handlers[min(len(asked), len(handlers)) - 1](stream, data)

    async with trio.open_nursery() as nursery:
        (listener,) = await nursery.start(partial(trio.serve_tcp, serve, 0, host="127.0.0.1"))
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}", asked
        nursery.cancel_scope.cancel()


def start(request: bytes) -> int:
    """The revision from which it wants to know."""
    body = json.loads(request.partition(b"\r\n\r\n")[2])
    return int(body["create_request"]["start_revision"])


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(revision: int, *, fragment: bool = False) -> bytes:
    kv = {"key": "eA==", "mod_revision": str(revision)}
    return json.dumps({"result": {"fragment": fragment, "events": [{"kv": kv}]}}).encode() + b"\n"


def saying(*pieces: bytes, silent: bool = False) -> Handler:
    """Says that, and hangs up or is silent."""

    async def handle(stream: trio.SocketStream, _: bytes) -> None:
        await stream.send_all(b"".join(pieces))
        if silent:
            await trio.sleep_forever()
        await stream.aclose()

    return handle


ERROR = b'{"error":{"grpc_code":14,"http_code":503,"message":"etcdserver: no leader"}}\n'
CANCELLED = b'{"result":{"canceled":true,"cancel_reason":"etcdserver: something"}}\n'


@pytest.mark.parametrize(
    "fault",
    [
        saying(),
        saying(silent=True),
        saying(HEAD),
        saying(HEAD, chunk(event(5)[:20])),
        saying(HEAD, chunk(event(5)[:20]), silent=True),
        saying(HEAD, chunk(event(5, fragment=True)), silent=True),
        saying(HEAD, chunk(b"<html>\n")),
        saying(HEAD, chunk(b"[]\n")),
        saying(HEAD, chunk(ERROR)),
        saying(HEAD, chunk(CANCELLED)),
        saying(HEAD, b"0\r\n\r\n"),
        saying(HEAD, b"nonsense"),
        saying(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"),
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
    ],
)
async def test_what_ends_it_or_is_no_whole_message_is_asked_for_again(fault: Handler) -> None:
    """The other member says the rest, from the revision after the last that came whole."""
    good = saying(HEAD, chunk(event(4)), silent=True), saying(HEAD, chunk(event(5) + event(6)), silent=True)
    async with (
        gateway(fault) as (bad_url, bad),
        gateway(*good) as (good_url, asked),
        Etcd([bad_url, good_url]) as client,
        client.watch(b"x", 4, silent_seconds=0.3) as watch,
    ):
        revisions = [one.revision for one in await take(watch, 3)]
    assert revisions == [4, 5, 6]
    assert [start(one) for one in (bad[0], *asked)] == [4, 4, 5]


async def test_it_waits_as_long_as_nobody_is_there_and_can_be_given_up() -> None:
    async with Etcd([CLOSED]) as client, client.watch(b"x", 1) as watch:
        with trio.move_on_after(0.5) as scope:
            await anext(watch)
    assert scope.cancelled_caught
