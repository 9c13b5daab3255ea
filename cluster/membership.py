"""This node's place in the cluster: a lease in etcd, kept alive, and a key under it that says how it is.

The key's create revision is the node's *fence*: what it appends is appended only as long as that key is
there. Safety rests on this alone. Beside it the node stops by its own clock before the lease can end, so that
clients are not kept waiting for what cannot be recorded any more.
"""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Callable

import msgspec
import trio
from msgspec.structs import replace

from cluster.keys import Keys
from cluster.records import Load, Member, NodeState
from cluster.settings import ClusterSettings
from engine.errors import EngineError, Unavailable
from engine.timestamps import now_us
from persistence.etcd.client import Etcd
from persistence.etcd.failures import LeaseGone, Refused, Unanswered
from persistence.etcd.fences import Fence
from persistence.etcd.requests import Answer, KeyValue, created, get, put

_log = logging.getLogger(__name__)

BEATS = 5
"""Times in the life of a lease at which it is kept alive, and said how this node is."""
FENCE_AFTER = 0.8
"""Of a lease's life, since a keepalive was sent that was answered: then the node stops by itself."""
BEHIND_SECONDS = 10.0
"""A node that so long does not see what happens in etcd, though it can write there, does not serve: what
keeps others from using an idempotency key again lasts for a minute only.
"""
RETRY_SECONDS = 0.2


class DuplicateNode(EngineError):
    """Another server that runs is the node of that id."""

    code = "duplicate_node"


class Membership:
    """Joins, and stays. ``load`` tells what there is to do here; ``lost`` is called when it was thrown out;
    ``seen`` tells up to which revision this node has seen what happened.
    """

    def __init__(
        self,
        etcd: Etcd,
        keys: Keys,
        settings: ClusterSettings,
        program: str,
        load: Callable[[], Load],
        lost: Callable[[], object],
        seen: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self.state: NodeState = "serving"
        self.lease = 0
        self.fence: Fence | None = None
        """None while it is no member. To be read by any thread."""
        self._etcd = etcd
        self._key = keys.node(settings.node)
        self._settings = settings
        self._load = load
        self._lost = lost
        self._seen = seen
        self._behind_since = math.inf
        """In Trio's time: since then it does not see its own heartbeats."""
        self._until = -math.inf
        """In Trio's time: it may serve so long."""
        self._beating: trio.Event | None = None
        """While a heartbeat is on its way that others wait for, too."""
        self._beaten = self._revision = 0
        self._has_left = False
        self.member = Member(
            node=settings.node,
            incarnation=secrets.token_hex(8),
            addr=settings.addr,
            program=program,
            state="serving",
            since=now_us(),
        )

    @property
    def is_valid(self) -> bool:
        """Whether it is a member, by all that it can know without asking."""
        if self.fence is None or trio.current_time() > self._behind_since + BEHIND_SECONDS:
            return False
        return trio.current_time() < self._until or not self._settings.fences_itself

    @property
    def lease_seconds(self) -> float:
        """How long it may serve without another keepalive."""
        return max(0.0, self._until - trio.current_time())

    def check(self) -> None:
        """Raises Unavailable unless it is a member."""
        if not self.is_valid:
            raise Unavailable(
                "this node cannot reach the etcd of its cluster, and does nothing until it can: try again, "
                "another node may do it"
            )

    async def join(self) -> None:
        """Become a member; a node of this id that has just ended is waited for.

        Raises DuplicateNode if one goes on, Refused.
        """
        holder, waited = None, -math.inf
        while True:
            try:
                found = await self._try_to_join()
            except (LeaseGone, Unanswered) as failed:
                _log.warning("this node cannot join the cluster yet: %s", failed)
                await trio.sleep(RETRY_SECONDS)
                continue
            if found is None:
                return
            other = msgspec.json.decode(found.value, type=Member)
            if holder != found.create_revision:
                holder, waited = found.create_revision, trio.current_time()
            if trio.current_time() > waited + self._settings.ttl + 2:
                raise DuplicateNode(
                    f"there is a node {other.node} in the cluster {self._settings.name} already, "
                    f"at {other.addr}: give this one another --node-id, or stop that one"
                )
            await trio.sleep(RETRY_SECONDS)

    async def _try_to_join(self) -> KeyValue | None:
        """The key of another node of this id, if there is one."""
        began = trio.current_time()
        lease = await self._etcd.grant(self._settings.ttl)
        try:
            answer = await self._etcd.transact(
                [created(self._key, 0)],
                [put(self._key, self._told(), lease=lease)],
                [get(self._key)],
                again=True,
            )
        except BaseException:
            with trio.move_on_after(RETRY_SECONDS, shield=True):
                await self._let_go(lease)
            raise
        found = None if answer.succeeded else answer.found[0][0] if answer.found[0] else None
        mine = answer.succeeded or (found is not None and found.lease == lease)
        if not mine:
            await self._let_go(lease)
            if found is None:
                raise Unanswered("the key of a node went away just then")
            return found
        self.lease = lease
        self.fence = Fence(self._key, answer.revision if found is None else found.create_revision)
        self._until = began + FENCE_AFTER * self._settings.ttl
        return None

    async def _let_go(self, lease: int) -> None:
        try:
            await self._etcd.revoke(lease)
        except (Refused, Unanswered) as failed:  # it ends by itself
            _log.debug("lease %x could not be given back: %s", lease, failed)

    async def keep(self) -> None:
        """Stay a member until it leaves: join again where the lease has ended all the same."""
        async with trio.open_nursery() as nursery:
            while not self._has_left:
                if self.fence is None:
                    await self.join()
                    _log.info("node %s is a member of the cluster again", self.member.node)
                # An answer is of use also when it comes after the next was asked for, as where etcd is busy.
                nursery.start_soon(self._keep_alive)
                with trio.move_on_after(self._settings.ttl / BEATS):
                    await self._beat_or_tell()
                    await trio.sleep_forever()
            nursery.cancel_scope.cancel()

    async def _keep_alive(self) -> None:
        lease, began = self.lease, trio.current_time()
        try:
            left = await self._etcd.keep_alive(lease)
        except LeaseGone:
            left = 0
        except (Refused, Unanswered) as failed:
            _log.warning("etcd does not answer (%s): this node stops in %.1f s", failed, self.lease_seconds)
            return
        if lease != self.lease or self.fence is None:
            return
        if left > 0:
            self._until = max(self._until, began + FENCE_AFTER * self._settings.ttl)
        else:
            self._throw_out()

    def _throw_out(self) -> None:
        if self.fence is not None:
            _log.error(
                "the lease of this node has ended, and its sessions are other nodes' now: it joins again"
            )
            self.fence, self._until = None, -math.inf
            self._lost()

    async def _beat_or_tell(self) -> None:
        is_behind = self._seen() < self._revision  # of the last heartbeat, or one that others wanted just now
        self._behind_since = min(self._behind_since, trio.current_time()) if is_behind else math.inf
        try:
            await self.beat()
        except (Unavailable, Refused, Unanswered) as failed:
            _log.debug("no heartbeat: %s", failed)

    async def beat(self) -> int:
        """Say how this node is, now; the revision at which that was said, in an order with all that others
        do.

        Who comes while one is on its way waits for the next. Raises Unavailable, Refused, Unanswered.
        """
        began = self._beaten
        while self._beating is not None:
            await self._beating.wait()
            if self._beaten > began + 1:  # one that began after this was asked for
                return self._revision
        beating = self._beating = trio.Event()
        try:
            self._revision = await self._beat()
            self._beaten += 1
            return self._revision
        finally:
            self._beating = None
            beating.set()

    async def _beat(self) -> int:
        fence = self.fence
        if fence is None:
            self.check()
            raise Unavailable("this node is no member of its cluster now")
        answer: Answer = await self._etcd.transact(
            [created(fence.key, fence.revision)], [put(fence.key, self._told(), lease=self.lease)], again=True
        )
        if not answer.succeeded:
            if fence == self.fence:
                self._throw_out()
            self.check()
        return answer.revision

    def _told(self) -> bytes:
        self.member = replace(self.member, state=self.state, load=self._load())
        return msgspec.json.encode(self.member)

    async def leave(self) -> None:
        """Be a member no more, at once; what it has is free then."""
        self._has_left = True
        self.fence, self._until = None, -math.inf
        await self._let_go(self.lease)
