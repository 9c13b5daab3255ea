"""The section on stores in S3."""

from __future__ import annotations

from benchmarks.bucket import CLIENTS, EVENTS, PUTS, Bucket
from benchmarks.figures import Figure, Figures, Part, Table, Text, columns

TITLE = "Stores in S3"
NO_SERVER = "Not measured: there is no SeaweedFS for this machine."
LEGEND = (
    "SeaweedFS on this machine, whose processors it shares with the server. An append waits for the put "
    "under way, if there is one, and for its own, with all that came meanwhile: means of both, of the same "
    f"seconds. Below the rates, {PUTS} puts of 1 KB by a client of their own, one after the other. A restart "
    "is from the start of the process to the first answer of the session, which has a checkpoint."
)


def parts(found: Bucket | None) -> tuple[Part, ...]:
    """Its figures."""
    if found is None:
        return (Text(NO_SERVER),)
    promised = Figure(
        f"durable in S3, {CLIENTS[-1]} sessions: an append, in puts", found.append / found.put, "", 1.5
    )
    rates = tuple(
        (f"{one.where}, {one.clients} sessions", one.per_second, one.p50, one.p99) for one in found.durable
    )
    floor = ("one put of S3 itself", 1_000 / found.put_p50, found.put_p50, found.put_p99)
    restarts = columns(f"first answer after a restart, {EVENTS:,} events", "seconds", "objects read")
    asked = columns(f"asked of S3 for 1,000 executions of {CLIENTS[-1]} sessions", "requests or bytes")
    return (
        Figures("promised", "figure", (promised,)),
        Table("rates", columns("executions on", "per second", "p50|ms", "p99|ms"), (*rates, floor)),
        Table(
            "restarts", restarts, tuple((one.what, one.seconds, round(one.gets)) for one in found.restarts)
        ),
        Table("asked", asked, tuple((name, value) for name, value in found.asked.items() if value >= 0.5)),
        Text(LEGEND),
    )
