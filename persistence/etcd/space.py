"""The room that etcd has: its quota, which nothing of the log may use up.

At its quota etcd writes nothing at all, so that nodes cannot say that they are there. So before that nodes
refuse new sessions, then all that is to be recorded; the leader moves the log to S3 without a pause, and lets
etcd forget what was deleted. etcd counts what its file takes, also what is free in it: that is given back by
making the file anew, one member after the other, since none answers meanwhile.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from typing import NoReturn

import trio

from engine.errors import StoreFailed, StoreFull
from persistence.etcd.client import Etcd
from persistence.etcd.failures import EtcdError
from persistence.etcd.requests import Status

_log = logging.getLogger(__name__)

TIGHT_AT = 0.6
"""Of the quota: it is told, and the log is moved to S3 without a pause."""
NO_SESSIONS_AT = 0.8
NOTHING_AT = 0.9
"""The rest is for what the nodes need to say that they are there, and to move the log."""
CALM_AT = 0.5
"""Of the quota: below that it would be told again."""
LOOK_SECONDS = 5.0
FORGET_SECONDS = 60.0
"""etcd keeps so long what was deleted, for watches that are behind."""
ALARM_SECONDS = 3.0
"""At most so long one of the nodes waits before it mends what all of them see."""


class Space:
    """Of one cluster's etcd, as a node sees it. ``quota``: bytes, as etcd has it."""

    def __init__(self, etcd: Etcd, quota: int) -> None:
        self._etcd = etcd
        self.quota = quota
        self.used = 0.0
        """Part of the quota, at the member that uses most; without what can be given back (any thread)."""
        self.is_out = False
        """Whether etcd writes nothing (any thread)."""
        self.is_swollen = False
        """Whether a member's file takes much more than what is in it."""
        self._was_told = False

    @property
    def is_tight(self) -> bool:
        """Whether room is to be made without a pause."""
        return self.is_out or self.used >= TIGHT_AT

    def check_session(self) -> None:
        """Raises StoreFull where there is no room for new sessions."""
        if self.is_out or self.used >= NO_SESSIONS_AT:
            raise StoreFull(f"no new session is taken: {self._why()}")

    def check(self) -> None:
        """Raises StoreFailed where there is no room for events (any thread)."""
        if self.used >= NOTHING_AT:
            raise StoreFailed(f"the event was not stored: {self._why()}")

    async def run(self) -> None:
        """Look, for ever; and mend it where etcd has no space any more."""
        while True:
            try:
                await self.look()
                if self.is_out:
                    await trio.sleep(random.uniform(0, ALARM_SECONDS))  # noqa: S311 (not for secrets)
                    if await self.look():
                        await self.make_room()
            except EtcdError as failed:
                _log.warning("etcd could not be given room: %s", failed)
            await trio.sleep(LOOK_SECONDS)

    async def keep_small(self) -> NoReturn:
        """Let etcd forget what was deleted, and give back what is free in its files, for ever: what the
        leader does.
        """
        passed: list[tuple[float, int]] = []
        """When which revision was the newest."""
        while True:
            try:
                now = trio.current_time()
                passed.append((now, await self._newest()))
                forget = 0.0 if self.is_tight else FORGET_SECONDS
                if old := [revision for at, revision in passed if at <= now - forget]:
                    await self._etcd.compact(old[-1])
                    del passed[: len(old)]
                if self.is_swollen:
                    await self.make_room()
            except EtcdError as failed:
                _log.warning("etcd could not be made to forget: %s", failed)
            await trio.sleep(LOOK_SECONDS)

    async def look(self) -> Sequence[Status]:
        """See how it is; what the members say that have no space to write."""
        known = [member.status for member in await self._etcd.members() if member.status is not None]
        if known:
            self.used = max(map(self._used, known)) / self.quota
            self.is_swollen = any(self._is_swollen(one) for one in known)
        out = [one for one in known if any("NOSPACE" in error for error in one.errors)]
        self.is_out = bool(out)
        self._tell()
        return out

    async def make_room(self) -> None:
        """Let etcd forget what was deleted, and the members make their files anew; then let it write again.

        Raises EtcdError.
        """
        await self._etcd.compact(await self._newest())
        members = [one for one in await self._etcd.members() if one.status is not None]
        # the one that leads etcd comes last, so that another one leads but once
        for member in sorted(members, key=lambda one: one.status is not None and one.status.is_leader):
            if member.status is not None and self._is_swollen(member.status):
                _log.info("etcd at %s makes its file anew", member.endpoint)
                await self._etcd.defragment(member.endpoint)
        if await self.look() and self.used < NOTHING_AT:
            await self._etcd.disarm()
            await self.look()

    async def _newest(self) -> int:
        return (await self._etcd.get(b"\0", limit=1, keys_only=True)).revision

    def _used(self, status: Status) -> int:
        return status.db_in_use if self._is_swollen(status) else status.db_size

    def _is_swollen(self, status: Status) -> bool:
        return status.db_size >= TIGHT_AT * self.quota and status.db_in_use < 0.8 * status.db_size

    def _why(self) -> str:
        return (
            f"the etcd of the cluster uses {self.used:.0%} of its quota, since the log is not moved "
            "to S3 as fast as it grows: try again later, or let the operator see what S3 says"
        )

    def _tell(self) -> None:
        if self.used < CALM_AT and not self.is_out:
            self._was_told = False
        elif self.is_tight and not self._was_told:
            self._was_told = True
            _log.warning(
                "etcd uses %.0f %% of its quota: is S3 there? At %.0f %% no new session is taken, at %.0f %% "
                "no event",
                100 * self.used,
                100 * NO_SESSIONS_AT,
                100 * NOTHING_AT,
            )
