"""The section on the replay and debug commands."""

from __future__ import annotations

from benchmarks.commands import Measured
from benchmarks.figures import Cell, Figure, Figures, Part, Table, Text, columns

TITLE = "Replay and debug commands"
LEGEND = (
    "Each is a process of its own, its start included, on a store that no server has but where one is named. "
    "The first screen is 24 lines. Replays, searches by `bisect`, export, import and reports are measured "
    "once; the others are medians."
)


def parts(found: Measured) -> tuple[Part, ...]:
    """Its figures."""
    return (
        Figures("promised", "figure", figures(found)),
        Table("commands", columns("command", "seconds", "events|/s"), rows(found)),
        Table("bisect", columns("`bisect`", "seconds", "evaluations", "evaluations|/s"), bisect_rows(found)),
        Text(LEGEND),
    )


def figures(found: Measured) -> tuple[Figure, ...]:
    """The figures that have a target."""
    events = found.sizes.events
    most = (events - 1).bit_length() + 1
    speedup = found.replay_all_on_one / found.replay_all
    return (
        Figure(f"`log` of {events:,} events, a store: first screen", found.log_store * 1_000, "ms", 300),
        Figure(f"`log` of {events:,} events, a server: first screen", found.log_server * 1_000, "ms", 300),
        Figure("`bisect`: evaluations", found.kept.evaluations, "", most + 1),
        Figure(
            f"`replay --all` on {found.processors} processors relative to one",
            speedup,
            "",
            0.75 * found.processors,
            at_least=True,
        ),
    )


def rows(found: Measured) -> tuple[tuple[Cell, ...], ...]:
    """What each command took."""
    sizes = found.sizes
    every = sizes.sessions * sizes.of_session
    return (
        ("`--version`: the start of a command", found.start, None),
        _row(f"`find`, text of the last of {sizes.searched:,} events", found.find_last, sizes.searched),
        _row("`find`, text that none of them has", found.find_none, sizes.searched),
        _row(f"`replay`, one session of {sizes.events:,} events", found.replay, sizes.events),
        _row(f"`replay --all`, {sizes.sessions} sessions, one processor", found.replay_all_on_one, every),
        _row(f"`replay --all`, the same, {found.processors} processors", found.replay_all, every),
        _row(f"`export`, {sizes.events:,} events", found.exported, sizes.events),
        _row("`import` of that file, verified", found.imported, sizes.events),
        _row(
            f"`report`, {sizes.events:,} events, {found.report_bytes / 1e6:.1f} MB",
            found.report,
            sizes.events,
        ),
        _row("`report --no-replay`", found.report_bare, sizes.events),
    )


def bisect_rows(found: Measured) -> tuple[tuple[Cell, ...], ...]:
    """What searches took."""
    searches = {"with a server's checkpoints": found.kept, "without checkpoints": found.bare}
    return tuple(
        (how, one.seconds, one.evaluations, one.evaluations / one.seconds) for how, one in searches.items()
    )


def _row(command: str, seconds: float, events: int) -> tuple[Cell, ...]:
    return command, seconds, events / seconds
