"""The plots of the docs show the results that are kept, and each is shown."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from documents import ROOT

from benchmarks import plots, results
from benchmarks.__main__ import SECTIONS
from benchmarks.figures import Table, Text, columns
from benchmarks.plots import Bars, Lines, Series
from benchmarks.results import Machine, Results, Run, Section

FOLDER = ROOT / "docs" / "plots"
RUN = Run(
    date="2026-01-02",
    machine=Machine(cores=2, processor="A CPU", system="Linux 6", file_system="ext4", sync_ms=0.5),
    versions={},
    seconds=3,
    rounds=5,
)
LAYERS = Table(
    "layers",
    columns("layer", "CPU|ms", "of all|%"),
    (("log", 1.0, 25), ("V8", 3.0, 75), ("all of it", 4.0, 100)),
)
LOOPS = columns("hot loop", "in a session|ms", "in Node.js|ms", "relative")


def section(name: str, *parts: Table | Text) -> Results:
    return Results().having(Section(name=name, title=name, run=RUN, parts=parts))


def test_the_drawings_show_the_committed_results_and_nothing_else() -> None:
    shown = {plot.name: plots.digest(plot) for plot in plots.of(results.load())}
    drawn = {path.stem: path.read_text() for path in FOLDER.glob("*.svg")}
    assert shown.keys() == drawn.keys(), "draw them anew: just plots"
    for name, named in shown.items():
        assert named in drawn[name], f"{name}.svg shows other results: just plots"


def test_the_page_on_performance_shows_every_drawing() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    assert set(re.findall(r"\(plots/([\w-]+)\.svg\)", page)) == {path.stem for path in FOLDER.glob("*.svg")}


def test_the_page_on_performance_names_every_section_and_recipe_that_there_is() -> None:
    page = (ROOT / "docs" / "performance.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)) == set(SECTIONS)
    recipes = re.findall(r"^([\w-]+)[^:\n]*:$", (ROOT / "Justfile").read_text(), re.MULTILINE)
    assert set(re.findall(r"`just ([\w-]+)", page)) <= set(recipes)


def test_what_was_not_measured_is_not_shown() -> None:
    assert plots.of(Results()) == []
    assert plots.of(section("executions", Table("loops", LOOPS, (("numeric", 78.0, None, None),)))) == []


def test_bars_are_the_layers_without_their_sum() -> None:
    (plot,) = plots.of(section("layers", LAYERS))
    assert plot == Bars(
        name="time-by-layer", x="CPU ms of a durable execution", labels=("log", "V8"), values=(1.0, 3.0)
    )


def test_peers_are_shown_with_the_most_clients() -> None:
    heads = columns("peer", "clients", "executions|/s")
    rows = (("mcp-v8", 1, 700.0), ("Node.js", 1, 30.0), ("mcp-v8", 32, 1_200.0), ("Node.js", 32, 60.0))
    (plot,) = plots.of(section("peers", Table("peers", heads, rows)))
    assert isinstance(plot, Bars)
    assert (plot.x, plot.labels) == ("executions/s of 32 clients", ("mcp-v8", "Node.js"))
    assert plot.values == (1_200, 60)


def test_of_loads_those_are_shown_that_were_measured_here_and_followed() -> None:
    heads = columns("load", "asked|/s", "success|%", "p95|ms")
    rows = (
        ("stateless", 100, 100.0, 9.0),
        ("stateless", 200, 98.5, 60.0),
        ("stateless, one request", 200, 100.0, 20.0),
        ("published", 200, None, 127.0),
    )
    (plot,) = plots.of(section("load", Table("loads", heads, rows)))
    assert isinstance(plot, Lines)
    assert plot.series == (Series("stateless", (100, 200), (9, 60)),)


def test_lines_are_columns_of_a_table() -> None:
    table = Table("t", columns("clients", "rate|/s"), ((1, 100.0), (32, 1_000.0)))
    assert plots.line(table, "a", "clients", "rate/s") == Series("a", (1, 32), (100, 1_000))
    with pytest.raises(ValueError, match="are numbers"):
        plots.numbers((1, None))


def test_other_results_give_a_drawing_another_name() -> None:
    one, other = (
        Lines(name="n", x="x", y="y", series=(Series("a", (1, 2), (3, last)),)) for last in (4.0, 5.0)
    )
    assert plots.digest(one) != plots.digest(other)
    assert plots.digest(one) == plots.digest(Lines(name="n", x="x", y="y", series=one.series))


def test_the_same_results_are_drawn_as_the_same_file(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="the extra bench, which draws plots, is not installed")
    from benchmarks import drawing

    lines = Lines(name="lines", x="x", y="y", log_y=True, series=(Series("a", (1, 10), (3, 40)),))
    (bars,) = plots.of(section("layers", LAYERS))
    drawn = []
    for attempt in ("first", "second"):
        (tmp_path / attempt).mkdir()
        for plot in (lines, bars):
            drawing.draw(plot, tmp_path / attempt)
        drawn.append([(tmp_path / attempt / f"{plot.name}.svg").read_bytes() for plot in (lines, bars)])
    assert drawn[0] == drawn[1]
    assert plots.digest(lines).encode() in drawn[0][0]
    assert b"ms of a durable execution" in drawn[0][1]
