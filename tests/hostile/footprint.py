"""What a server takes of the machine: processes, descriptors, memory."""

from __future__ import annotations

from pathlib import Path

import httpx2
from msgspec import Struct

from benchmarks.processes import all_stats, descendants, smaps


class Footprint(Struct, frozen=True):
    """Of a server at one moment."""

    processes: int
    """Below it: the zygote, the workers that are ready, those of live sessions."""
    descriptors: int
    memory_mib: float
    """Private and not shared with another process, of the server alone."""


def footprint(pid: int) -> Footprint:
    """Of the server with that process id."""
    fields = smaps(pid)
    private = fields["Private_Clean"] + fields["Private_Dirty"]
    return Footprint(
        processes=len(descendants(pid, all_stats())),
        descriptors=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        memory_mib=private / 1024,
    )


async def settled(asking: httpx2.AsyncClient, pid: int, level: Footprint) -> Footprint:
    """As soon as it has no more processes and descriptors than at ``level``. Bound it.

    The requests that it waits with go over a connection that was open before.
    """
    while True:
        await asking.get("/healthz")
        now = footprint(pid)
        if now.processes <= level.processes and now.descriptors <= level.descriptors:
            return now
