"""The section on the image and its containers."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

from benchmarks import container
from benchmarks.container import Measured
from benchmarks.figures import ROOT_ONLY, Cell, Figure, Figures, Part, Table, Text, columns

TITLE = "Container"
NO_ENGINE = "Nothing was measured here: there is neither podman nor docker on this machine."
SHOWN_BYTES = 50_000
"""Of a layer that has a line of its own."""
MB, MIB = 1_000_000, 1 << 20


def measured(folder: Path, rounds: int) -> Measured | None:
    """Measure all of it, with stores in ``folder``; None where no container can be run."""
    engine = container.found_engine()
    return None if engine is None else container.measured(engine, folder, rounds)


def parts(found: Measured | None) -> tuple[Part, ...]:
    """Its figures."""
    if found is None:
        return (Text(NO_ENGINE),)
    return (
        Table("size", columns("part of the image", "MB"), size_rows(found)),
        Table("start", columns("start", "median|s", "least|s", "most|s"), start_rows(found)),
        Figures("memory", "idle memory", memory_figures(found)),
        *([ROOT_ONLY] if found.idle.proportional is None else []),
        Text(legend(found)),
    )


def size_rows(found: Measured) -> tuple[tuple[Cell, ...], ...]:
    """The sizes, from the base upwards."""
    return (
        (f"`{container.BASE}`", found.base / MB),
        *((f"`{_short(one.step)}`", one.size / MB) for one in found.layers if one.size > SHOWN_BYTES),
        ("all of it", found.size / MB),
        ("without the base", (found.size - found.base) / MB),
    )


def start_rows(found: Measured) -> tuple[tuple[Cell, ...], ...]:
    """The times until the first answer."""
    starts = {
        "`run` to the first answer of `/api/exec`": found.inside,
        "the same without a container": found.outside,
    }
    return tuple((what, statistics.median(times), min(times), max(times)) for what, times in starts.items())


def memory_figures(found: Measured) -> tuple[Figure, ...]:
    """The memory; that of processes is not measured where only root may look."""
    proportional = None if found.idle.proportional is None else found.idle.proportional / MIB
    return (
        Figure("PSS of all processes", proportional, "MiB"),
        Figure("its control group, files that were read included", found.idle.charged / MIB, "MiB"),
    )


def legend(found: Measured) -> str:
    """How the tables are to be read."""
    return (
        f"With {found.engine}; sizes are before compression. Times are medians of "
        f"{len(found.inside)} starts with an empty store and their range, files being in memory. "
        "Idle is a server with one live session, after MCP was spoken; "
        "its group is not charged with files that another container had read before."
    )


def _short(step: str, most: int = 60) -> str:
    """The first command of a step, which has no more to it in a table: ``|`` would end the cell."""
    step = re.split(r" (?:&&|\|\|) ", step)[0]
    return step if len(step) <= most else f"{step[: most - 1]}…"
