"""Nodes of a cluster as far as the log has to do with them: they claim sessions by hand, and share a watch."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing, suppress
from pathlib import Path

import trio
from indexes import content
from log_samples import History

from engine.chain import Record
from persistence.etcd.blocking import BlockingEtcd
from persistence.etcd.client import Etcd
from persistence.etcd.failures import NoSpace
from persistence.etcd.fences import Fence
from persistence.etcd.log import QUOTA_BYTES, EtcdEventLog, open_etcd_log
from persistence.etcd.requests import created, delete, put
from persistence.s3.objects import Objects
from persistence.schema import DATABASE_NAME

SECONDS = 60
"""For what has to come of itself."""


class HeldFences:
    """Those that a test has taken for a node."""

    def __init__(self) -> None:
        self.node: Fence | None = None
        self.held: dict[tuple[str, str], Fence] = {}

    def of(self, owner: str, name: str) -> Fence | None:
        return self.held.get((owner, name))


class Node:
    """A log with its fences; made by ``joined``."""

    def __init__(self, etcd: Etcd, prefix: bytes, name: str, fences: HeldFences, log: EtcdEventLog) -> None:
        self._etcd = etcd
        self._prefix = prefix
        self.name = name
        self.fences = fences
        self.log = log
        self.applied: list[Record] = []
        """Records of others, as the log has told them."""
        self.running = trio.CancelScope()
        self.left = trio.Event()

    async def follow(self) -> None:
        """Give the log all that happens, for ever."""
        async with self._etcd.watch(self._prefix, self.log.watch_from, silent_seconds=3_600) as watch:
            async for changes in watch:
                self.log.take(changes)

    async def lead(self) -> Fence:
        """Be the leader, whoever was it."""
        key = self._prefix + b"leader"
        await self._etcd.transact([], [delete(key)])
        answer = await self._etcd.transact([], [put(key, self.name.encode())])
        return Fence(key, answer.revision)

    async def leave(self) -> None:
        """End it in good order."""
        self.running.cancel()
        with trio.fail_after(SECONDS):
            await self.left.wait()

    async def claim(self, *histories: History, take: bool = False) -> None:
        """Have these sessions, once all that was written of them is here; ``take``: from whoever has them."""
        for one in histories:
            key = self._prefix + f"own/{one.owner}-{one.name}".encode()
            if take:
                await self._etcd.transact([], [delete(key)])
            answer = await self._etcd.transact([created(key, 0)], [put(key, self.name.encode())])
            assert answer.succeeded, f"another node has {one.name}"
            self.fences.held[one.owner, one.name] = Fence(key, answer.revision)
            with trio.fail_after(SECONDS):
                await self.log.caught_up(answer.revision)

    async def write(self, history: History, count: int) -> None:
        """Append so many events, each by itself; the first creates the session, which is claimed."""
        for _ in range(count):
            if not history.records:
                await self.claim(history)
                await self.log.append([history.created()])
            else:
                await self.log.append([history.executed()])

    async def see_all(self) -> None:
        """Until all that anybody has put so far is here."""
        answer = await self._etcd.transact([], [put(self._prefix + b"nodes/heartbeat", b"")])
        with trio.fail_after(SECONDS):
            await self.log.caught_up(answer.revision)

    async def fence(self) -> None:
        """Let it be no member any more, which it does not know."""
        assert self.fences.node is not None
        await self._etcd.transact([], [delete(self.fences.node.key)])

    async def join(self) -> None:
        """Be a member, under a new fence."""
        key = self._prefix + b"nodes/" + self.name.encode()
        await self._etcd.transact([], [delete(key)])
        while True:
            with suppress(NoSpace):  # as a node, it tries until there is some
                answer = await self._etcd.transact([], [put(key, b"{}")])
                break
            await trio.sleep(0.1)
        self.fences.node = Fence(key, answer.revision)


class Cluster:
    """Nodes on one etcd and one bucket; each runs until it leaves, or to the end of the nursery."""

    def __init__(
        self,
        etcd: Etcd,
        urls: Sequence[str],
        prefix: bytes,
        objects: Objects,
        nursery: trio.Nursery,
        folder: Path,
    ) -> None:
        self.etcd = etcd
        self._urls = urls
        self.prefix = prefix
        self._objects = objects
        self._nursery = nursery
        self.folder = folder
        self.quota = QUOTA_BYTES

    async def join(self, name: str, *, writer_urls: Sequence[str] = (), follows: bool = True) -> Node:
        """A node that begins, with the index that it has by that name."""
        node: Node = await self._nursery.start(self._run, name, writer_urls or self._urls, follows)
        return node

    def index_of(self, name: str) -> dict[str, list[list[object]]]:
        """What is in the index of a node."""
        return content(self.folder / name / DATABASE_NAME)

    async def _run(
        self,
        name: str,
        writer_urls: Sequence[str],
        follows: bool,
        task_status: trio.TaskStatus[Node],
    ) -> None:
        fences = HeldFences()
        applied: list[Record] = []
        with closing(BlockingEtcd(writer_urls, answer_seconds=1.0)) as blocking:
            async with open_etcd_log(
                self.etcd,
                blocking,
                self.prefix,
                self._objects,
                self.folder / name,
                fences,
                applied.extend,
                self.quota,
            ) as log:
                node = Node(self.etcd, self.prefix, name, fences, log)
                node.applied = applied
                await node.join()
                task_status.started(node)
                with node.running:
                    if follows:
                        await node.follow()
                    await trio.sleep_forever()
        node.left.set()


@asynccontextmanager
async def clustered(
    urls: Sequence[str], prefix: bytes, objects: Objects, folder: Path
) -> AsyncIterator[Cluster]:
    """One whose nodes have their indexes in a folder; they end with the block."""
    async with Etcd(urls) as client, trio.open_nursery() as nursery:
        yield Cluster(client, urls, prefix, objects, nursery, folder)
        nursery.cancel_scope.cancel()


class _AllHeld:
    """Of a node that is alone, and has all sessions as long as it is a member."""

    def __init__(self, node: Fence) -> None:
        self.node: Fence | None = node

    def of(self, owner: str, name: str) -> Fence | None:  # noqa: ARG002
        return self.node


@asynccontextmanager
async def open_lone_log(
    urls: Sequence[str], prefix: bytes, objects: Objects, directory: Path
) -> AsyncIterator[EtcdEventLog]:
    """The log of the only node of a cluster."""
    with closing(BlockingEtcd(urls)) as blocking:
        async with Etcd(urls) as client:
            key = prefix + b"nodes/lone"
            answer = await client.transact([], [put(key, b"{}")])
            fences = _AllHeld(Fence(key, answer.revision))
            async with open_etcd_log(
                client, blocking, prefix, objects, directory, fences, lambda records: None
            ) as log:
                yield log
