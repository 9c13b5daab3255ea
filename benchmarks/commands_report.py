"""The section on the replay and debug commands: their measurements as tables."""

from __future__ import annotations

from benchmarks.commands import Bisection, Measured
from benchmarks.figures import Figure, table

LEGEND = (
    "Each is a process of its own, its start included, on a store that no server has but where one is named. "
    "The first screen is 24 lines. Replays, searches by `bisect`, export, import and reports are measured "
    "once; the others are medians."
)


def section(found: Measured) -> list[str]:
    """Its lines, Markdown."""
    return [
        "## Replay and debug commands",
        "",
        table(["figure", "measured", "target", "met"], [figure.row() for figure in figures(found)]),
        "",
        table(["command", "seconds", "a second"], rows(found)),
        "",
        LEGEND,
        "",
    ]


def figures(found: Measured) -> list[Figure]:
    """The figures that have a target."""
    events = found.sizes.events
    most = (events - 1).bit_length() + 1
    speedup = found.replay_all_on_one / found.replay_all
    return [
        Figure(f"`log` of {events:,} events, a store: first screen", found.log_store * 1_000, " ms", 300),
        Figure(f"`log` of {events:,} events, a server: first screen", found.log_server * 1_000, " ms", 300),
        Figure("`bisect`: evaluations", found.kept.evaluations, "", most + 1),
        Figure(
            f"`replay --all` on {found.processors} processors relative to one",
            speedup,
            "",
            0.75 * found.processors,
            at_least=True,
        ),
    ]


def rows(found: Measured) -> list[list[str]]:
    """What each command took."""
    sizes = found.sizes
    every = sizes.sessions * sizes.of_session
    return [
        ["`--version`: the start of a command", f"{found.start:.2f}", "–"],
        _row(f"`find`, text of the last of {sizes.searched:,} events", found.find_last, sizes.searched),
        _row("`find`, text that none of them has", found.find_none, sizes.searched),
        _row(f"`replay`, one session of {sizes.events:,} events", found.replay, sizes.events),
        _row(f"`replay --all`, {sizes.sessions} sessions, one processor", found.replay_all_on_one, every),
        _row(f"`replay --all`, the same, {found.processors} processors", found.replay_all, every),
        _bisect_row("with a server's checkpoints", found.kept),
        _bisect_row("without checkpoints", found.bare),
        _row(f"`export`, {sizes.events:,} events", found.exported, sizes.events),
        _row("`import` of that file, verified", found.imported, sizes.events),
        _row(
            f"`report`, {sizes.events:,} events, {found.report_bytes / 1e6:.1f} MB",
            found.report,
            sizes.events,
        ),
        _row("`report --no-replay`", found.report_bare, sizes.events),
    ]


def _row(command: str, seconds: float, events: int) -> list[str]:
    return [command, f"{seconds:.2f}", f"{events / seconds:,.0f} events"]


def _bisect_row(how: str, found: Bisection) -> list[str]:
    per_second = f"{found.evaluations / found.seconds:.1f} evaluations"
    return [f"`bisect` {how}, {found.evaluations} evaluations", f"{found.seconds:.2f}", per_second]
