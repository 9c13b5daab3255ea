"""The section on clusters."""

from __future__ import annotations

from benchmarks.cluster import MEMBERS, Cluster
from benchmarks.figures import Part, Table, Text, columns

TITLE = "Clusters"
NO_SERVERS = "Not measured: there is no SeaweedFS or no etcd on this machine."
LEGEND = (
    f"All on this machine, whose processors and one disk nodes, {MEMBERS} members of etcd, SeaweedFS and "
    "clients share: three nodes have a third of it each. The owner of a session is the node that runs it; "
    "what another node is asked for goes to that one and back."
)
GAPS = (
    "Nine clients, with a session each, behind what does as a balancer: it asks nodes that are ready, gives "
    "up one that is silent for 0.8 TTLs, and then sends the same again with the same idempotency key. The "
    "wait is that of the client that waited longest for one answer, with all its attempts. "
    "A session that is moved has one client, which asks the nodes in turn."
)


def parts(found: Cluster | None) -> tuple[Part, ...]:
    """Its figures."""
    if found is None:
        return (Text(NO_SERVERS),)
    rates = tuple(
        (f"{one.where}, {one.clients} sessions", one.per_second, one.p50, one.p99) for one in found.rates
    )
    gaps = tuple((one.fault, one.ttl, one.usual, one.longest, one.failed) for one in found.gaps)
    return (
        Table("rates", columns("durable executions on", "per second", "p50|ms", "p99|ms"), rates),
        Text(LEGEND),
        *(
            (
                Table(
                    "gaps",
                    columns("what happens", "TTL|s", "longest wait|s", "the worst|s", "attempts that failed"),
                    gaps,
                ),
                Text(GAPS),
            )
            if gaps
            else ()
        ),
    )
