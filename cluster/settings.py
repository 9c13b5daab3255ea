"""What a node has to know of its cluster."""

from __future__ import annotations

from msgspec import Struct


class ClusterSettings(Struct, frozen=True, kw_only=True):
    """As the operator gave it, checked."""

    name: str
    """Of the cluster: what it has in etcd is below this."""
    node: str
    """This node's id."""
    addr: str
    """HOST:PORT at which the other nodes reach it."""
    etcd: tuple[str, ...]
    """URLs of etcd's members."""
    secret: bytes
    """What all nodes know, and nobody else."""
    quota: int = 2 << 30
    """Bytes that each member of etcd may take."""
    ttl: int = 5
    """Seconds after which a node that is silent is no member any more."""
    fences_itself: bool = True
    """Whether it stops before that by its own clock. Nothing rests on it but how soon clients are told."""
