"""Results of the benchmarks are kept as JSON, replaced by section, and shown as they are kept."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from benchmarks import __main__ as command
from benchmarks import markdown, results
from benchmarks.figures import Figure, Figures, Table, Text, columns
from benchmarks.results import Machine, Results, Run, Section

RUN = Run(
    date="2026-01-02",
    machine=Machine(cores=2, processor="A CPU", system="Linux 6", file_system="ext4", sync_ms=0.5),
    versions={"Python": "3.13", "mcp-v8": "1.0"},
    seconds=3,
    rounds=5,
)
PARTS = (
    Figures(
        "promised", "figure", (Figure("p50", 1.5, "ms", 4), Figure("rate", None, "", 0.8, at_least=True))
    ),
    Table("rates", columns("clients", "rate|/s", "p50|ms"), ((1, 1234.5678, 0.123), (32, None, 12.34))),
    Text("How it is read."),
)
DOORS = Section(name="doors", title="Doors", run=RUN, parts=PARTS)


def test_the_committed_report_is_what_the_committed_results_say() -> None:
    assert markdown.document(results.load()) == command.REPORT.read_text()


def test_what_is_kept_is_read_again_as_it_was(tmp_path: Path) -> None:
    kept = Results().having(DOORS)
    results.save(kept, tmp_path / "results.json")
    assert results.load(tmp_path / "results.json") == kept
    assert results.load(tmp_path / "none.json") == Results()


def test_results_of_another_schema_are_refused(tmp_path: Path) -> None:
    results.save(Results(schema=results.SCHEMA + 1), tmp_path / "results.json")
    with pytest.raises(ValueError, match="measure all of it again"):
        results.load(tmp_path / "results.json")


def test_a_section_replaces_its_former_self_alone_and_takes_its_place() -> None:
    last = Section(name="s3", title="S3", run=RUN, parts=(Text("slow"),))
    first = Section(name="executions", title="Executions", run=RUN, parts=(Text("fast"),))
    every = Results().having(last).having(DOORS).having(first)
    assert [one.name for one in every.sections] == ["executions", "doors", "s3"]
    later = replace(DOORS, run=replace(RUN, date="2026-02-03"))
    again = every.having(later)
    assert again.sections == (first, later, last)


def test_a_section_that_was_measured_by_itself_says_when() -> None:
    apart = replace(DOORS, name="s3", title="S3", run=replace(RUN, date="2026-02-03"))
    lines = markdown.document(Results().having(DOORS).having(apart)).splitlines()
    assert (
        lines[2] == "2026-01-02, 2 cores of A CPU, Linux 6, ext4 (0.50 ms a sync); Python 3.13, mcp-v8 1.0."
    )
    assert lines[lines.index("## Doors") + 2].startswith("| figure")
    assert lines[lines.index("## S3") + 2].startswith("Measured by itself: 2026-02-03, 2 cores")


def test_parts_are_tables_with_three_significant_digits() -> None:
    promised, rates, text = (markdown.shown(part).splitlines() for part in PARTS)
    assert promised == [
        "| figure | measured | target |          met |",
        "| ------ | -------: | -----: | -----------: |",
        "| p50    |  1.50 ms | < 4 ms |          yes |",
        "| rate   |        – |  ≥ 0.8 | not measured |",
    ]
    assert rates[0] == "| clients | rate/s | p50 ms |"
    assert rates[2:] == ["| 1       |  1,235 |   0.12 |", "| 32      |      – |   12.3 |"]
    assert text == ["How it is read."]


def test_figures_without_any_target_have_no_column_for_it() -> None:
    shown = markdown.shown(Figures("base", "base image", (Figure("size", 884, "KiB"),)))
    assert shown.splitlines()[0] == "| base image | measured |"


@pytest.mark.parametrize(
    ("value", "at_least", "met"),
    [(3.9, False, True), (4.0, False, False), (4.0, True, True), (3.9, True, False)],
)
def test_targets_are_bounds_from_above_unless_they_are_from_below(
    value: float, at_least: bool, met: bool
) -> None:
    assert Figure("x", value, "ms", 4, at_least).is_met is met


def test_a_row_has_a_cell_for_each_column() -> None:
    with pytest.raises(ValueError, match="has not 2 cells"):
        Table("short", columns("a", "b"), ((1,),))


def test_every_section_that_can_be_measured_has_its_place_in_the_report() -> None:
    assert set(command.SECTIONS) <= set(results.ORDER)
