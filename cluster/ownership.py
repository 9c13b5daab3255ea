"""The sessions that this node has: claimed in etcd under its lease, one key each.

A key's create revision is the token under which the session's events are appended. A session is had as long
as something here uses it, and a little longer, since who has used it is likely to do so again.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

import msgspec
import trio
from msgspec import Struct

from cluster.keys import Keys
from cluster.membership import Membership
from cluster.records import Owned
from cluster.view import View
from engine.errors import Elsewhere, EngineError, Unavailable
from persistence.etcd.client import Etcd
from persistence.etcd.failures import Refused, Unanswered
from persistence.etcd.fences import Fence
from persistence.etcd.requests import created, delete, get, put

_log = logging.getLogger(__name__)

LINGER_SECONDS = 5.0
"""How long a session that nothing uses any more is kept."""
SWEEP_SECONDS = 1.0
_AT_ONCE = 50
"""Sessions that are given up in one transaction: etcd takes 128 operations."""

Session = tuple[str, str]
"""Owner and name."""


class _Held(Struct):
    revision: int
    uses: int = 0
    idle_since: float = 0.0
    is_known: bool = False
    """Whether the log here has what others wrote of it: until then nobody may use it."""
    is_going: bool = False
    """Whether it is being given up: until then nobody may use it again."""


class Ownership:
    """Claims and gives up. ``caught_up`` waits until the log here has what was written up to a revision;
    ``lost`` is told of each session that this node has no more.
    """

    def __init__(
        self,
        etcd: Etcd,
        keys: Keys,
        membership: Membership,
        view: View,
        caught_up: Callable[[int], Awaitable[None]],
        lost: Callable[[str, str], object],
    ) -> None:
        self._etcd = etcd
        self._keys = keys
        self._membership = membership
        self._view = view
        self._caught_up = caught_up
        self._lost = lost
        self._held: dict[Session, _Held] = {}
        self._claiming: dict[Session, trio.Event] = {}
        self._wanted = trio.Event()
        """Somebody waits for sessions to be given up."""
        self._fewer = trio.Event()
        """Set, and replaced, when one is used less, or was given up."""

    # --- for the log, in any thread -------------------------------------------------------------

    @property
    def node(self) -> Fence | None:
        """This node's fence."""
        return self._membership.fence

    def of(self, owner: str, name: str) -> Fence | None:
        """The session's fence, if this node has it."""
        held = self._held.get((owner, name))
        if held is None or not held.is_known:
            return None
        return Fence(self._keys.own(owner, name), held.revision)

    # --- for the engine -------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._held)

    @property
    def sessions(self) -> list[Session]:
        """Those that this node has."""
        return list(self._held)

    async def released(self) -> None:
        """Until a session is used less, or given up."""
        await self._fewer.wait()

    async def empty(self) -> None:
        """Until this node has none."""
        while self._held:
            await self._fewer.wait()

    def is_used(self, owner: str, name: str) -> bool:
        """Whether this node has the session, and something here uses it."""
        held = self._held.get((owner, name))
        return held is not None and held.uses > 0

    def node_of(self, owner: str, name: str) -> str | None:
        """The node that has the session, as far as this one has seen."""
        if (held := self._held.get((owner, name))) is not None and not held.is_going:
            return self._membership.member.node
        seen = self._view.owned.get(self._keys.own(owner, name))
        return None if seen is None else seen.value.node

    async def claim(self, owner: str, name: str) -> int:
        """Have the session, once more; the token. Raises Elsewhere, Unavailable."""
        session = owner, name
        while True:
            held = self._held.get(session)
            if held is not None and held.is_known and not held.is_going:
                self._membership.check()
                held.uses += 1
                return held.revision
            if (claiming := self._claiming.get(session)) is None:
                break
            await claiming.wait()
        self._membership.check()
        self._claiming[session] = done = trio.Event()
        try:
            if held is None or held.is_going:
                revision = await self._claim(owner, name)
            else:  # an earlier claim came to its end before what others wrote was known
                revision = held.revision
            await self._caught_up(revision)
            held = self._held.get(session)
            if held is None or held.revision != revision or held.is_going:  # the lease has ended meanwhile
                raise Unavailable("this node lost the session just then; try again")
            held.is_known = True
            held.uses += 1
            return revision
        finally:
            del self._claiming[session]
            done.set()

    async def _claim(self, owner: str, name: str) -> int:
        key, fence = self._keys.own(owner, name), self._membership.fence
        assert fence is not None
        member = self._membership.member
        mine = Owned(node=member.node, incarnation=member.incarnation, owner=owner, name=name)
        while (held := self._held.get((owner, name))) is not None:  # it is being given up
            await self._give_up([(owner, name)])
            if held.is_going and self._held.get((owner, name)) is held:
                raise Unavailable("etcd does not answer; try again")
        try:
            answer = await self._etcd.transact(
                [created(fence.key, fence.revision), created(key, 0)],
                [put(key, msgspec.json.encode(mine), lease=self._membership.lease)],
                [get(key)],
                again=True,
            )
        except (Refused, Unanswered) as failed:
            raise Unavailable(f"the session cannot be had now: {failed}") from failed
        if answer.succeeded:
            revision = answer.revision
        elif not answer.found[0]:
            raise Unavailable("this node is no member of its cluster now; try again, another node may do it")
        else:
            found = answer.found[0][0]
            owned = msgspec.json.decode(found.value, type=Owned)
            if owned != mine:
                raise Elsewhere(f"node {owned.node} has the session")
            revision = found.create_revision  # of an earlier attempt, of which this node has not heard
        if self._membership.fence == fence:
            self._held[owner, name] = _Held(revision, idle_since=trio.current_time())
        return revision

    def release(self, owner: str, name: str, token: int) -> None:
        """One use less under that token. Nothing where the lease has ended since, whoever has it now."""
        held = self._held.get((owner, name))
        if held is None or held.revision != token:
            return
        held.uses = max(0, held.uses - 1)
        self._note_fewer()
        if not held.uses:
            held.idle_since = trio.current_time()
            if self._membership.state == "draining":
                self._wanted.set()

    async def give_up(self, owner: str, name: str) -> None:
        """Have the session no more, now that nothing here uses it. Raises Unavailable."""
        if (owner, name) in self._claiming:
            return
        if (held := self._held.get((owner, name))) is None:
            await self._give_up_unheard(owner, name)
        elif not held.uses:
            await self._give_up([(owner, name)])

    def lose_all(self) -> None:
        """The lease has ended: other nodes may have them."""
        sessions = list(self._held)
        self._held.clear()
        self._note_fewer()
        for session in sessions:
            self._lost(*session)

    async def sweep(self) -> None:
        """Give up, for ever, what nothing uses any more."""
        while True:
            self._wanted = trio.Event()
            linger = 0.0 if self._membership.state == "draining" else LINGER_SECONDS
            late = trio.current_time() - linger
            idle = [
                session
                for session, held in self._held.items()
                if not held.uses and held.idle_since <= late and session not in self._claiming
            ]
            for first in range(0, len(idle), _AT_ONCE):
                try:
                    await self._give_up(idle[first : first + _AT_ONCE])
                except EngineError as failed:
                    _log.debug("sessions are given up later: %s", failed.message)
            with trio.move_on_after(SWEEP_SECONDS):
                await self._wanted.wait()

    async def _give_up(self, sessions: list[Session]) -> None:
        fence = self._membership.fence
        going = {}
        for session in sessions:
            held = self._held.get(session)
            if held is not None and not held.uses:
                held.is_going = True
                going[session] = held
        if not going or fence is None:
            return
        keys = {session: self._keys.own(*session) for session in going}
        try:
            await self._etcd.transact(
                [created(fence.key, fence.revision), *(created(keys[s], going[s].revision) for s in going)],
                [delete(key) for key in keys.values()],
                again=True,
            )
        except (Refused, Unanswered) as failed:
            raise Unavailable(f"etcd does not answer: {failed}") from failed
        for session, held in going.items():
            if self._held.get(session) is held:
                del self._held[session]
        self._note_fewer()

    async def _give_up_unheard(self, owner: str, name: str) -> None:
        """Give up what a claim got of whose success this node has not heard."""
        key, fence, member = self._keys.own(owner, name), self._membership.fence, self._membership.member
        seen = self._view.owned.get(key)
        if fence is None or seen is None or seen.value.incarnation != member.incarnation:
            return
        try:
            await self._etcd.transact(
                [created(fence.key, fence.revision), created(key, seen.created)], [delete(key)], again=True
            )
        except (Refused, Unanswered) as failed:
            raise Unavailable(f"etcd does not answer: {failed}") from failed

    def _note_fewer(self) -> None:
        fewer, self._fewer = self._fewer, trio.Event()
        fewer.set()
