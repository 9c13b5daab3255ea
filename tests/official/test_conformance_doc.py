"""docs/conformance.md tells what the tests demand."""

from __future__ import annotations

import json
from pathlib import Path

from disagreements import DISAGREEMENTS, RUNS
from official_tools import HERE

TEXT = (Path(__file__).parents[2] / "docs" / "conformance.md").read_text()


def test_the_document_lists_every_run_of_the_suite() -> None:
    packages = json.loads((HERE / "package.json").read_text())["dependencies"]
    for name, run in RUNS.items():
        version = packages[run.package].rpartition("@")[2]
        passed = "all others" if run.passed is None else run.passed
        row = f"| {name} | {version} | `{' '.join(run.arguments)}` | {run.server} | {passed} |"
        assert f"\n{row}\n" in TEXT, row


def test_the_document_lists_every_disagreement_with_its_reason() -> None:
    wanted = [
        f"| {each.run} | {each.scenario} | {', '.join(f'`{check}`' for check in sorted(each.checks))} | {each.reason} |"
        for each in DISAGREEMENTS
    ]
    _, _, table = TEXT.partition("| run of the suite |")
    assert "\n".join(table.partition("\n\n")[0].splitlines()[2:]) == "\n".join(wanted)
