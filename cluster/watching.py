"""Following what happens in etcd: one watch of all that a cluster has there, which the view and the log see
in the same order.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from cluster.keys import Keys
from cluster.view import View
from persistence.etcd.client import Etcd
from persistence.etcd.failures import Compacted, Unanswered
from persistence.etcd.requests import get, prefix_end

if TYPE_CHECKING:
    from persistence.etcd.log import EtcdEventLog

_log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.2


async def watch(
    etcd: Etcd,
    keys: Keys,
    view: View,
    log: EtcdEventLog | None,
    lost: Callable[[str], object],
    *,
    task_status: trio.TaskStatus[None],
) -> None:
    """Follow it for ever; started once all is seen that was there before. ``lost`` hears of members that
    go.
    """
    start = await _look(etcd, keys, view)
    if log is not None:
        start = min(start, log.watch_from)
    task_status.started()
    while True:
        try:
            async with etcd.watch(keys.prefix, start) as changes:
                async for change in changes:
                    if log is not None:
                        log.take(change)
                    before = set(view.members)
                    view.apply(change.events, change.revision)
                    for gone in before - set(view.members):
                        lost(gone)
        except Compacted as compacted:
            _log.warning("this node has not heard of the others for too long (%s): it looks anew", compacted)
            start = await _look(etcd, keys, view)
            if log is not None:
                start = min(start, await log.renew())


async def _look(etcd: Etcd, keys: Keys, view: View) -> int:
    """See all that there is but for the log; the revision after it."""
    ranges = (get(prefix, prefix_end(prefix)) for prefix in (keys.nodes, keys.owned, keys.running))
    wanted = [get(keys.leader), get(keys.format), *ranges]
    while True:
        try:
            found = await etcd.transact([], wanted, again=True)
        except Unanswered as failed:
            _log.warning("etcd does not answer: %s", failed)
            await trio.sleep(PAUSE_SECONDS)
            continue
        view.reset([item for items in found.found for item in items], found.revision)
        return found.revision + 1
