"""What an operator sees of a cluster, and what can be asked of it."""

from __future__ import annotations

from typing import Literal, Protocol

from msgspec import Struct

NodeState = Literal["serving", "draining", "silent"]
"""``silent``: its lease lasts still, but nothing has been heard of it for longer than usual."""


class NodeStatus(Struct, frozen=True, kw_only=True):
    """One node, as the node that was asked sees it."""

    node: str
    """Its id."""
    addr: str
    """Where the others reach it, HOST:PORT."""
    program: str
    """Its version of mcp-v8."""
    state: NodeState
    sessions: int
    """How many it owns."""
    running: int
    """Executions that run there now."""
    queued: int
    """Executions that wait there."""
    since: int
    """When it joined, in microseconds since 1970."""
    lease_seconds: float | None
    """What is left of its lease; null where etcd could not say."""
    lag_seconds: float | None
    """For how long nothing has been heard of it; null of the node that was asked."""


class EtcdMember(Struct, frozen=True, kw_only=True):
    """One member of etcd."""

    endpoint: str
    version: str | None
    """Null if it does not answer."""
    is_leader: bool
    """Of etcd itself, which has nothing to do with the leader among the nodes."""
    db_bytes: int
    """What its file takes, which is what the quota is about."""
    in_use_bytes: int
    """What of that holds anything."""
    quota_bytes: int | None
    """From there on it takes no writes; null where it does not say."""
    error: str | None
    """What is wrong with it."""


class ClusterStatus(Struct, frozen=True, kw_only=True):
    """A cluster, as the node that was asked sees it."""

    name: str
    node: str
    """Which one was asked."""
    leader: str | None
    """The node that moves the log from etcd to S3; null while there is none."""
    ttl_seconds: float
    """How long a node may be silent until its sessions are others'."""
    format: int
    """Version of what the nodes write for each other."""
    nodes: tuple[NodeStatus, ...]
    etcd: tuple[EtcdMember, ...]
    tail_batches: int
    """Batches of the log that are in etcd, and not yet in S3."""
    tail_bytes: int
    """What they take."""
    archived: int | None
    """Number of the last batch of the log in S3; null where nothing is kept."""


class Clustering(Protocol):
    """What the engine of a node can be asked about its cluster."""

    async def status(self) -> ClusterStatus:
        """How it is. Raises Unavailable."""
        ...

    async def drain(self, node: str) -> None:
        """Let the node hand over its sessions and take no more; returns as soon as it knows that.

        Raises NotFound, Conflict, Unavailable.
        """
        ...

    async def move(self, owner: str, session: str, node: str) -> None:
        """Hand a session over to a node; returns once that owns it.

        Raises NotFound, Conflict, Unavailable.
        """
        ...
