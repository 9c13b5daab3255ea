"""Leases for the idempotency keys that were used lately.

A key in etcd keeps another node from using it too until every node has the execution in its index; it is gone
by itself after some time. One lease has the keys of half a minute.
"""

from __future__ import annotations

import logging
import time

import trio

from persistence.etcd.client import Etcd
from persistence.etcd.failures import EtcdError

_log = logging.getLogger(__name__)

TTL_SECONDS = 120
LEAST_SECONDS = 60.0
"""A key is there for so long at least: far longer than a node may be behind and still be a member."""
RENEW_SECONDS = 30.0
RETRY_SECONDS = 1.0


class KeyLeases:
    """Of one node."""

    def __init__(self, etcd: Etcd) -> None:
        self._etcd = etcd
        self._lease = (0, 0.0)
        """The newest, and until when keys may be put with it, by the monotonic clock."""

    def current(self) -> int:
        """The lease for a key that is put now (any thread); 0: there is none."""
        lease, until = self._lease
        return lease if time.monotonic() < until else 0

    async def run(self, task_status: trio.TaskStatus[None]) -> None:
        """Take one lease after the other, for ever; started once the first was tried."""
        told = ""
        while True:
            sent = time.monotonic()
            try:
                self._lease = await self._etcd.grant(TTL_SECONDS), sent + TTL_SECONDS - LEAST_SECONDS
                pause, told = RENEW_SECONDS, ""
            except EtcdError as failed:
                if str(failed) != told:
                    told = str(failed)
                    _log.warning("no lease for idempotency keys: %s", told)
                pause = RETRY_SECONDS
            if task_status is not trio.TASK_STATUS_IGNORED:
                task_status.started()
                task_status = trio.TASK_STATUS_IGNORED
            await trio.sleep(pause)
