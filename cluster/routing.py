"""Which node shall have a session, or run something, that none has yet. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from cluster.records import Load, Member

SLACK = 2.0
"""So much more than the least busy node has to do, by processor, a node takes on before it sends work
there.
"""


def busyness(load: Load, more: int = 0) -> float:
    """Executions under way or waiting, by processor, and so many more."""
    return (load.running + load.queued + more) / max(1, load.processors)


def serving(members: Mapping[str, Member]) -> dict[str, Member]:
    """Those that take on something new."""
    return {node: member for node, member in members.items() if member.state == "serving"}


def least_busy(
    members: Mapping[str, Member], here: str, under_way: int, sent: Mapping[str, int]
) -> str | None:
    """Where something new shall go, of those that serve: ``here`` unless that is much busier; None: nowhere.

    ``under_way``: executions here now; ``sent``: what others have from here, which they may not have told
    yet.
    """
    candidates = serving(members)
    if not candidates:
        return None
    loads = {node: busyness(member.load, sent.get(node, 0)) for node, member in candidates.items()}
    if here in loads:
        loads[here] = busyness(Load(processors=candidates[here].load.processors), under_way)
    least = min(loads, key=lambda node: (loads[node], node))
    if here in loads and loads[here] <= loads[least] + SLACK:
        return here
    return least


def rendezvous(members: Mapping[str, Member], key: str) -> str | None:
    """The one of those that serve that all nodes agree on, by highest random weight (Thaler, Ravishankar)."""
    return max(serving(members), key=lambda node: sha256(f"{node}\0{key}".encode()).digest(), default=None)
