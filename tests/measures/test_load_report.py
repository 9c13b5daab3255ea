"""The section on the open loop says what came of the loads, and what is promised of them."""

from __future__ import annotations

from benchmarks.arrivals import Outcome
from benchmarks.figures import Table
from benchmarks.load_report import BAR, LIVE, PUBLISHED, STATELESS, Load, Measured, figures, parts, row

QUICK = Outcome(asked=100, latencies_us=[2_000] * 95 + [40_000] * 5, late_us=[80] * 100, seconds=0.5)
REFUSED = Outcome(asked=100, latencies_us=[2_000] * 90, late_us=[80] * 100, failures={"429": 10}, seconds=0.5)
FOUND = Measured(
    seconds=6,
    loads=[
        Load(kind=STATELESS, rate=BAR, follow=True, outcome=REFUSED),
        Load(kind=LIVE, rate=BAR, follow=True, outcome=QUICK),
        Load(kind=LIVE, rate=BAR, follow=False, outcome=QUICK),
    ],
)


def test_a_load_is_shown_as_its_rate_success_and_latencies() -> None:
    assert row(FOUND.loads[1]) == (LIVE.name, 200, 200, 100, 2, 40, 40)
    assert row(FOUND.loads[0])[2:] == (180, 90, 2, 10_000, 10_000)


def test_what_is_promised_is_judged_where_executions_are_followed() -> None:
    assert [(figure.name, figure.is_met) for figure in figures(FOUND)] == [
        ("200/s, stateless: p95", False),
        ("200/s, stateless: success", False),
        (f"200/s, {LIVE.name}: p95", False),
        (f"200/s, {LIVE.name}: success", True),
    ]


def test_published_figures_say_that_they_are_another_machines() -> None:
    (table,) = (part for part in parts(FOUND) if isinstance(part, Table))
    published = [
        name for name in table.column("load") if "Rust mcp-v8, published, another machine: " in str(name)
    ]
    assert len(published) == len(PUBLISHED)
