"""The section on stores in S3, as tables."""

from __future__ import annotations

from benchmarks.bucket import CLIENTS, EVENTS, PUTS, Bucket
from benchmarks.figures import Figure, table

LEGEND = (
    "SeaweedFS on this machine, whose processors it shares with the server. An append waits for the put "
    "under way, if there is one, and for its own, with all that came meanwhile: means of both, of the same "
    f"seconds. Below the rates, {PUTS} puts of 1 KB by a client of their own, one after the other. A restart "
    "is from the start of the process to the first answer of the session, which has a checkpoint."
)


def section(found: Bucket | None) -> list[str]:
    """Its lines, Markdown."""
    head = ["## Stores in S3", ""]
    if found is None:
        return [*head, "Not measured: there is no SeaweedFS for this machine.", ""]
    figure = Figure(
        f"durable in S3, {CLIENTS[-1]} sessions: an append, in puts", found.append / found.put, "", 1.5
    )
    rates = [
        [f"{one.where}, {one.clients} sessions", f"{one.per_second:,.0f}", f"{one.p50:.1f}", f"{one.p99:.1f}"]
        for one in found.durable
    ]
    floor = [
        "one put of S3 itself",
        f"{1_000 / found.put_p50:,.0f}",
        f"{found.put_p50:.1f}",
        f"{found.put_p99:.1f}",
    ]
    return [
        *head,
        table(["figure", "measured", "target", "met"], [figure.row()]),
        "",
        table(["executions on", "per second", "p50 ms", "p99 ms"], [*rates, floor]),
        "",
        table(
            [f"first answer after a restart, {EVENTS:,} events", "seconds", "objects read"],
            [[one.what, f"{one.seconds:.2f}", f"{one.gets:,.0f}"] for one in found.restarts],
        ),
        "",
        table(
            [f"asked of S3 for 1,000 executions of {CLIENTS[-1]} sessions", "requests or bytes"],
            [[name, f"{value:,.0f}"] for name, value in found.asked.items() if value >= 0.5],
        ),
        "",
        LEGEND,
        "",
    ]
