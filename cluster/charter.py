"""What all nodes of a cluster have agreed on, which the first one writes: the format, and that they know one
secret.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Iterable
from hashlib import sha256

import trio

from cluster.keys import Keys
from cluster.records import FORMAT, Member
from cluster.settings import ClusterSettings
from engine.errors import EngineError
from persistence.etcd.client import Etcd
from persistence.etcd.failures import Refused, Unanswered
from persistence.etcd.requests import created, get, put

_log = logging.getLogger(__name__)

START_SECONDS = 30.0
"""How long etcd may take to answer at the start: the cluster's machines may have just been switched on."""
PAUSE_SECONDS = 1.0


class ClusterRefused(EngineError):
    """This server cannot be a node of that cluster."""

    code = "cluster_refused"


async def agree(etcd: Etcd, keys: Keys, settings: ClusterSettings) -> None:
    """See whether this node fits the cluster; the first one makes it.

    Raises ClusterRefused if it does not, or etcd is not to be had.
    """
    proof = hmac.digest(settings.secret, f"mcp-v8 cluster {settings.name}".encode(), sha256).hex().encode()
    version = str(FORMAT).encode()
    found = await _found(etcd, keys, proof, version)
    told = found[keys.format].decode(errors="replace")[:20]
    # One that is older is written as long as a node is there that knows no newer one (``raised``).
    if not told.isdecimal() or int(told) > FORMAT:
        raise ClusterRefused(
            f"the cluster {settings.name} keeps its data in format {told}, and this mcp-v8 knows "
            f"format {FORMAT}: start the version that its other nodes have"
        )
    if not hmac.compare_digest(found[keys.secret], proof):
        raise ClusterRefused(
            f"the nodes of the cluster {settings.name} have another secret than this one: give all the same "
            "--cluster-secret-file, or this one another --cluster-name"
        )


async def _found(etcd: Etcd, keys: Keys, proof: bytes, version: bytes) -> dict[bytes, bytes]:
    deadline = trio.current_time() + START_SECONDS
    while True:
        try:
            answer = await etcd.transact(
                [created(keys.format, 0), created(keys.secret, 0)],
                [put(keys.format, version), put(keys.secret, proof)],
                [get(keys.format), get(keys.secret)],
                again=True,
            )
        except Refused as refused:
            raise ClusterRefused(f"etcd refuses this server: {refused}") from refused
        except Unanswered as failed:
            if trio.current_time() > deadline:
                raise ClusterRefused(f"the etcd of the cluster cannot be reached: {failed}") from failed
            _log.warning("etcd is waited for: %s", failed)
            await trio.sleep(PAUSE_SECONDS)
            continue
        if answer.succeeded:
            return {keys.format: version, keys.secret: proof}
        found = {item.key: item.value for items in answer.found for item in items}
        return {keys.format: found.get(keys.format, b"?"), keys.secret: found.get(keys.secret, b"")}


def raised(written: int, members: Iterable[Member]) -> int | None:
    """The format that the nodes shall write from now on, as all of them can read it; None: as they do."""
    newest = min((member.format for member in members), default=written)
    return newest if newest > written else None
