"""The section on the image and its containers, as tables."""

from __future__ import annotations

import re
import statistics
from pathlib import Path

from benchmarks import container
from benchmarks.container import Measured
from benchmarks.figures import table

HEAD = "## Container"
NO_ENGINE = "Nothing was measured here: there is neither podman nor docker on this machine."
SHOWN_BYTES = 50_000
"""Of a layer that has a line of its own."""
MB, MIB = 1_000_000, 1 << 20


def measured(folder: Path, rounds: int) -> Measured | None:
    """Measure all of it, with stores in ``folder``; None where no container can be run."""
    engine = container.found_engine()
    return None if engine is None else container.measured(engine, folder, rounds)


def section(found: Measured | None) -> list[str]:
    """Its lines, Markdown."""
    if found is None:
        return [HEAD, "", NO_ENGINE, ""]
    return [
        HEAD,
        "",
        table(["part of the image", "MB"], size_rows(found)),
        "",
        table(["container", "measured"], life_rows(found)),
        "",
        legend(found),
        "",
    ]


def size_rows(found: Measured) -> list[list[str]]:
    """The sizes, from the base upwards."""
    return [
        [f"`{container.BASE}`", _mb(found.base)],
        *([f"`{_short(layer.step)}`", _mb(layer.size)] for layer in found.layers if layer.size > SHOWN_BYTES),
        ["all of it", _mb(found.size)],
        ["without the base", _mb(found.size - found.base)],
    ]


def life_rows(found: Measured) -> list[list[str]]:
    """The times and the memory."""
    idle = found.idle
    proportional = "not measured: run as root" if idle.proportional is None else _mib(idle.proportional)
    return [
        ["`run` to the first answer of `/api/exec`", _seconds(found.inside)],
        ["the same without a container", _seconds(found.outside)],
        ["idle memory: PSS of all processes", proportional],
        ["idle memory: its control group, files that were read included", _mib(idle.charged)],
    ]


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


def _mb(size: float) -> str:
    return f"{size / MB:.1f}"


def _mib(size: int) -> str:
    return f"{size / MIB:.0f} MiB"


def _seconds(times: list[float]) -> str:
    return f"{statistics.median(times):.2f} s ({min(times):.2f} to {max(times):.2f})"
