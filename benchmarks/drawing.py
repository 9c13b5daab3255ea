"""``python -m benchmarks.drawing``: draw the plots that the docs show, from the results that are kept.

The same results give the same files: no date, and no random names. Backgrounds are transparent and colours in
between, for light pages and dark ones. A drawing names what it shows, by which a test
knows that it is up to date.
"""

from __future__ import annotations

from pathlib import Path

from matplotlib import style
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, StrMethodFormatter

from benchmarks import markdown, plots, results
from benchmarks.plots import Bars, Lines, Plot

FOLDER = Path(__file__).parent.parent / "docs" / "plots"
STYLE = Path(__file__).with_name("plots.mplstyle")
WIDTH, LINES_HEIGHT = 6.4, 3.2
"""Inches, as the next."""
FRAME_HEIGHT, BAR_HEIGHT = 0.6, 0.36
NUMBER = "{x:,.6g}"
COLOURS = ("#d9822b", "#3b82c4", "#3a9d68", "#a463b0", "#c0504d")


def draw(plot: Plot, folder: Path) -> None:
    """Draw it into its file."""
    with style.context(STYLE):
        height = LINES_HEIGHT if isinstance(plot, Lines) else FRAME_HEIGHT + BAR_HEIGHT * len(plot.labels)
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.add_subplot()
        if isinstance(plot, Lines):
            draw_lines(plot, axes)
        else:
            draw_bars(plot, axes)
        about = {"Date": None, "Creator": None, "Description": plots.digest(plot)}
        figure.savefig(folder / f"{plot.name}.svg", transparent=True, metadata=about)


def draw_lines(plot: Lines, axes: Axes) -> None:
    """With the points marked, since only they were measured."""
    for series, colour in zip(plot.series, COLOURS, strict=False):
        axes.plot(series.xs, series.ys, "o-", color=colour, label=series.label, markersize=4)
    axes.set_xscale("log")
    axes.set_xticks(sorted({x for series in plot.series for x in series.xs}), minor=False)
    axes.set_xticks([], minor=True)
    if plot.log_y:
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_minor_formatter(NullFormatter())
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(StrMethodFormatter(NUMBER))
    axes.set_xlabel(plot.x)
    axes.set_ylabel(plot.y)
    axes.grid(axis="y")
    axes.legend()


def draw_bars(plot: Bars, axes: Axes) -> None:
    """Each with its value at its end."""
    drawn = axes.barh(plot.labels, plot.values, color=COLOURS[1], height=0.6)
    axes.bar_label(drawn, labels=list(map(markdown.cell, plot.values)), padding=3)
    axes.xaxis.set_major_formatter(StrMethodFormatter(NUMBER))
    axes.invert_yaxis()
    axes.set_xlabel(plot.x)
    axes.grid(axis="x")
    axes.margins(x=0.12)


def main() -> None:
    """Draw every plot of which there are results, and nothing else is left."""
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.svg"):
        old.unlink()
    for plot in plots.of(results.load()):
        draw(plot, FOLDER)


if __name__ == "__main__":
    main()
