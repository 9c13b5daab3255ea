"""The results as Markdown that reads well as plain text. Pure: the same results give the same text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benchmarks.figures import Cell, Figure, Figures, Part, Table, Text
from benchmarks.results import Results, Run, Section

MET = {True: "yes", False: "**no**", None: "not measured"}
NOTHING = "–"


def document(results: Results) -> str:
    """The whole report. The circumstances of the first section are said once, others in their sections."""
    lines = ["# Benchmark results", ""]
    usual = results.sections[0].run if results.sections else None
    if usual is not None:
        lines += [f"{circumstances(usual)}.", ""]
    for one in results.sections:
        lines += section(one, usual)
    return "\n".join(lines)


def section(one: Section, usual: Run | None = None) -> list[str]:
    """The lines of a section, with its circumstances if they are not the usual ones."""
    lines = [f"## {one.title}", ""]
    if usual is not None and one.run != usual:
        lines += [f"Measured by itself: {circumstances(one.run)}.", ""]
    for part in one.parts:
        lines += [shown(part), ""]
    return lines


def circumstances(run: Run) -> str:
    """When and where, and with what."""
    machine = run.machine
    versions = ", ".join(f"{name} {version}" for name, version in run.versions.items())
    return (
        f"{run.date}, {machine.cores} cores of {machine.processor}, {machine.system}, {machine.file_system} "
        f"({machine.sync_ms:.2f} ms a sync); {versions}"
    )


def shown(part: Part) -> str:
    """A part."""
    match part:
        case Text():
            return part.text
        case Table():
            heads = [column.heading for column in part.columns]
            return table(heads, [[cell(one) for one in row] for row in part.rows])
        case Figures():
            if all(figure.target is None for figure in part.figures):
                return table([part.title, "measured"], [figure_row(one)[:2] for one in part.figures])
            return table([part.title, "measured", "target", "met"], map(figure_row, part.figures))


def figure_row(figure: Figure) -> list[str]:
    """A figure as a row of a table."""
    measured = NOTHING if figure.value is None else f"{cell(figure.value)} {figure.unit}".strip()
    if figure.target is None:
        return [figure.name, measured, NOTHING, NOTHING]
    bound = f"{'≥' if figure.at_least else '<'} {figure.target:g} {figure.unit}".strip()
    return [figure.name, measured, bound, MET[figure.is_met]]


def cell(value: Cell) -> str:
    """A number with three significant digits, and those before the point that it has beyond them."""
    match value:
        case None:
            return NOTHING
        case float():
            size = abs(value)
            digits = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 or size == 0 else 3
            return f"{value:,.{digits}f}"
        case int():
            return f"{value:,}"
        case _:
            return value


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table with aligned columns: the first to the left, the others to the right."""
    lines = [list(heads), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(heads))]
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    lines.insert(1, rule)
    return "\n".join(
        "| " + " | ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) + " |"
        for line in lines
    )
